"""Real topics, registered schemas, worker processes, and what the topics say afterwards.

In: a broker and a registry.
Out: `MeasuresCluster`.
Never: a worker left behind.
"""

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections import defaultdict
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from schemas.families import INTERNAL
from schemas.partials import HEAD, Head, unpack_head
from schemas.topics import TOPICS
from stream_apps.compute.records import Record, Records
from tests.stream_apps.measures.traffic import payload

KEY = "11" * 32


class MeasuresCluster:
    """The product's topics, emptied, and one group of workers. One at a time on a broker."""

    def __init__(self, bootstrap: str, registry: str, folder: Path) -> None:
        self.bootstrap, self.registry, self.folder = bootstrap, registry, folder
        self.app_id = f"measures-{os.getpid()}-{time.time_ns()}"
        self.logs: dict[str, list[list[Any]]] = defaultdict(lambda: [[] for _ in range(4)])
        self.workers: list[subprocess.Popen[bytes]] = []
        self.ids: dict[str, int] = {}
        self._create()
        self.producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 20})

    def _create(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        present = [t for t in TOPICS if t in admin.list_topics(timeout=20).topics]
        for future in admin.delete_topics(present).values() if present else ():
            future.result()
        deadline = time.monotonic() + 30
        while present and set(present) & set(admin.list_topics(timeout=20).topics) and time.monotonic() < deadline:
            time.sleep(0.1)
        wanted = [NewTopic(t.name, t.partitions, 1, config=t.config) for t in TOPICS.values()]
        for future in admin.create_topics(wanted).values():
            future.result()
        with SchemaRegistryClient({"url": self.registry}) as client:
            for topic in TOPICS.values():
                self.ids[topic.name] = client.register_schema(topic.subject, Schema(topic.record.text, "AVRO"))

    def produce(self, family: str, records: list[dict[str, Any]]) -> None:
        """Publish records by their key; returns when all are acknowledged."""
        topic = f"events.{family}"
        for record in records:
            who = record["user_id"] or record["anonymous_id"] or record["message_id"]
            partition = zlib.crc32(f"{record['tenant_id']}|{who}".encode()) % 4
            self._send(topic, partition, payload(family, record, self.ids[topic]))
            self.logs[family][partition].append(record)
        self.producer.flush(60)

    def poison(self, family: str, partition: int, values: list[bytes]) -> None:
        """Publish bytes that are no records."""
        for value in values:
            self._send(f"events.{family}", partition, value)
            self.logs[family][partition].append(None)
        self.producer.flush(60)

    def _send(self, topic: str, partition: int, value: bytes) -> None:
        while True:
            try:
                self.producer.produce(topic, value=value, partition=partition)
                return
            except BufferError:
                self.producer.poll(0.05)

    def start(self, **options: Any) -> "subprocess.Popen[bytes]":
        """A worker process."""
        number = len(self.workers)
        settings = {
            "bootstrap": self.bootstrap,
            "schema_registry": self.registry,
            "app_id": self.app_id,
            "data_dir": str(self.folder / f"worker-{number}"),
            "dead_letter_key": KEY,
            "checkpoint_s": 0.3,
        } | options
        with (self.folder / f"worker-{number}.log").open("wb") as output:
            command = [sys.executable, "-m", "tests.stream_apps.measures.worker", json.dumps(settings)]
            worker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.workers.append(worker)
        return worker

    def log_of(self, worker: "subprocess.Popen[bytes]") -> str:
        """What a worker wrote."""
        return (self.folder / f"worker-{self.workers.index(worker)}.log").read_text(errors="replace")

    def consume(self, topic: str) -> list[tuple[bytes, bytes]]:
        """(key, value) of all records of a topic's partition 0, in order."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": f"look-{time.time_ns()}"})
        place = TopicPartition(topic, 0, 0)
        _, end = consumer.get_watermark_offsets(place, timeout=20)
        consumer.assign([place])
        out: list[tuple[bytes, bytes]] = []
        while place.offset < end:
            message = consumer.poll(10)
            assert message is not None, f"{topic} ends before {end}"
            out.append((message.key(), message.value()))
            place.offset = message.offset() + 1
        consumer.close()
        return out

    def partials(self) -> tuple[dict[tuple[str, int], Records], dict[tuple[str, int], Head]]:
        """What the KPI stage knows: the newest partials and heads by family and partition."""
        schema = fastavro.parse_schema(INTERNAL["partial"].schema)
        states: dict[tuple[str, int], Records] = defaultdict(Records)
        heads: dict[tuple[str, int], Head] = {}
        for number, (_, value) in enumerate(self.consume("measures")):
            p: Any = fastavro.schemaless_reader(BytesIO(value[5:]), schema, None)
            place = p["family"], p["partition"]
            if p["kind"] == HEAD:
                head = unpack_head(p["body"])
                if place not in heads or head.offset >= heads[place].offset:
                    heads[place] = head
            else:
                record = Record(p["level"], p["bucket"], p["kind"], p["piece"], p["offset"], 0, p["body"])
                # Every sketch piece counts, whoever wrote it; of the additive ones the newest.
                states[place].put(number if p["kind"] == "sketch" else p["generation"], record)
        return states, heads

    def wait(self, seconds: float = 60) -> None:
        """Until every partition of every family has a head at its end."""
        deadline = time.monotonic() + seconds
        while True:
            _, heads = self.partials()
            missing = {
                (f, p): (heads.get((f, p)), len(log) - 1)
                for f, logs in self.logs.items()
                for p, log in enumerate(logs)
                if (f, p) not in heads or heads[f, p].offset != len(log) - 1 or not heads[f, p].at_end
            }
            if not missing:
                return
            assert time.monotonic() < deadline, f"not finished: {missing}\n{self.log_of(self.workers[-1])[-3000:]}"
            time.sleep(0.3)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGKILL)
            worker.wait()
        del self.producer  # librdkafka's threads end with it
