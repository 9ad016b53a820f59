"""Records for the sinks: valid ones, repeats, invalid ones, bytes that are no Avro; and what must come of them."""

import io
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.avro_batch import frame_header
from schemas.families import FAMILIES
from schemas.origin import ORIGIN_HEADER

TOPIC = "events.commerce"
FAMILY = FAMILIES["commerce"]
SCHEMA = fastavro.parse_schema(FAMILY.schema)
START_MS = 1_764_000_000_000
DAY_MS = 86_400_000


def message_id(rng: random.Random, at_ms: int) -> str:
    time = f"{at_ms:012x}"
    return f"{time[:8]}-{time[8:]}-7{rng.getrandbits(12):03x}-8{rng.getrandbits(12):03x}-{rng.getrandbits(48):012x}"


def record(rng: random.Random, at_ms: int, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {f.name: None for f in FAMILY.fields}
    found.update(
        tenant_id="default", message_id=message_id(rng, at_ms), event_name="ticket_purchased", occurred_at_ms=at_ms,
        sent_at_ms=at_ms, received_at_ms=at_ms, user_id=f"{rng.getrandbits(128):032x}", pseudonym_version=1, source="shop",
        producer_id="p1", sequence=1, automatic=False, properties="{}", amount_minor=50_000, currency="INR", quantity=1,
    )  # fmt: skip
    return found | changes


@dataclass
class Traffic:
    """Sends records of a seed to one topic; every record gets the next sequence of its producer."""

    bootstrap: str
    schema_id: int
    seed: int = 1
    sequence: int = 0
    sent: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self._producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5, "enable.idempotence": True})

    def send(self, found: dict[str, Any], *, partition: int | None = None) -> None:
        self.sequence += 1
        self.send_again({**found, "sequence": self.sequence}, partition=partition)

    def send_again(self, found: dict[str, Any], *, partition: int | None = None) -> None:
        """Publish a record under the number that it has."""
        buffer = io.BytesIO()
        buffer.write(frame_header(self.schema_id))
        fastavro.schemaless_writer(buffer, SCHEMA, found)
        self.sent.append(found)
        self.raw(buffer.getvalue(), partition=self._partition(found) if partition is None else partition)

    def raw(self, payload: bytes, *, partition: int, headers: bool = True, number: int | None = None) -> None:
        """Publish bytes; `number` is told in the header, by default the newest one."""
        told = str(self.sequence if number is None else number).encode()
        own = [(ORIGIN_HEADER, b"shop\x1fp1\x1f" + told)] if headers else []
        self._producer.produce(TOPIC, payload, b"key", partition=partition, headers=own)
        self._producer.poll(0)

    def garbage(self, *, partition: int, number: int | None = None) -> None:
        """A numbered record that does not decode; a copy of one when its `number` is given."""
        self.sequence += number is None
        self.raw(frame_header(self.schema_id) + b"\x02", partition=partition, number=number)

    def mixed(self, amount: int, *, span_ms: int = DAY_MS) -> None:
        """Records over a span of event time, of which some are repeats, collisions, invalid, garbage or beyond the horizon."""
        for i in range(amount):
            at = START_MS + i * span_ms // amount
            draw = self.rng.random()
            if draw < 0.10 and self.sent:
                self.send(self.rng.choice(self.sent))
            elif draw < 0.11 and self.sent:
                self.send(
                    {**self.rng.choice(self.sent), "order_id": f"o{i}"}
                )  # another event under an id that is taken
            elif draw < 0.12:
                self.send(record(self.rng, at, quantity=-1))
            elif draw < 0.14:
                self.garbage(partition=self.rng.randrange(2))
            elif draw < 0.16:
                self.send(record(self.rng, at, received_at_ms=at + 40 * DAY_MS))
            else:
                self.send(record(self.rng, at))

    def flush(self) -> None:
        assert self._producer.flush(30) == 0

    def _partition(self, found: dict[str, Any]) -> int:
        return int(found["message_id"][-1], 16) % 2


@dataclass
class Truth:
    """What an independent reader makes of the log."""

    stored: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    repeats: dict[tuple[int, int], int] = field(default_factory=dict)
    collisions: set[tuple[int, int]] = field(default_factory=set)
    refused: Counter[int] = field(default_factory=Counter)


def truth(bootstrap: str, partitions: int = 2) -> Truth:
    """Read the topic record by record, with fastavro alone."""
    out = Truth()
    for partition in range(partitions):
        first: dict[str, int] = {}
        for offset, payload in _log(bootstrap, partition):
            found = _decoded(payload)
            if found is None or (found["quantity"] or 0) < 0:
                out.refused[partition] += 1
            elif found["message_id"] in first:
                out.repeats[partition, offset] = first[found["message_id"]]
                if _said(found) != _said(out.stored[partition, first[found["message_id"]]]):
                    out.collisions.add((partition, offset))
            else:
                first[found["message_id"]] = offset
                out.stored[partition, offset] = found
    return out


def _said(found: dict[str, Any]) -> dict[str, Any]:
    """What a record says, as far as these tests ever let it differ."""
    carried = ("producer_id", "sequence", "sent_at_ms", "received_at_ms", "city")
    return {name: value for name, value in found.items() if name not in carried}


def ends(bootstrap: str, topic: str = TOPIC, partitions: int = 2) -> dict[int, int]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "ends"})
    try:
        return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), 10)[1] for p in range(partitions)}
    finally:
        consumer.close()


def _decoded(payload: bytes) -> dict[str, Any] | None:
    body = io.BytesIO(payload[5:])
    try:
        found: dict[str, Any] = fastavro.schemaless_reader(body, SCHEMA)  # type: ignore[assignment]
    except (EOFError, ValueError, IndexError, TypeError):
        return None
    return found if not body.read(1) else None


def _log(bootstrap: str, partition: int) -> Iterator[tuple[int, bytes]]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "truth", "enable.auto.commit": False})
    low, end = consumer.get_watermark_offsets(TopicPartition(TOPIC, partition), 10)
    consumer.assign([TopicPartition(TOPIC, partition, low)])
    at = low
    try:
        while at < end:
            for message in consumer.consume(5000, 1):
                assert message.error() is None
                at = (message.offset() or 0) + 1
                yield at - 1, message.value() or b""
    finally:
        consumer.close()
