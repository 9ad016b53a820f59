"""What each source partition contributes to each bucket, and the buckets that they add up to.

In: partials of the measures stage.
Out: buckets of one level, hot ones as cells, and which series of which buckets changed.
Never: an older contribution over a newer one, or one that is added twice: a newer one replaces, sketches unite.

A contribution's identity is (family, source partition, level, bucket): its record is cumulative up to its source offset. Buckets
that were not touched for long are dropped from memory and made again from the stored records when they are asked for.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np

from schemas.catalogue import MEASURES
from schemas.cells import Cells, Key, key_of
from schemas.partials import ADDITIVE, SKETCH, AdditivePart, unpack_additive, unpack_sketch
from stream_apps.compute.kpi.causes import Causes, Change, differences
from stream_apps.compute.records import Key as StoredKey
from stream_apps.compute.records import Record, Records
from stream_apps.compute.swept import DAY_MS, KEEP_MS, Swept

HOT_BUCKETS = 6_000
#: A day longer than the measures stage keeps its own part of a bucket, so that none of its records meets a bucket given up here.
KEPT_MS = {level: keep_ms + DAY_MS for level, keep_ms in KEEP_MS.items()}
Group = tuple[str, tuple[str, ...]]  # family, dimensions
Reach = tuple[str, int, str]  # family, level, tenant


class Changes:
    """Buckets that changed since they were last asked for: level, (family, dimensions), key to buckets."""

    def __init__(self) -> None:
        self.of: dict[int, dict[Group, dict[Key, set[int]]]] = {}

    def mark(self, level: int, group: Group, key: Key, bucket: int) -> None:
        """Note a change."""
        self.of.setdefault(level, {}).setdefault(group, {}).setdefault(key, set()).add(bucket)


class Contributions:
    """All contributions, over a store of records that a checkpoint writes.

    Parameters
    ----------
    records
        Stored records; new ones are put there and listed in `written` until the checkpoint takes them.
    """

    def __init__(
        self,
        records: Records,
        generation: int,
        newest: dict[Reach, int] | None = None,
        swept: Swept | None = None,
    ) -> None:
        self._records, self._generation = records, generation
        self._hot: OrderedDict[tuple[int, int], Cells] = OrderedDict()
        self._parts: dict[tuple[int, int, str], list[AdditivePart]] = {}
        self.changes, self.causes = Changes(), Causes()
        self.written: dict[tuple[int, int, str, str], Record] = {}
        self.superseded: list[tuple[tuple[int, int, str, str], int]] = []
        #: (family, level, tenant) to the greatest bucket that holds a row.
        self.newest: dict[Reach, int] = newest or {}
        #: What `newest` said at the last evaluation, of those that have grown since; None when it said nothing.
        self.grown: dict[Reach, int | None] = {}
        #: Buckets that were given up, and how many records came for them all the same.
        self.swept, self.cold = Swept() if swept is None else swept, 0

    def take(self, partial: dict[str, Any], offset: int, now_ms: int, *, closed_from: int | None = None) -> None:
        """Take an additive record or a sketch piece; `offset` is its own in the `measures` topic.

        `closed_from` is not None when the family's watermark has passed the bucket, so that a change may restate final figures;
        it is the last source offset that was told before, or -1.
        What is stored already marks its series as changed all the same: after a crash nobody knows whether they were published.
        """
        level, bucket, family, partition = partial["level"], partial["bucket"], partial["family"], partial["partition"]
        if self.swept and self.swept.has(level, bucket):
            self.cold += 1
            return
        cells = self.cells(level, bucket)
        origin = f"{family}/{partition}"
        if partial["kind"] == ADDITIVE:
            fresh = self._replace(cells, level, bucket, family, origin, partial, closed_from)
            piece = origin
        else:
            self._unite(cells, level, bucket, partial, closed_from is not None)
            piece = f"{origin}/{partial['piece']}/{partial['generation']}"
            # A piece that its writer told again holds what it held before: read once more after a crash, the older is no news.
            old = self._records.newest(level, bucket, SKETCH, piece)
            fresh = old is None or offset > old.offset
        if fresh:
            stamp = partial["offset"] if partial["kind"] == ADDITIVE else offset
            record = Record(level, bucket, partial["kind"], piece, stamp, now_ms, partial["body"])
            self.superseded += self._records.put(self._generation, record)
            self.written[record.key] = record

    def _replace(
        self,
        cells: Cells,
        level: int,
        bucket: int,
        family: str,
        origin: str,
        partial: dict[str, Any],
        closed_from: int | None,
    ) -> bool:
        parts = unpack_additive(partial["body"])
        place = (level, bucket, origin)
        old = self._records.newest(level, bucket, ADDITIVE, origin)
        if old is not None and partial["offset"] <= old.offset:
            self._mark(level, bucket, family, parts, {})
            return False
        before = [] if old is None else self._parts.get(place) or unpack_additive(old.body)
        self._mark(level, bucket, family, parts, _rows_of(before))
        if closed_from is not None:
            included = -1 if old is None else old.offset
            after = closed_from if included < closed_from < partial["offset"] else included
            self._note(level, bucket, partial, after, before, parts)
        for part in before:
            _add(cells, family, part, -1)
        for part in parts:
            _add(cells, family, part, 1)
        self._parts[place] = parts
        return True

    def _note(
        self,
        level: int,
        bucket: int,
        partial: dict[str, Any],
        after: int,
        before: list[AdditivePart],
        parts: list[AdditivePart],
    ) -> None:
        """Note what a record brings to a closed bucket; measures with dimensions move the whole too."""
        source = partial["family"], partial["partition"], after, partial["offset"]
        for by, key, rows, late, measures in differences(before, parts):
            self.causes.note(level, bucket, by, key, Change(*source, rows, late, measures))
            if by:
                self.causes.note(level, bucket, (), key[:1], Change(*source, 0, 0, measures))

    def _mark(self, level: int, bucket: int, family: str, parts: list[AdditivePart], before: dict[Any, int]) -> None:
        """Mark the series whose rows grew, and learn how far buckets reach."""
        for part in parts:
            for dims, rows in zip(part.dims, part.rows.tolist(), strict=True):
                if before.get((part.by, dims)) != rows:
                    key = key_of(dims)
                    self.changes.mark(level, (family, part.by), key, bucket)
                    place = (family, level, key[0])
                    known = self.newest.get(place)
                    if known is None or bucket > known:
                        self.grown.setdefault(place, known)
                        self.newest[place] = bucket

    def _unite(self, cells: Cells, level: int, bucket: int, partial: dict[str, Any], closed: bool) -> None:
        part, family = unpack_sketch(partial["body"]), partial["family"]
        for i, dims in enumerate(part.dims):
            key, grown = key_of(dims), set()
            for name, sketches in part.sketches.items():
                if name in MEASURES and len(sketches[i]) and cells.add(name, key, sketches[i]):
                    grown.add(name)
            if closed and grown:
                offset = partial["offset"]
                change = Change(family, partial["partition"], offset, offset, 0, 0, frozenset(grown))
                self.causes.note(level, bucket, part.by, key, change)
                if part.by:
                    self.causes.note(level, bucket, (), key[:1], change)
            self.changes.mark(level, (family, part.by), key, bucket)
            if part.by:
                self.changes.mark(level, (family, ()), key[:1], bucket)

    def cells(self, level: int, bucket: int) -> Cells:
        """A bucket's cells, made again from its records when they had gone cold."""
        place = (level, bucket)
        held = self._hot.get(place)
        if held is None:
            held = self._hot[place] = Cells()
            for record in self._records.of(level, bucket):
                family, partition = record.piece.split("/")[:2]
                if record.kind == ADDITIVE:
                    parts = self._parts[level, bucket, f"{family}/{partition}"] = unpack_additive(record.body)
                    for part in parts:
                        _add(held, family, part, 1)
                elif record.kind == SKETCH:
                    united = unpack_sketch(record.body)
                    for i, dims in enumerate(united.dims):
                        for name, sketches in united.sketches.items():
                            if name in MEASURES and len(sketches[i]):
                                held.add(name, key_of(dims), sketches[i])
        self._hot.move_to_end(place)
        return held

    def span(self, level: int, first: int, last: int) -> dict[int, Cells]:
        """Cells of the buckets first … last that hold anything."""
        return {b: self.cells(level, b) for b in range(first, last + 1) if self._known(level, b)}

    def _known(self, level: int, bucket: int) -> bool:
        return (level, bucket) in self._hot or self._records.holds(level, bucket)

    def sweep(self, now_ms: int) -> list[tuple[StoredKey, int]]:
        """Give up the buckets that nothing touched for `KEPT_MS`; returns (key, writer) of their records, to be deleted."""
        gone: list[tuple[StoredKey, int]] = []
        for level, kept_ms in KEPT_MS.items():
            for bucket in self._records.untouched(level, now_ms - kept_ms):
                for place in self._origins(level, bucket):
                    self._parts.pop(place, None)
                self._hot.pop((level, bucket), None)
                self.swept.add(level, bucket)
                gone += self._records.keys_of(level, bucket)
        return gone

    def evict(self) -> None:
        """Drop the buckets from memory that were not touched for longest."""
        while len(self._hot) > HOT_BUCKETS:
            (level, bucket), _ = self._hot.popitem(last=False)
            for place in [p for p in self._origins(level, bucket) if p in self._parts]:
                del self._parts[place]

    def _origins(self, level: int, bucket: int) -> Iterator[tuple[int, int, str]]:
        for record in self._records.of(level, bucket):
            if record.kind == ADDITIVE:
                yield level, bucket, record.piece


def _rows_of(parts: list[AdditivePart]) -> dict[Any, int]:
    return {(p.by, dims): rows for p in parts for dims, rows in zip(p.dims, p.rows.tolist(), strict=True)}


def _add(cells: Cells, family: str, part: AdditivePart, sign: int) -> None:
    for i, dims in enumerate(part.dims):
        key = key_of(dims)
        cells.add_rows(family, part.by, key, sign * int(part.rows[i]), sign * int(part.late[i]))
        for name, value in zip(part.names, part.values[i].tolist(), strict=True):
            if value and name in MEASURES:  # a catalogue that shrank leaves older records behind
                cells.add(name, key, sign * value)
        for name, counts in part.bins.items():
            if name in MEASURES and counts[i].any():
                cells.add(name, key, sign * counts[i].astype(np.int64))
