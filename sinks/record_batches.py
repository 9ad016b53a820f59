"""What a broker's answer to a fetch holds of one partition: record batches become records.

In: bytes of whole record batches and maybe a part of one more, the offset that was asked for, the aborted transactions among them.
Out: records in offset order, and the offset to ask for next.
Never: a record before that offset, of an aborted transaction, or of a batch with another checksum.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka.record.memory_records import MemoryRecords

#: Producer id, and the first offset of its transaction.
Aborted = tuple[int, int]


class Record(Protocol):
    """A record as aiokafka decodes it."""

    @property
    def offset(self) -> int:
        """Offset."""
        ...

    @property
    def timestamp(self) -> int:
        """Milliseconds of Kafka's timestamp: of the appending, where the topic is so configured."""
        ...

    @property
    def value(self) -> bytes | None:
        """Payload."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Headers."""
        ...


@dataclass(frozen=True)
class Fetched:
    """Record batches of one partition as they are stored: offsets start … behind - 1, of which `missing` are in none."""

    data: bytes
    start: int
    behind: int
    missing: int = 0
    aborted: Sequence[Aborted] = ()

    def records(self) -> list[Record]:
        """Decode; maybe there is none.

        Raises
        ------
        CorruptBatch
            See there; nothing is given then.
        """
        source, out = MemoryRecords(self.data), list[Record]()
        waiting, open_ = sorted(self.aborted, key=lambda one: one[1]), set[int]()
        while source.has_next():
            batch = source.next_batch()
            if not batch.validate_crc():
                raise CorruptBatch(f"a record batch at offset {batch.base_offset} has another checksum")
            while waiting and waiting[0][1] < batch.next_offset:
                open_.add(waiting.pop(0)[0])
            if batch.is_control_batch:  # the marker that ends a transaction, committed or aborted
                open_.discard(batch.producer_id)
            elif not (batch.is_transactional and batch.producer_id in open_):
                records = list(batch)
                # A fetch may begin in the middle of a record batch.
                out += records if batch.base_offset >= self.start else [r for r in records if r.offset >= self.start]
        return out


class CorruptBatch(Exception):
    """A record batch has another checksum: it is to be fetched again."""


def fetched(data: bytes, start: int, aborted: Sequence[Aborted] = ()) -> Fetched:
    """An answer to a fetch from `start` on; `behind` equals `start` when it has no whole record batch."""
    source, behind, missing = MemoryRecords(data), start, 0
    while source.has_next():
        batch = source.next_batch()
        missing += max(0, batch.base_offset - behind)
        behind = max(behind, batch.next_offset)
    return Fetched(data, start, behind, missing, aborted)
