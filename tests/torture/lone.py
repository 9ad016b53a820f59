"""Workers and sinks that a test starts itself, beside a stack that has none.

In: a platform whose settings ask for no worker and no sink. Out: processes, and a check of the books.
Never: a process that outlives the block; a check before all is finished.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from infra.addresses import resolve
from infra.settings import load
from tests.torture.crash import Verdict, verdict
from tests.torture.platform import COMMAND, Platform

BARE = {"FOOTLIGHTS_WORKERS": "0", "FOOTLIGHTS_SINKS": "0"}
ANSWER_S = 20.0


@contextmanager
def bare_platform(folder: Path) -> Iterator[Platform]:
    """Kafka, registry and ClickHouse of their own, and nothing that reads from them."""
    platform = Platform(folder, dict(BARE))
    platform.up()
    try:
        yield platform
    finally:
        platform.down()


@contextmanager
def running(platform: Platform, role: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `footlights worker` or `footlights sink`; asked to end at the block's end, so that it leaves its group at once."""
    with (platform.folder / "logs" / f"lone-{role}.log").open("ab") as log:
        log.write(f"--- {settings}\n".encode())
        log.flush()
        process = subprocess.Popen([*COMMAND, role], env={**platform.environment, **settings}, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def publish(platform: Platform, seed: int) -> None:
    """A small simulated run: 3,000 records within two seconds, in which two minutes of event time pass."""
    words = ("--events", "3000", "--rate", "1500", "--speed", "60", "--seed", str(seed))
    platform.run("simulate", *words)


def settled(platform: Platform) -> Verdict:
    """The books, once nothing is left to do."""
    platform.run("wait", "--idle", "--timeout", "90", timeout=120)
    return verdict(platform)


def repeat_records(platform: Platform, topic: str, count: int) -> int:
    """Append the partition's first records once more, byte for byte; returns how many."""
    kafka = resolve(load(platform.environment)).kafka
    reader = Consumer({"bootstrap.servers": kafka, "group.id": "reads-only", "enable.auto.commit": False})
    try:
        reader.assign([TopicPartition(topic, 0, 0)])
        found = [m for m in reader.consume(count, ANSWER_S) if m.error() is None]
    finally:
        reader.close()
    writer = Producer({"bootstrap.servers": kafka})
    for m in found:
        writer.produce(topic, m.value(), m.key(), 0, headers=m.headers())
    assert writer.flush(ANSWER_S) == 0
    return len(found)


def append_garbage(platform: Platform, topic: str, count: int) -> None:
    """Append bytes that no schema decodes; fewer than the breaker tolerates."""
    writer = Producer({"bootstrap.servers": resolve(load(platform.environment)).kafka})
    for i in range(count):
        writer.produce(topic, f"no Avro {i}".encode(), b"key", 0)
    assert writer.flush(ANSWER_S) == 0
