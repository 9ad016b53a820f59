"""The real stream worker on a backlog: CPU of its process for each event, everything included.

In: a broker and a registry of its own, encoded events.
Out: CPU seconds (all threads) from the first event, or the first after warming up, to the last committed offset; resident memory.
Never: the start of the process or the loading in the figure, nor a loader beside it: the limits and the peers have none either.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
from stream_apps.transport.config import TransportConfig, quiet_loggers

GROUP = "bench"
#: Rows between two lines of the meter.
METER_ROWS = 10_000


class Meter(NamedTuple):
    """What a worker says of itself now and then: rows and batches so far, its CPU seconds, the time."""

    rows: float
    batches: float
    cpu_s: float
    at: float


METER = r"METER (\d+) (\d+) ([\d.]+) ([\d.]+)"


@dataclass(frozen=True)
class Spent:
    """What a worker spent on a number of events."""

    events: int
    cpu_s: float
    wall_s: float
    rss_mib: float
    batch_rows: float = 0.0

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
    max_rows: int = TransportConfig.max_rows,
    measures: str = "",
    in_turn: bool = False,
    warm: int = 0,
) -> Spent:
    """Load events, start a worker on them, wait until all is committed.

    `measures` is "light", a number, or "" for the product's own; `in_turn` has people come one after the other; `warm` events of
    each family come before and are left out, as with the peers. `max_rows` bounds a batch.
    """
    app = f"{GROUP}-{os.getpid()}-{time.time_ns()}"
    config = {
        "bootstrap": bootstrap, "schema_registry": url, "data_dir": str(folder / app), "app_id": app,
        "stages": stages, "min_rows": min_rows, "max_rows": max_rows, "measures": measures,
    }  # fmt: skip
    for family, count in counts.items():
        events = encoded(family, warm + count, schema_id(url, family), users=users, seed=7, in_turn=in_turn)
        load(bootstrap, FAMILIES[family].topic, events)
    output = folder / f"{app}.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            tethered([sys.executable, "-m", "benchmarks.worker", json.dumps(config)]),
            stdout=log,
            stderr=log,
            env={**os.environ, **POLARS},
        )
    try:
        held = psutil.Process(process.pid)
        _wait(bootstrap, app, [FAMILIES[f].topic for f in counts], process)
        if "kpis" in stages:
            _wait(bootstrap, app, ["measures"], process)
        spent, now = cpu_s(held), time.time()
        lines = [Meter(*map(float, found)) for found in re.findall(METER, output.read_text())]
        first = next(line for line in lines if line.rows >= warm * len(counts))
        events = sum(counts.values()) + warm * len(counts) - int(first.rows)
        batches = (lines[-1].rows - first.rows) / max(1.0, lines[-1].batches - first.batches)
        return Spent(events, spent - first.cpu_s, now - first.at, held.memory_info().rss / 2**20, batches)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process so far, all threads."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _wait(bootstrap: str, group: str, topics: list[str], process: subprocess.Popen[bytes]) -> None:
    """Wait until the group has committed all that the topics hold now."""
    from infra.ledger import ends as ends_of
    from infra.ledger import probe

    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    consumer = probe(bootstrap)
    ends = ends_of(consumer, topics)
    consumer.close()
    wanted = [TopicPartition(*place) for place in ends]
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

    quiet_loggers()
    _metered(stage.MeasuresStage)
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
            transport=TransportConfig(min_rows=given["min_rows"], max_rows=given["max_rows"], max_wait_ms=200),
        )
    )


def _metered(stage: Any) -> None:
    """Have the stage print a line now and then."""
    take, rows, batches, due = stage._take, 0, 0, 0

    def counted(self: Any, held: Any, batch: Any, taken: Any) -> None:
        nonlocal rows, batches, due
        take(self, held, batch, taken)
        rows, batches = rows + len(batch), batches + 1
        if rows >= due:
            due = rows + METER_ROWS
            print(f"METER {rows} {batches} {time.process_time()} {time.time()}", flush=True)

    stage._take = counted


if __name__ == "__main__":
    main(sys.argv[1])
