"""One Faust message for a run of records of one partition.

In: aiokafka's records of one partition, ascending offsets. Out: RecordBatch values in the agent's stream.
Never: a payload is decoded or copied here.
"""

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import faust
import numpy as np
from faust.types import AppT, EventT
from faust.types.tuples import TP, ConsumerMessage, Message

from stream_apps.transport.ledger import Slot

Array = np.ndarray[Any, np.dtype[np.int64]]


class Record(Protocol):
    """What aiokafka's own records and its ConsumerRecord have in common."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Run(list[Record]):
    """Records that were read one after the other, and the offsets `begin` … `behind` - 1 that reading them passed.

    There are more offsets than records where a transaction ended (its marker takes an offset) or was aborted. `missing` counts
    the offsets among them that no record batch of the log holds: only compaction, and a fault, leave such holes. A run is true when
    it passed an offset, even one without a record.
    """

    def __init__(self, records: Iterable[Record] = (), *, begin: int, behind: int, missing: int = 0) -> None:
        super().__init__(records)
        self.begin, self.behind, self.missing = begin, behind, missing

    def __bool__(self) -> bool:
        return self.behind > self.begin

    def join(self, later: "Run") -> None:
        """Append the run that follows; offsets between the two count as missing."""
        self.extend(later)
        self.missing += later.missing + max(0, later.begin - self.behind)
        self.behind = max(self.behind, later.behind)


def run_of(records: Sequence[Record]) -> Run:
    """The run of records of which nothing else is known, at least one: what lies between them is missing."""
    if isinstance(records, Run):
        return records
    begin, behind = records[0].offset, records[-1].offset + 1
    return Run(records, begin=begin, behind=behind, missing=behind - begin - len(records))


class RecordBatch:
    """A run of records of one partition, ascending offsets, undecoded; without a record when transactions took all offsets.

    `highwater` is the offset after the last record of the log when the batch was fetched, `generation` the consumer
    group's generation and `epoch` the partition's count of position changes at that time.
    """

    __slots__ = ("epoch", "generation", "highwater", "records", "tp")

    def __init__(self, tp: TP, records: Sequence[Record], *, highwater: int, generation: int, epoch: int) -> None:
        self.tp = tp
        self.records = run_of(records)
        self.highwater = highwater
        self.generation = generation
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.records)

    @property
    def first_offset(self) -> int:
        """The first offset that the batch covers, whether a record has it or a transaction."""
        return self.records.begin

    @property
    def last_offset(self) -> int:
        """The last offset that the batch covers."""
        return self.records.behind - 1

    @property
    def covered(self) -> int:
        """How many offsets from the first to the last are accounted for: all of them, unless the log has holes."""
        return self.records.behind - self.records.begin - self.records.missing

    @property
    def at_end(self) -> bool:
        """Whether the log held nothing beyond this batch when it was fetched."""
        return self.last_offset + 1 >= self.highwater

    def values(self) -> list[bytes | None]:
        return [r.value for r in self.records]

    def keys(self) -> list[bytes | None]:
        return [r.key for r in self.records]

    def offsets(self) -> Array:
        """Offsets, int64."""
        first, behind = self.first_offset, self.last_offset + 1
        if behind - first == len(self.records):  # ascending, so each follows the other
            return np.arange(first, behind)
        return np.array([r.offset for r in self.records], np.int64)

    def timestamps(self) -> Array:
        """Kafka's timestamps in milliseconds, int64; with LogAppendTime they never fall."""
        return np.array([r.timestamp for r in self.records], np.int64)

    def headers(self) -> list[Sequence[tuple[str, bytes]]]:
        return [r.headers for r in self.records]

    def skip(self, offsets: int) -> "RecordBatch":
        """Return the batch without its first `offsets` offsets and the records that have them."""
        run = self.records
        begin = min(run.begin + offsets, run.behind)
        at = bisect_left(run, begin, key=lambda record: record.offset)
        rest = Run(run[at:], begin=begin, behind=run.behind, missing=run.missing)
        return RecordBatch(self.tp, rest, highwater=self.highwater, generation=self.generation, epoch=self.epoch)


class BatchMessage(ConsumerMessage):
    """Carries a RecordBatch; acknowledging it marks its slot in the partition's ledger."""

    __slots__ = ("_acked", "slot")

    def __init__(self, batch: RecordBatch, slot: Slot) -> None:
        self.slot = slot
        appended_ms = batch.records[-1].timestamp if len(batch) else 0
        super().__init__(
            batch.tp.topic,
            batch.tp.partition,
            batch.last_offset,
            appended_ms / 1000.0,
            0,
            None,
            None,
            cast(bytes, batch),  # Faust types payloads as bytes and only passes them on
            None,
            0,
            0,
            batch.tp,
            generation_id=batch.generation,
        )

    @property
    def acked(self) -> bool:
        return self._acked

    @acked.setter
    def acked(self, value: bool) -> None:
        self._acked = value
        if value:
            self.slot.finished = True


class BatchSchema(faust.Schema[None, RecordBatch]):
    """Hands the RecordBatch on as the event's value; decoding belongs to the agent."""

    def compile(self, app: AppT, **_: Any) -> Callable[..., Awaitable[EventT[Any]]]:
        create_event = app.create_event

        async def decode(message: Message, *, propagate: bool = False) -> EventT[Any]:
            headers: Mapping[str, bytes] = {}
            return create_event(None, message.value, headers, message)

        return decode
