"""The buckets of one family and source partition: staged rows become cumulative records with the offset they include.

In: `Rows` that count, in offset order; stored records.
Out: records of the buckets that changed.
Never: a row counted twice: while rows are replayed, each bucket skips those at or below its own offset.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from schemas.distinct import numbered
from schemas.windows import DAY, HOUR, LEVELS, MINUTE, bucket_of
from stream_apps.compute.buckets import Bucket
from stream_apps.compute.cells import Cells, cells_of, rolled
from stream_apps.compute.plan import GroupPlan, Plan, Rows, joined
from stream_apps.compute.records import Key, Record, Records
from stream_apps.compute.swept import KEEP_MS, Swept

Array = np.ndarray[Any, np.dtype[Any]]
#: What all partitions of a worker hold as arrays, and what each may hold whatever the others do. Late rows of many dimensions touch
#: tens of megabytes of sketches again and again: a share that is too small packs and unpacks them in every checkpoint.
HOT_BYTES, FLOOR_BYTES = 192 << 20, 4 << 20


class HotPool:
    """Bytes of arrays that the partitions of one worker share.

    Parameters
    ----------
    limit, floor
        Bytes of all, and bytes of one below which it drops nothing.
    """

    def __init__(self, limit: int = HOT_BYTES, floor: int = FLOOR_BYTES) -> None:
        self.limit, self.floor, self.total = limit, floor, 0


class State:
    """Cumulative buckets over a store of records; only recently touched buckets are held as arrays.

    Parameters
    ----------
    plan
        What to compute.
    records
        Where the records of cold buckets are found; the caller puts in what `flush` gave, before the next flush.
    zone
        Reporting zone of the day buckets.
    pool
        Bytes that it shares with other partitions; one of its own by default.
    floor
        A test's control: how the offset rule finds the offset that a bucket includes.
    swept
        Buckets that were given up: rows for them are counted in `cold`, by level, and change nothing.
    """

    def __init__(
        self,
        plan: Plan,
        records: Records,
        *,
        zone: str = "UTC",
        pool: HotPool | None = None,
        floor: Callable[[Records, int, int], int] = Records.offset,
        swept: Swept | None = None,
    ) -> None:
        self._plan, self._records, self._zone, self._floor = plan, records, zone, floor
        self._pool = HotPool() if pool is None else pool
        self._hot: OrderedDict[tuple[int, int], Bucket] = OrderedDict()
        self._staged: list[Rows] = []
        self._restored = records.restored
        self.size_bytes = 0
        self.swept = Swept() if swept is None else swept
        #: Rows that came for a bucket that was given up, by level, since the last flush.
        self.cold = dict.fromkeys(LEVELS, 0)

    def stage(self, rows: Rows) -> None:
        """Keep rows for the next flush."""
        if len(rows):
            self._staged.append(rows)

    def flush(self, offset: int, now_ms: int) -> Iterator[Record]:
        """Records of what the staged rows changed; the buckets then include everything up to `offset`."""
        self.cold = dict.fromkeys(LEVELS, 0)
        if self._staged:
            rows = joined(self._staged)
            self._staged = []
            for part, levels in self._warm(rows):
                self._apply(part, levels)
        touched = [b for b in reversed(self._hot.values()) if b.dirty or any(g.moved for g in b.groups)]
        for bucket in touched:
            yield from bucket.records(offset, now_ms)
        self._evict()

    def sweep(self, clock_ms: int, fresh: set[tuple[int, int]]) -> list[tuple[Key, int]]:
        """Give up the buckets that nothing touched for `KEEP_MS`; returns (key, writer) of their records, to be deleted.

        `fresh` has the (level, bucket) whose records are about to be stored.
        """
        gone: list[tuple[Key, int]] = []
        for level, keep_ms in KEEP_MS.items():
            for bucket in self._records.untouched(level, clock_ms - keep_ms):
                if (level, bucket) in fresh:
                    continue
                self.swept.add(level, bucket)
                self._hot.pop((level, bucket), None)
                gone += self._records.keys_of(level, bucket)
        return gone

    def _warm(self, rows: Rows) -> Iterator[tuple[Rows, tuple[int, ...]]]:
        """The rows with the levels at which their buckets are held; nearly always all of them."""
        if not self.swept:
            yield rows, LEVELS
            return
        minutes, inverse = numbered(rows.minute)
        cold = np.zeros(len(rows), np.int64)
        for level in LEVELS:
            missed = self.swept.holds(level, self._buckets_of(minutes, level))[inverse]
            cold |= missed.astype(np.int64) << level
            self.cold[level] += int((missed & (rows.offset > self._restored)).sum())
        for pattern in np.unique(cold).tolist():
            levels = tuple(level for level in LEVELS if not pattern >> level & 1)
            at = np.flatnonzero(cold == pattern)
            yield rows.map(lambda a, at=at: a[at]), levels  # type: ignore[misc]

    def _apply(self, rows: Rows, levels: tuple[int, ...]) -> None:
        minutes, inverse = numbered(rows.minute)
        of_level = {level: self._buckets_of(minutes, level) for level in levels}
        replayed = int(rows.offset[0]) <= self._restored
        skips = {level: self._included(rows, (level, of_level[level]), inverse) for level in levels} if replayed else {}
        for g, group in enumerate(self._plan.groups):
            dims = group.interner([rows.codes[c] for c in group.interner.columns])
            whole = cells_of(group, rows, dims, additive=not replayed)
            for level in levels:
                at = of_level[level][np.searchsorted(minutes, whole.bucket)]
                self._merge(g, level, whole if level == MINUTE else rolled(whole, at), additive=not replayed)
                if replayed:
                    self._replay(g, group, rows, dims, level, skips[level])

    def _replay(self, g: int, group: GroupPlan, rows: Rows, dims: Array, level: int, included: Array) -> None:
        """Add the rows that the level's buckets do not include; registers are idempotent and were merged as a whole."""
        kept = np.flatnonzero(~included)
        if not len(kept):
            return
        cells = cells_of(group, rows.map(lambda a: a[kept]), dims[kept], sketches=False)
        if level != MINUTE:
            minutes, inverse = numbered(cells.bucket)
            cells = rolled(cells, self._buckets_of(minutes, level)[inverse])
        self._merge(g, level, cells, sketches=False)

    def _included(self, rows: Rows, bucket: tuple[int, Array], inverse: Array) -> Array:
        """Which rows are in the record of their bucket already; `bucket` has one number per distinct minute."""
        level, numbers = bucket
        floors = np.array([self._floor(self._records, level, b) for b in numbers.tolist()], np.int64)
        out: Array = rows.offset <= floors[inverse]
        return out

    def _buckets_of(self, minutes: Array, level: int) -> Array:
        if level == MINUTE:
            return minutes
        if level == HOUR:
            return minutes // 60
        return np.array([bucket_of(m * 60_000, DAY, self._zone) for m in minutes.tolist()], np.int64)

    def _merge(self, g: int, level: int, cells: Cells, *, additive: bool = True, sketches: bool = True) -> None:
        starts = np.flatnonzero(np.concatenate(([True], cells.bucket[1:] != cells.bucket[:-1]))).tolist()
        for start, end in zip(starts, [*starts[1:], len(cells.bucket)], strict=True):
            bucket = self._bucket(level, int(cells.bucket[start]))
            if additive:
                bucket.groups[g].add(cells, start, end)
                bucket.dirty = True
            if sketches and cells.seen:
                bucket.groups[g].see(cells, start, end)

    def _bucket(self, level: int, number: int) -> Bucket:
        held = self._hot.get((level, number))
        if held is None:
            held = self._hot[level, number] = Bucket(self._plan.groups, level, number)
            held.load(self._records.of(level, number))
        self._hot.move_to_end((level, number))
        return held

    def _evict(self) -> None:
        """Drop the arrays of the buckets that were touched longest ago, until all partitions together are within the limit."""
        sizes = {key: bucket.size_bytes for key, bucket in self._hot.items()}
        held = sum(sizes.values())
        self._pool.total += held - self.size_bytes
        self.size_bytes = held
        for key, size in sizes.items():
            if self._pool.total <= self._pool.limit or self.size_bytes <= self._pool.floor:
                return
            del self._hot[key]
            self.size_bytes -= size
            self._pool.total -= size
