"""The records of one partition that were fetched and are not yet written.

In: answers to fetches in offset order.
Out: batches with their records.
Never: another cut than the store's own plan, as long as there is one.

What waits is kept as Kafka stores it, a tenth of what its records take in memory; they are made of it when their batch is cut.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter

import structlog

from sinks.batch import Batch
from sinks.config import POINTS, SinkConfig
from sinks.dedup import SeenIds
from sinks.record_batches import CorruptBatch, Fetched, Record

log = structlog.get_logger(__name__)

_OFFSET = attrgetter("offset")
_SAMPLE = 64


@dataclass
class Partition:
    """A partition that this process owns; one batch of it is in flight at a time.

    `next` is the offset behind what was cut, `expected` the one behind what is held, `size` the stored bytes that are held.
    """

    topic: str
    number: int
    next: int
    plan: tuple[int, int] | None
    seen: SeenIds | None
    expected: int = field(init=False)
    size: int = 0
    since: float = 0.0
    _held: deque[Fetched] = field(default_factory=deque)
    #: What the last cut left of an answer, and the offset behind that.
    _rest: list[Record] = field(default_factory=list)
    _rest_behind: int = 0

    def __post_init__(self) -> None:
        self.expected = self.next

    @property
    def rows(self) -> int:
        """Offsets that are held."""
        return self.expected - self.next

    def add(self, fetched: Fetched, now: float) -> None:
        """Take what was fetched from `expected` on; `now` is a monotonic clock, in seconds."""
        if fetched.missing:
            log.error(
                "sink_found_gap_in_log",
                topic=self.topic,
                partition=self.number,
                at=self.expected,
                missing=fetched.missing,
            )
        if not self.rows:
            self.since = now
        self._held.append(fetched)
        self.expected = fetched.behind
        self.size += len(fetched.data)

    @property
    def ready(self) -> bool:
        """Whether a batch can be cut."""
        return self.rows > 0 and (self.plan is None or self.expected > self.plan[1])

    def due(self, now: float, *, rows: int, size: int, seconds: float) -> bool:
        """Whether a batch is to be cut now."""
        full = self.plan is not None or self.rows >= rows or self.size >= size
        return self.ready and (full or now - self.since >= seconds)

    def cut(self, rows: int, size: int) -> tuple[Batch, list[Record]]:
        """Take out a batch and its records: the planned range, else at most `rows` and, but for the last answer, some `size` bytes.

        Without records, as of an aborted transaction, it is not to be written. What is left behind is due at once: `since` stays.

        Raises
        ------
        CorruptBatch
            A record batch has another checksum. Nothing is held any more: all is to be fetched again, from `expected` on.
        """
        begin, plan, out = self.next, self.plan, list[Record]()
        try:
            while self.next <= plan[1] if plan else self._room(len(out), rows, size):
                records, behind = self._unit()
                count = bisect_left(records, plan[1] + 1, key=_OFFSET) if plan else min(rows - len(out), len(records))
                self._rest, self._rest_behind = records[count:], behind
                del records[count:]
                out += records
                size -= _size_of(records)
                self.next = self._rest[0].offset if self._rest else behind
        except CorruptBatch:
            self._held.clear()
            self._rest, self.size, self.next, self.expected = [], 0, begin, begin
            raise
        self.plan = None
        first, last = plan or (out[0].offset if out else begin, out[-1].offset if out else begin)
        return Batch(self.topic, self.number, first, last, begun=plan is not None), out

    def _room(self, taken: int, rows: int, size: int) -> bool:
        """Whether a batch with so many records takes more: answers as a whole, as long as it has any."""
        if not self.rows or taken >= rows or size <= 0:
            return False
        return not taken or bool(self._rest) or taken + self._held[0].behind - self._held[0].start <= rows

    def _unit(self) -> tuple[list[Record], int]:
        """Records of one answer, or what is left of it, and the offset behind them."""
        if self._rest:
            return self._rest, self._rest_behind
        one = self._held[0]
        records = one.records()
        self._held.popleft()
        self.size -= len(one.data)
        return records, one.behind


def _size_of(records: list[Record]) -> int:
    """Bytes of the payloads, as far as some of them tell: what comes in one answer is much alike."""
    told = [len(r.value or b"") for r in records[:: max(1, len(records) // _SAMPLE)]]
    return sum(told) * len(records) // max(1, len(told))


def to_cut(owned: Iterable[Partition], now: float, config: SinkConfig) -> list[Partition]:
    """Partitions whose batches are to be written together now, [] when none is due.

    What waits goes along: to the store an insert costs much, and a row of it little. But events do not go along with points, which
    come every second and wait for next to nothing.
    """
    held, c = list(owned), config
    waits = {POINTS: c.points_s}
    due = [p for p in held if p.due(now, rows=c.flush_rows, size=c.flush_bytes, seconds=waits.get(p.topic, c.flush_s))]
    alone = all(p.topic == POINTS for p in due)
    return [p for p in held if due and p.ready and (p.topic == POINTS or not alone)]
