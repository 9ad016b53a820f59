"""A broker of the benchmark's own, loaded topics, and cases run one at a time in processes of their own.

In: cases. Out: CPU seconds of each. Never: the loading in a measured figure.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from infra.embedded.kafka import KafkaServer
from infra.embedded.kafka_jars import fetch_jars
from schemas.origin import ORIGIN_HEADER, SEPARATOR

#: Whose the records are, before their number.
ORIGIN = SEPARATOR.join(("bench", "0" * 32, ""))


@contextmanager
def broker() -> Iterator[str]:
    """Address of a real broker in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="footlights-bench-") as folder:
        server = KafkaServer(Path(folder) / "kafka", fetch_jars())
        server.start(timeout=60)
        try:
            yield server.bootstrap
        finally:
            server.stop()


def create(bootstrap: str, topic: str, partitions: int, **config: str) -> None:
    """Create a topic whose records keep the broker's clock."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    created = admin.create_topics(
        [NewTopic(topic, partitions, 1, config={"message.timestamp.type": "LogAppendTime", **config})]
    )
    created[topic].result()


def load(bootstrap: str, topic: str, records: Iterable[tuple[bytes, bytes]]) -> int:
    """Publish (key, value) pairs in order, with the header that the SDK gives them; returns how many, all acknowledged."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 20, "compression.type": "zstd",
         "queue.buffering.max.messages": 2_000_000, "partitioner": "murmur2_random"}
    )  # fmt: skip
    count = 0
    for key, value in records:
        while True:
            try:
                producer.produce(topic, value, key, headers=[(ORIGIN_HEADER, f"{ORIGIN}{count + 1}")])
                break
            except BufferError:
                producer.poll(0.1)
        count += 1
    left = producer.flush(60)
    if left:
        raise TimeoutError(f"{left} of {count} records were not acknowledged")
    return count
