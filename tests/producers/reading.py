"""What lies on the topics, read independently of the platform's decoder.

In: a broker, topics, a source.
Out: records as dictionaries, with key and origin.
Never: a commit.
"""

import io
import time
from dataclasses import dataclass
from typing import Any

import fastavro
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from footlights.names import REPORTS_TOPIC

from schemas.origin import Origin, origin_of
from schemas.topics import TOPICS


@dataclass(frozen=True)
class Read:
    """One record of a topic."""

    topic: str
    partition: int
    key: bytes
    origin: Origin
    record: dict[str, Any]
    payload: bytes


def read(bootstrap: str, topics: list[str], source: str) -> list[Read]:
    """All records of the topics that a source published, in the order of each partition."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "reading", "enable.auto.commit": False, "log_level": 2}
    )
    places = [TopicPartition(t, p, OFFSET_BEGINNING) for t in topics for p in range(TOPICS[t].partitions)]
    ends = {(p.topic, p.partition): _ends(consumer, p) for p in places}
    consumer.assign([p for p in places if ends[p.topic, p.partition][1] > ends[p.topic, p.partition][0]])
    left = {place for place, (low, high) in ends.items() if high > low}
    schemas = {t: fastavro.parse_schema(TOPICS[t].record.schema) for t in topics}
    found = []
    while left:
        message = consumer.poll(10)
        assert message is not None, f"nothing more from {left}"
        assert message.error() is None
        topic, partition, offset, value = message.topic(), message.partition(), message.offset(), message.value()
        assert topic is not None and partition is not None and offset is not None and value is not None
        origin = origin_of(message.headers())
        if topic == REPORTS_TOPIC or origin.source == source:  # others put there what cannot be read
            record: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), schemas[topic], None)
            if record["source"] == source:  # reports have no header
                key = message.key()
                assert isinstance(key, bytes)
                found.append(Read(topic, partition, key, origin, record, value))
        if offset + 1 >= ends[topic, partition][1]:
            left.discard((topic, partition))
    consumer.close()
    return found


def _ends(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """First and next offset of a partition; a broker that has just come back may not lead it yet."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return consumer.get_watermark_offsets(place, timeout=10)
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def once(found: list[Read]) -> list[Read]:
    """Without the copies of a record that its producer sent twice; the platform knows them by producer and sequence."""
    return list({one.origin: one for one in found}.values())
