"""One family's source partition: rows in, verdicts and cumulative records out, the same whatever restarts lie between.

In: `Rows` in offset order with their log-append times; stored records.
Out: the records of a checkpoint.
Never: the clock, or a row counted twice or not at all.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgpack
import numpy as np

from schemas.partials import HEAD, HEAD_LEVEL, Head, pack_head, unpack_head
from stream_apps.compute.breaker import Breaker
from stream_apps.compute.dedup import WINDOW_MS, Deduplicator
from stream_apps.compute.plan import Plan, Rows
from stream_apps.compute.records import Key, Record, Records
from stream_apps.compute.state import HOT_BYTES, HotPool, State
from stream_apps.compute.swept import EVERY_MS, Swept

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Rules:
    """What a partition keeps to. With a `pool` it shares its memory with others, else it has `hot_bytes` of its own.

    `offset_floor` and `verdicts` are switched off by control tests only.
    """

    zone: str = "UTC"
    window_ms: int = WINDOW_MS
    hot_bytes: int = HOT_BYTES
    pool: HotPool | None = None
    offset_floor: Callable[[Records, int, int], int] = Records.offset
    verdicts: bool = True


@dataclass(frozen=True)
class Checkpoint:
    """What a flush gives: records for the KPI stage and the changelog (`records`), for the changelog alone (`ids`, `head`), and
    what to delete once all of these are safe: `drops` of every writer, `swept` with its writer. `cold`: new rows that came for
    buckets that were given up, by level."""

    offset: int
    head: Head
    records: list[Record]
    ids: list[Record]
    stored_head: Record
    drops: list[Key]
    swept: list[tuple[Key, int]]
    cold: dict[int, int]


@dataclass
class Counters:
    """Cumulative since the topic's start; only rows beyond the stored head are added."""

    rows: int = 0
    late: int = 0
    duplicates: int = 0
    dead_lettered: int = 0
    excluded: int = 0


@dataclass
class Partition:
    """State of one (family, source partition). `offset` is the last source offset taken, -1 before the first."""

    plan: Plan
    records: Records
    rules: Rules = field(default_factory=Rules)
    resume_dead_letters: bool = False
    offset: int = field(init=False, default=-1)
    max_event_ms: int | None = field(init=False, default=None)
    waiting: int = field(init=False, default=0)  # records since the last flush

    def __post_init__(self) -> None:
        rules = self.rules
        self.dedup = Deduplicator(window_ms=rules.window_ms, verdicts=rules.verdicts)
        self.counters, self.breaker, self._swept = Counters(), Breaker(), Swept()
        clock_ms = self._restore(self.records.head())
        self.state = State(
            self.plan,
            self.records,
            zone=rules.zone,
            pool=rules.pool or HotPool(rules.hot_bytes, floor=0),
            floor=rules.offset_floor,
            swept=self._swept,
        )
        self._swept_ms = clock_ms
        self.dedup.load(self.records.ids(), clock_ms)
        self._counted = self.offset

    def _restore(self, stored: Record | None) -> int:
        if stored is None:
            return -1
        packed, clock_ms, tallies, run, swept = msgpack.unpackb(stored.body)
        self._swept = Swept(swept)
        head = unpack_head(packed)
        self.offset, self.max_event_ms = head.offset, head.max_event_ms
        self.counters = Counters(head.rows, head.late, head.duplicates, head.dead_lettered, head.excluded)
        if not self.resume_dead_letters:
            self.breaker = Breaker([tuple(t) for t in tallies], run)
        return int(clock_ms)

    def take(self, rows: Rows, appended_ms: Array, *, last_offset: int, seen: int, bad: list[int]) -> None:
        """Take a batch whose first offset is at most `offset` + 1.

        Parameters
        ----------
        rows
            The valid rows, in offset order; `appended_ms` has their log-append times.
        last_offset
            Last offset of the batch, bad records included.
        seen
            Offsets that the batch covers: its records, and what a transaction took among them.
        bad
            Offsets of those that were refused, ascending.
        """
        first = last_offset - seen + 1
        fresh = self.dedup(rows.key, rows.shard, rows.offset, appended_ms)
        kept = fresh & rows.counts
        self._tally(rows, fresh, kept)
        beyond = max(0, self._counted + 1 - first)  # records that the stored head counts already
        new_bad = [o - first - beyond for o in bad if o > self._counted]
        self.counters.dead_lettered += len(new_bad)
        self.breaker.count(seen - beyond, new_bad)
        if kept.any():
            newest = int(rows.event_ms[kept].max())
            self.max_event_ms = newest if self.max_event_ms is None else max(self.max_event_ms, newest)
            self.state.stage(rows if kept.all() else rows.map(lambda a: a[kept]))
        self.offset = max(self.offset, last_offset)
        self._counted = max(self._counted, last_offset)
        self.waiting += seen

    def _tally(self, rows: Rows, fresh: Array, kept: Array) -> None:
        new = rows.offset > self._counted
        if not new.all():
            fresh, kept, counts, late = fresh[new], kept[new], rows.counts[new], rows.late[new]
        else:
            counts, late = rows.counts, rows.late
        self.counters.rows += int(kept.sum())
        self.counters.late += int((kept & late).sum())
        self.counters.duplicates += int((~fresh).sum())
        self.counters.excluded += int((fresh & ~counts).sum())

    def head(self, generation: int, *, at_end: bool, read_at_ms: int) -> Head:
        """Where the partition stands."""
        c = self.counters
        return Head(
            self.offset, generation, self.max_event_ms, at_end, read_at_ms,
            c.rows, c.late, c.duplicates, c.dead_lettered, c.excluded,
        )  # fmt: skip

    def flush(self, generation: int, committed: int, *, at_end: bool, read_at_ms: int) -> Checkpoint:
        """Everything that changed since the last flush. The caller stores the records before the next batch is taken.

        `committed` is the first source offset that a restart would read again. A checkpoint that failed half-way leaves the
        object useless: make a new one from what was stored.
        """
        head = self.head(generation, at_end=at_end, read_at_ms=read_at_ms)
        ids, drops = self.dedup.flush(self.offset, committed)
        records = list(self.state.flush(self.offset, self.dedup.clock_ms))
        tallies, run = self.breaker.dump()
        swept = self._sweep(records)
        body = msgpack.packb([pack_head(head), self.dedup.clock_ms, tallies, run, self._swept.dump()])
        stored = Record(HEAD_LEVEL, 0, HEAD, "", self.offset, self.dedup.clock_ms, body)
        self.waiting = 0
        return Checkpoint(self.offset, head, records, ids, stored, drops, swept, dict(self.state.cold))

    def _sweep(self, written: list[Record]) -> list[tuple[Key, int]]:
        """What is given up now. The log's own clock decides, so an idle partition keeps what it has."""
        if self.dedup.clock_ms - self._swept_ms < EVERY_MS:
            return []
        self._swept_ms = self.dedup.clock_ms
        return self.state.sweep(self.dedup.clock_ms, {(r.level, r.bucket) for r in written})

    @property
    def size_bytes(self) -> int:
        """Bytes of hot buckets, ids and stored records."""
        return self.state.size_bytes + self.dedup.size_bytes + self.records.size_bytes
