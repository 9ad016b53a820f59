"""Record batches as a broker stores them, made of plain values."""

from collections.abc import Sequence
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from sinks.record_batches import Fetched, fetched

ZSTD = 4
#: Of a batch's head: where its length, its attributes, its producer and what its checksum covers begin.
LENGTH, CHECKSUM, ATTRIBUTES, PRODUCER = 8, 17, 21, 43
CONTROL = 0x20


def batch(offset: int, values: Sequence[bytes | None], *, producer: int | None = None, control: bool = False) -> bytes:
    """A record batch from `offset` on; of a transaction when it has a producer, and of its marker when `control` is set."""
    made = DefaultRecordBatchBuilder(2, ZSTD, producer is not None, -1, -1, -1, 1 << 24)
    for place, value in enumerate(values):
        made.append(
            place,
            1_700_000_000_000 + offset + place,
            b"key",
            value,
            [("origin", b"shop\x1fp\x1f%d" % (offset + place))],
        )
    raw = bytearray(made.build())
    raw[:LENGTH] = offset.to_bytes(8, "big")
    if producer is not None:
        raw[PRODUCER : PRODUCER + 8] = producer.to_bytes(8, "big")
    if control:
        raw[ATTRIBUTES + 1] |= CONTROL
    raw[CHECKSUM:ATTRIBUTES] = checksum(raw[ATTRIBUTES:])
    return bytes(raw)


def checksum(data: bytes | bytearray) -> bytes:
    from aiokafka.record.util import calc_crc32c

    crc: Any = calc_crc32c(data)
    return int(crc).to_bytes(4, "big")


def numbers(start: int, end: int, per: int = 3) -> Fetched:
    """An answer with the offsets start … end - 1, whose payloads are their offsets, `per` to a record batch."""
    parts = [batch(at, [b"%08d" % n for n in range(at, min(at + per, end))]) for at in range(start, end, per)]
    return fetched(b"".join(parts), start)
