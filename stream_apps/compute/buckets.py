"""The cumulative state of one bucket: every group's counts, sums, bins and registers.

In: cells of the bucket; stored records of it.
Out: the bodies of its records.
Never: a state that depends on how its rows were cut into batches.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from schemas.aggregates import BINS, RANK_BITS, REGISTERS, registers_of
from schemas.partials import (
    ADDITIVE,
    SKETCH,
    AdditivePart,
    SketchPart,
    pack_additive,
    pack_sketch,
    unpack_additive,
    unpack_sketch,
)
from stream_apps.compute.cells import Cells
from stream_apps.compute.plan import GroupPlan
from stream_apps.compute.records import Record

Array = np.ndarray[Any, np.dtype[Any]]
SPARSE_MAX = 2_000  # coupons of 4 bytes; beyond, 16,384 registers are smaller
PIECE_BYTES = 600_000  # before compression, well below Kafka's limit of 1 MB for a record
_EMPTY: Array = np.zeros(0, np.uint32)


def _grown(array: Array, rows: int) -> Array:
    bigger = np.zeros((max(2 * rows, 4), *array.shape[1:]), array.dtype)
    bigger[: len(array)] = array
    return bigger


class GroupState:
    """One group of a bucket; a slot is one combination of dimensions, numbered in order of appearance."""

    def __init__(self, plan: GroupPlan) -> None:
        self.plan = plan
        self.slots: dict[int, int] = {}
        self.rows, self.late = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self.values = np.zeros((1, len(plan.additive)), np.int64)
        self.bins = [np.zeros((1, BINS.size), np.int64) for _ in plan.quantile]
        self.sketches: list[list[Array]] = [[] for _ in plan.uniq]
        self.moved: set[int] = set()
        self.pieces: list[list[int]] = []  # the slots in each sketch record; a slot stays where it is
        self.piece_of: dict[int, int] = {}
        self._misplaced: set[int] = set()
        self.per_piece = max(1, PIECE_BYTES // (REGISTERS * max(1, len(plan.uniq))))

    def slots_of(self, dims: Sequence[int]) -> Array:
        """Slots of these combinations, made when new."""
        for d in dims:
            if d not in self.slots:
                self.slots[d] = len(self.slots)
        if (used := len(self.slots)) > len(self.rows):
            self.rows, self.late, self.values = (_grown(a, used) for a in (self.rows, self.late, self.values))
            self.bins = [_grown(a, used) for a in self.bins]
        for held in self.sketches:
            held.extend([_EMPTY] * (used - len(held)))
        return np.array([self.slots[d] for d in dims], np.int64)

    def add(self, cells: Cells, start: int, end: int) -> None:
        """Add cells `start` to `end`, all of this bucket."""
        slots = self.slots_of(cells.dims[start:end].tolist())
        self.rows[slots] += cells.rows[start:end]
        self.late[slots] += cells.late[start:end]
        self.values[slots] += cells.values[start:end]
        for held, (cell, index, count) in zip(self.bins, cells.bins, strict=False):
            a, b = np.searchsorted(cell, (start, end))
            held[slots[cell[a:b] - start], index[a:b]] += count[a:b]

    def see(self, cells: Cells, start: int, end: int) -> None:
        """Merge the coupons of cells `start` to `end`."""
        slots = self.slots_of(cells.dims[start:end].tolist())
        for u, (cell, coupon) in enumerate(cells.seen):
            bounds = np.searchsorted(cell, np.arange(start, end + 1)).tolist()
            for slot, a, b in zip(slots.tolist(), bounds, bounds[1:], strict=False):
                if a < b:
                    self.merge(u, slot, coupon[a:b])

    def merge(self, u: int, slot: int, fresh: Array) -> None:
        """Merge coupons (uint32) or registers (uint8) into a sketch; a slot whose sketch did not change does not move."""
        old = self.sketches[u][slot]
        if np.uint8 not in (old.dtype, fresh.dtype):
            new = _united(old, fresh)
            if len(new) == len(old):
                return
            self.sketches[u][slot] = new if len(new) <= SPARSE_MAX else registers_of(new)
        else:
            new = _raised(old, fresh)
            if old.dtype == np.uint8 and np.array_equal(new, old):
                return
            self.sketches[u][slot] = new
        self.moved.add(slot)

    def additive_part(self) -> AdditivePart:
        """Counts, sums and bins of all slots."""
        used, texts = len(self.slots), self.plan.interner.texts
        bins = {q.name: held[:used] for q, held in zip(self.plan.quantile, self.bins, strict=True)}
        dims = tuple(texts[d] for d in self.slots)
        return AdditivePart(
            self.plan.by, dims, self.rows[:used], self.late[:used], self.plan.names, self.values[:used], bins
        )

    def load(self, part: AdditivePart) -> None:
        """Take over a stored part. Measures that it does not have start from nothing; those no longer declared go."""
        slots = self.slots_of([self.plan.interner.of(d) for d in part.dims])
        self.rows[slots], self.late[slots] = part.rows, part.late
        at = {name: i for i, name in enumerate(part.names)}
        for i, name in enumerate(self.plan.names):
            if name in at:
                self.values[slots, i] = part.values[:, at[name]]
        for held, measure in zip(self.bins, self.plan.quantile, strict=True):
            if measure.name in part.bins:
                held[slots] = part.bins[measure.name]

    def load_sketch(self, part: SketchPart, piece: int) -> None:
        """Merge a stored piece. A slot that lies in another piece already will be written again there."""
        slots = self.slots_of([self.plan.interner.of(d) for d in part.dims]).tolist()
        while len(self.pieces) <= piece:
            self.pieces.append([])
        for slot in slots:
            if self.piece_of.setdefault(slot, piece) == piece:
                if slot not in self.pieces[piece]:
                    self.pieces[piece].append(slot)
            else:
                self._misplaced.add(slot)
        for u, measure in enumerate(self.plan.uniq):
            for slot, sketch in zip(slots, part.sketches.get(measure.name, ()), strict=False):
                self.merge(u, slot, sketch)

    def sketch_parts(self) -> Iterator[tuple[int, SketchPart]]:
        """(piece, part) of the pieces in which a sketch moved since the last call."""
        dims = list(self.slots)
        for piece in sorted({self._piece(slot) for slot in sorted(self.moved)}):
            slots = self.pieces[piece]
            held = {m.name: tuple(s[i] for i in slots) for m, s in zip(self.plan.uniq, self.sketches, strict=True)}
            yield piece, SketchPart(self.plan.by, tuple(self.plan.interner.texts[dims[i]] for i in slots), held)
        self.moved.clear()

    def _piece(self, slot: int) -> int:
        if slot not in self.piece_of:
            if not self.pieces or len(self.pieces[-1]) >= self.per_piece:
                self.pieces.append([])
            self.piece_of[slot] = len(self.pieces) - 1
            self.pieces[-1].append(slot)
        return self.piece_of[slot]

    def settle(self) -> None:
        """After loading: nothing moved but what is stored in two places."""
        self.moved = set(self._misplaced)

    @property
    def size_bytes(self) -> int:
        """Bytes of the arrays."""
        arrays = [self.rows, self.late, self.values, *self.bins]
        return sum(a.nbytes for a in arrays) + sum(s.nbytes for held in self.sketches for s in held)


def _united(old: Array, fresh: Array) -> Array:
    """Union of two sets of coupons, each without repeats."""
    if not len(old):
        return fresh
    both = np.concatenate((old, fresh))
    both.sort()
    out: Array = both[np.concatenate(([True], both[1:] != both[:-1]))]
    return out


def _raised(old: Array, fresh: Array) -> Array:
    if fresh.dtype == np.uint8:
        return np.maximum(fresh, old if old.dtype == np.uint8 else registers_of(old))
    new = old.copy()
    np.maximum.at(new, fresh >> RANK_BITS, (fresh & ((1 << RANK_BITS) - 1)).astype(np.uint8))
    return new


class Bucket:
    """All groups of one bucket. `offset`: last source offset that its additive record includes, -1 before the first."""

    def __init__(self, plan: tuple[GroupPlan, ...], level: int, number: int) -> None:
        self.level, self.number, self.offset = level, number, -1
        self.groups = [GroupState(g) for g in plan]
        self.dirty = False

    def load(self, stored: list[Record]) -> None:
        """Take over what is stored of the bucket."""
        by = {g.plan.by: g for g in self.groups}
        for record in stored:
            if record.kind == ADDITIVE:
                self.offset = record.offset
                for part in unpack_additive(record.body):
                    if part.by in by:
                        by[part.by].load(part)
            else:
                piece = unpack_sketch(record.body)
                if piece.by in by:
                    by[piece.by].load_sketch(piece, int(record.piece.rpartition(":")[2]))
        for group in self.groups:
            group.settle()

    def records(self, offset: int, now_ms: int) -> Iterator[Record]:
        """Records of what changed; afterwards nothing has."""
        if self.dirty:
            body = pack_additive([g.additive_part() for g in self.groups if g.slots])
            self.offset, self.dirty = offset, False
            yield Record(self.level, self.number, ADDITIVE, "", offset, now_ms, body)
        for group in self.groups:
            for piece, part in group.sketch_parts():
                name = f"{','.join(group.plan.by)}:{piece}"
                yield Record(self.level, self.number, SKETCH, name, offset, now_ms, pack_sketch(part))

    @property
    def size_bytes(self) -> int:
        """Bytes of the arrays."""
        return sum(g.size_bytes for g in self.groups)
