"""The real stream worker under load: CPU of its process for each event, everything included.

In: a broker and a registry of its own, encoded events.
Out: CPU seconds (all threads) from the first event to the last committed offset, resident memory.
Never: the start of the process, its warming up when that is asked for, or the loading, in the figure.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import SchemaRegistryClient

from benchmarks.broker import load
from benchmarks.traffic import encoded
from infra.embedded.ports import free_port
from infra.embedded.tether import tethered
from infra.migrate import migrate_schemas, migrate_topics
from infra.polars_environment import POLARS
from schemas.families import FAMILIES

GROUP = "bench"
SETTLE_S = 8.0


@dataclass(frozen=True)
class Spent:
    """What a worker spent on a number of events."""

    events: int
    cpu_s: float
    wall_s: float
    rss_mib: float

    @property
    def us(self) -> float:
        """Microseconds of CPU an event."""
        return self.cpu_s / self.events * 1e6


@contextlib.contextmanager
def registry(bootstrap: str) -> Iterator[str]:
    """URL of a schema registry with all schemas, on a broker with all topics."""
    port = free_port()
    words = [sys.executable, "-m", "infra.embedded.registry", "--bootstrap", bootstrap, "--port", str(port)]
    process, url = subprocess.Popen(tethered(words)), f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            with contextlib.suppress(Exception):
                SchemaRegistryClient({"url": url}).get_subjects()
                break
            time.sleep(0.1)
        migrate_topics(bootstrap)
        migrate_schemas(url)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def schema_id(url: str, family: str) -> int:
    """Registry id of a family's schema."""
    with SchemaRegistryClient({"url": url}) as client:
        found = client.get_latest_version(f"{FAMILIES[family].topic}-value").schema_id
    assert found is not None
    return found


def run_worker(
    bootstrap: str,
    url: str,
    folder: Path,
    counts: dict[str, int],
    *,
    stages: str,
    min_rows: int,
    users: int,
    measures: str = "",
    in_turn: bool = False,
    warm: int = 0,
) -> Spent:
    """Start a worker on the topics' ends, load events, wait until all is committed.

    `measures` is "light", a number, or "" for the product's own; `in_turn` has people come one after the other; `warm` events of
    each family come before and are left out, as with the peers.
    """
    app = f"{GROUP}-{os.getpid()}-{time.time_ns()}"
    config = {
        "bootstrap": bootstrap, "schema_registry": url, "data_dir": str(folder / app), "app_id": app,
        "stages": stages, "min_rows": min_rows, "measures": measures,
    }  # fmt: skip
    environment = {**os.environ, **POLARS}
    with (folder / f"{app}.log").open("wb") as log:
        process = subprocess.Popen(
            tethered([sys.executable, "-m", "benchmarks.worker", json.dumps(config)]),
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        held = psutil.Process(process.pid)
        time.sleep(SETTLE_S)
        families = list(counts)
        payloads = {
            f: list(encoded(f, warm + counts[f], schema_id(url, f), users=users, seed=7, in_turn=in_turn))
            for f in families
        }
        if warm:
            for family in families:
                load(bootstrap, FAMILIES[family].topic, payloads[family][:warm])
            _wait(bootstrap, app, families, process)
        before, began = cpu_s(held), time.monotonic()
        for family in families:
            load(bootstrap, FAMILIES[family].topic, payloads[family][warm:])
        _wait(bootstrap, app, families, process)
        return Spent(
            sum(counts.values()), cpu_s(held) - before, time.monotonic() - began, held.memory_info().rss / 2**20
        )
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process so far, all threads."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _wait(bootstrap: str, group: str, families: list[str], process: subprocess.Popen[bytes]) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    wanted = [TopicPartition(FAMILIES[f].topic, p) for f in families for p in range(4)]
    from infra.ledger import ends as ends_of
    from infra.ledger import probe

    consumer = probe(bootstrap)
    ends = ends_of(consumer, [FAMILIES[f].topic for f in families])
    consumer.close()
    for _ in range(1_200):
        if process.poll() is not None:
            raise RuntimeError(f"the worker ended with {process.returncode}; see its log")
        try:
            answer = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)])[group].result(10)
        except KafkaException:
            answer = None
        reached = {(t.topic, t.partition): t.offset for t in answer.topic_partitions} if answer else {}
        if all(reached.get(place, -1) >= end for place, end in ends.items() if end):
            return
        time.sleep(0.1)
    raise TimeoutError("the worker did not commit everything within two minutes")


def main(text: str) -> None:
    """Be the worker."""
    given = json.loads(text)
    import stream_apps.measures as stage
    from stream_apps.app import run
    from stream_apps.config import StreamConfig
    from stream_apps.transport.config import TransportConfig, quiet_loggers

    quiet_loggers()
    if given["measures"]:
        from benchmarks.light import LIGHT, many

        stage.MEASURES = LIGHT if given["measures"] == "light" else many(int(given["measures"]))  # type: ignore[attr-defined]
    run(
        StreamConfig(
            bootstrap=given["bootstrap"],
            schema_registry=given["schema_registry"],
            data_dir=Path(given["data_dir"]),
            dead_letter_key=b"0" * 32,
            app_id=given["app_id"],
            stages=tuple(given["stages"].split(",")),
            transport=TransportConfig(min_rows=given["min_rows"], max_wait_ms=200),
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
