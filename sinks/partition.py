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


@dataclass
class Partition:
    """A partition that this process owns; one batch of it is in flight at a time.

    `next` is the offset behind what was cut, `expected` the one behind what is held.
    """

    topic: str
    number: int
    next: int
    plan: tuple[int, int] | None
    seen: SeenIds | None
    expected: int = 0
    size: int = 0
    since: float = 0.0
    _held: deque[Fetched] = field(default_factory=deque)
    #: What the last cut left of a fetch.
    _rest: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.expected = self.next

    @property
    def rows(self) -> int:
        """Offsets that are held."""
        return self.expected - self.next

    def add(self, fetched: Fetched, now: float) -> None:
        """Take what was fetched from `expected` on; `now` is a monotonic clock, in seconds."""
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
        """Take out a batch and its records: those of the planned range, else at most `rows`.

        Once they have `size` bytes no further fetch is looked into. A batch without records, of an aborted transaction, is not to
        be written. What is left behind is due at once: `since` stays.

        Raises
        ------
        CorruptBatch
            A record batch has another checksum. Nothing is held any more: all is to be fetched again, from `expected` on.
        """
        try:
            records, behind = self._records(rows, size)
        except CorruptBatch:
            self._held.clear()
            self._rest, self.size, self.expected = [], 0, self.next
            raise
        if self.plan is not None:
            first, last = self.plan
            count = bisect_left(records, last + 1, key=attrgetter("offset"))
        else:
            count = min(rows, len(records))
            first, last = (records[0].offset, records[count - 1].offset) if records else (self.next, behind - 1)
        self._rest = records[count:]
        del records[count:]
        begun, self.plan = self.plan is not None, None
        end = last + 1 if self._rest else behind
        if records and (missing := records[-1].offset + 1 - self.next - len(records)):
            log.error("sink_found_gap_in_log", topic=self.topic, partition=self.number, at=self.next, missing=missing)
        self.next = end
        return Batch(self.topic, self.number, first, last, begun), records

    def _records(self, rows: int, size: int) -> tuple[list[Record], int]:
        """Records for a batch, maybe more than it takes, and the offset behind them."""
        out, self._rest = self._rest, []
        behind = out[-1].offset + 1 if out else self.next
        while self._held:
            one = self._held[0]
            if self.plan is not None:
                enough = behind > self.plan[1]
            else:
                enough = bool(out) and (len(out) + one.behind - one.start > rows or size <= 0)
            if enough:
                break
            records = one.records()
            self._held.popleft()
            self.size -= len(one.data)
            size -= sum(map(len, [r.value or b"" for r in records]))
            out += records
            behind = one.behind
        return out, behind


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
