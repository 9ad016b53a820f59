"""The real sink under load: CPU of the sink and of the engine for each row.

In: a broker, a registry, an engine of its own; encoded events.
Out: CPU seconds of both processes from the first event to the last stored one.
Never: the start of the processes, or the loading, in the figure.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.broker import load
from benchmarks.traffic import encoded
from benchmarks.worker import Spent, cpu_s, schema_id
from infra.addresses import Addresses
from infra.embedded.ports import free_port
from infra.embedded.tether import tethered
from infra.ledger import ends, positions, probe
from infra.polars_environment import POLARS, keep_freed_memory
from infra.settings import load as load_settings
from infra.store import connect
from schemas.families import FAMILIES
from sinks.migrate import migrate

#: Longest start of a sink and its engine.
SETTLE_S = 8.0


@contextlib.contextmanager
def engine(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """URL and process of an engine."""
    port = free_port()
    words = [sys.executable, "-m", "infra.embedded.gateway", "--path", str(folder / "engine"), "--port", str(port)]
    words.append("--without-password")
    process, url = subprocess.Popen(tethered(words)), f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/ping", timeout=1)
                break
            time.sleep(0.1)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def run_sink(
    bootstrap: str, url: str, folder: Path, events: int, family: str = "interaction", warm: int = 0
) -> tuple[Spent, Spent]:
    """What the sink alone, and sink and engine together, spend on storing the events of a family.

    `warm` events come before and are left out, as with the workers.
    """
    with engine(folder) as (store, server):
        addresses, settings = Addresses(bootstrap, url, store), load_settings({"FOOTLIGHTS_CLICKHOUSE": store})
        with connect(settings, addresses) as client:
            migrate(client)
            words = json.dumps({"bootstrap": bootstrap, "schema_registry": url, "clickhouse_url": store})
            with (folder / "sink.log").open("wb") as log:
                process = subprocess.Popen(
                    tethered([sys.executable, "-m", "benchmarks.sink", words]), stdout=log, stderr=log,
                    env={**os.environ, **POLARS},
                )  # fmt: skip
            try:
                return _measured(client, bootstrap, url, psutil.Process(process.pid), server, events, family, warm)
            finally:
                process.terminate()
                process.wait(30)


def _measured(
    client: object,
    bootstrap: str,
    url: str,
    sink: psutil.Process,
    server: psutil.Process,
    events: int,
    family: str,
    warm: int,
) -> tuple[Spent, Spent]:
    time.sleep(SETTLE_S)
    topic = FAMILIES[family].topic
    payloads = list(encoded(family, warm + events, schema_id(url, family), seed=9))
    load(bootstrap, topic, payloads[:warm])
    _await_stored(client, bootstrap, topic)
    sink.suspend()  # the loader's work on the same core is no part of the sink's, as with limits, workers and peers
    try:
        load(bootstrap, topic, payloads[warm:])
        before, began = (cpu_s(sink), cpu_s(server)), time.monotonic()
    finally:
        sink.resume()
    _await_stored(client, bootstrap, topic)
    own, engine_s, wall = cpu_s(sink) - before[0], cpu_s(server) - before[1], time.monotonic() - began
    assert own > 0, "the sink found nothing to store"
    rss = sink.memory_info().rss / 2**20
    return Spent(events, own, wall, rss), Spent(events, own + engine_s, wall, rss)


def _await_stored(client: object, bootstrap: str, topic: str) -> None:
    consumer = probe(bootstrap)
    goal = ends(consumer, [topic])
    consumer.close()
    while any(positions(client).get(place, 0) < end for place, end in goal.items()):
        time.sleep(0.25)


if __name__ == "__main__":
    from sinks.config import SinkConfig
    from sinks.run import run

    keep_freed_memory()
    run(SinkConfig(**json.loads(sys.argv[1]), group=f"bench-{os.getpid()}"))
