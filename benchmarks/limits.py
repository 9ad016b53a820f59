"""What the same work costs without us: the limits beside which our figures are read.

In: a topic that is loaded. Out: CPU seconds of this process, all threads. Never: deduplication, checkpoints or commits; the limits
do less than we do.
"""

import time
from collections.abc import Callable
from typing import Any

import fastavro
import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from schemas.avro_batch import MAGIC_BYTES, BatchDecoder
from schemas.families import FAMILIES

BATCH = 2_000
WINDOW_MS = 60_000


def consume(bootstrap: str, topic: str, partitions: int, events: int, take: Callable[[list[Any]], None]) -> float:
    """CPU seconds to read `events` records and hand each batch to `take`."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap, "group.id": "limit", "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 2, "queued.max.messages.kbytes": 65_536,
        }
    )  # fmt: skip
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    consumer.consume(1, 10.0)  # the connection is not what is measured
    seen, began = 1, time.process_time()
    while seen < events:
        messages = consumer.consume(BATCH, 5.0)
        if not messages:
            raise TimeoutError(f"{seen} of {events} records after five silent seconds")
        take(messages)
        seen += len(messages)
    spent = time.process_time() - began
    consumer.close()
    return spent


class Windows:
    """Counts and sums per minute in numpy: the least that an aggregation can be."""

    def __init__(self) -> None:
        self.count: dict[int, np.ndarray[Any, Any]] = {}

    def add(self, occurred: np.ndarray[Any, Any], amount: np.ndarray[Any, Any]) -> None:
        minute = occurred // WINDOW_MS
        first = int(minute.min())
        counts = np.bincount(minute - first)
        sums = np.bincount(minute - first, weights=amount)
        for i in np.flatnonzero(counts).tolist():
            held = self.count.setdefault(first + i, np.zeros(2))
            held += (counts[i], sums[i])


def limit_a(bootstrap: str, topic: str, partitions: int, events: int, family: str = "commerce") -> float:
    """confluent-kafka, fastavro one by one, numpy."""
    schema, windows = fastavro.parse_schema(FAMILIES[family].schema), Windows()
    read = fastavro.schemaless_reader
    import io

    def take(messages: list[Any]) -> None:
        rows = [read(io.BytesIO(m.value()[MAGIC_BYTES:]), schema, None) for m in messages]
        windows.add(
            np.array([r["occurred_at_ms"] for r in rows]),
            np.array([r.get("amount_minor") or 0 for r in rows], np.int64),
        )

    return consume(bootstrap, topic, partitions, events, take)


def limit_b(bootstrap: str, topic: str, partitions: int, events: int, family: str = "commerce") -> float:
    """confluent-kafka, the columnar decoder, numpy."""
    schema, windows = FAMILIES[family].schema, Windows()
    decoder = BatchDecoder(schema, lambda schema_id: schema)
    value = "amount_minor" if family == "commerce" else "sequence"

    def take(messages: list[Any]) -> None:
        frame = decoder([m.value() for m in messages], [m.offset() for m in messages]).frame
        windows.add(frame["occurred_at_ms"].to_numpy(), frame[value].fill_null(0).to_numpy())

    return consume(bootstrap, topic, partitions, events, take)
