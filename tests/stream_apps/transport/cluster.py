"""A topic, its records and the workers that count them.

In: a broker. Out: worker processes under control, the counts that stand in their changelog.
Never: a worker left behind: each is ended with its owner.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from stream_apps.batch_transport import changelog_topic, ensure_changelogs

ROOT = Path(__file__).parents[3]
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Counted:
    """What the changelog says about a partition."""

    offset: int
    count: int
    truncated: int


class CountingCluster:
    """One topic, one consumer group, any number of workers."""

    def __init__(self, bootstrap: str, folder: Path, *, partitions: int = 4, **options: Any) -> None:
        self.bootstrap = bootstrap
        self.partitions = partitions
        self.folder = folder
        self.app_id = f"counting-{os.getpid()}-{int(time.time())}-{next(_NUMBERS)}"
        self.topic = f"{self.app_id}-in"
        self.options = options
        self.sent = [0] * partitions
        self.workers: list[subprocess.Popen[bytes]] = []
        self._log_numbers = itertools.count(1)
        config = {"message.timestamp.type": "LogAppendTime"}
        admin = AdminClient({"bootstrap.servers": bootstrap})
        for future in admin.create_topics([NewTopic(self.topic, partitions, 1, config=config)]).values():
            future.result()
        ensure_changelogs(bootstrap, self.app_id, {"state": partitions})
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 20,
                "queue.buffering.max.messages": 1_000_000,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()

    def send(self, per_partition: int, *, partitions: Iterator[int] | None = None) -> None:
        """Send records of 100 bytes to each partition and wait for their acknowledgement."""
        for partition in partitions or range(self.partitions):
            for _ in range(per_partition):
                self.producer.produce(self.topic, b"x" * 100, partition=partition)
            self.sent[partition] += per_partition
            self.producer.poll(0)
        assert self.producer.flush(60) == 0

    def send_on(self, per_second: int, stop: threading.Event) -> threading.Thread:
        """Keep sending in the background, evenly over the partitions, until `stop` is set."""

        def run() -> None:
            while not stop.wait(0.1):
                self.send(per_second // 10 // self.partitions)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def start(self, **options: Any) -> subprocess.Popen[bytes]:
        """Start one more worker; options override the cluster's."""
        arguments = {
            "bootstrap": self.bootstrap,
            "app_id": self.app_id,
            "topic": self.topic,
            "partitions": self.partitions,
            "datadir": str(self.folder / f"data-{next(_NUMBERS)}"),
            "checkpoint_s": 0.5,
            **self.options,
            **options,
        }
        log = self.folder / f"worker-{next(self._log_numbers)}.log"
        command = [sys.executable, "-m", "tests.stream_apps.transport.app_under_test", json.dumps(arguments)]
        with log.open("wb") as output:
            worker = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.workers.append(worker)
        return worker

    def wait_until_logged(self, text: str, limit_s: float) -> None:
        """Wait until the last worker's log holds the text."""
        deadline = time.monotonic() + limit_s
        while text not in self.logs().rpartition("== worker-")[2]:
            assert time.monotonic() < deadline, f"{text!r} is not in\n{self.logs()}"
            time.sleep(0.1)

    def traced(self) -> list[dict[str, int]]:
        """Return the batches that the last worker traced, in the order of their arrival."""
        lines = self.logs().rpartition("== worker-")[2].splitlines()
        return [json.loads(line.partition("TRACE ")[2]) for line in lines if line.startswith("TRACE ")]

    def logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()}" for path in sorted(self.folder.glob("worker-*.log")))

    def counted(self) -> dict[int, Counted]:
        """Read the changelog: what is counted by now."""
        topic = changelog_topic(self.app_id, "state")
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "none", "enable.partition.eof": False})
        try:
            ends = {
                p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1]
                for p in range(self.partitions)
            }
            missing = {p for p, end in ends.items() if end}
            consumer.assign([TopicPartition(topic, p, ends[p] - 1) for p in missing])
            found: dict[int, Counted] = {}
            while missing:
                for message in consumer.consume(100, 0.2):
                    partition, value = message.partition(), message.value()
                    if partition is not None and value is not None and message.offset() == ends[partition] - 1:
                        found[partition] = Counted(**json.loads(value))
                        missing.discard(partition)
            return found
        finally:
            consumer.close()

    def committed(self) -> dict[int, int]:
        """Return the group's committed offsets; partitions without a commit are absent."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.app_id})
        try:
            asked = [TopicPartition(self.topic, p) for p in range(self.partitions)]
            return {tp.partition: tp.offset for tp in consumer.committed(asked, timeout=10) if tp.offset >= 0}
        finally:
            consumer.close()

    def reached_end(self) -> bool:
        counted = self.counted()
        return all(p in counted and counted[p].offset == sent - 1 for p, sent in enumerate(self.sent) if sent)

    def wait_until_counted(self, limit_s: float) -> dict[int, Counted]:
        """Wait until every record is counted, then return the counts; AssertionError with the logs at the limit."""
        deadline = time.monotonic() + limit_s
        while not self.reached_end():
            alive = any(worker.poll() is None for worker in self.workers)
            assert alive and time.monotonic() < deadline, (
                f"not finished: {self.counted()} of {self.sent}\n{self.logs()}"
            )
            time.sleep(0.2)
        return self.counted()

    def wrong(self) -> dict[int, tuple[Counted, int]]:
        """Return the partitions whose count is not what was sent."""
        return {p: (c, self.sent[p]) for p, c in self.counted().items() if c.count != self.sent[p] or c.truncated}
