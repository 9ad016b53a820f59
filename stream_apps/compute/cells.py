"""Rows become partial aggregates per (bucket, combination of dimensions), and minutes roll up to hours and days.

In: `Rows`, all of which count.
Out: `Cells` of one group.
Never: a float, or a sum in less than 64 bits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.aggregates import BINS, RANK_BITS, REGISTERS, coupons
from schemas.distinct import distinct, numbered
from stream_apps.compute.plan import GroupPlan, Rows

Array = np.ndarray[Any, np.dtype[Any]]
_COUPON_BITS = np.uint64((REGISTERS - 1).bit_length() + RANK_BITS)


@dataclass(frozen=True)
class Cells:
    """Aggregates of a group, one cell per (bucket, dims), ordered by bucket.

    `rows`, `late` are int64 [cells], `values` int64 [cells, names]. `bins` has per quantile measure (cell, bin, count) and
    `seen` per distinct count (cell, coupon), each pair once.
    """

    bucket: Array
    dims: Array
    rows: Array
    late: Array
    values: Array
    bins: tuple[tuple[Array, Array, Array], ...]
    seen: tuple[tuple[Array, Array], ...]


def _numbered(bucket: Array, dims: Array) -> tuple[Array, Array, Array]:
    """Distinct (bucket, dims), ordered, and each row's place among them."""
    floor, width = int(bucket.min()), int(dims.max()) + 1
    found, place = numbered((bucket - floor) * width + dims)
    return found // width + floor, found % width, place


def _pairs(cell: Array, coupon: Array) -> tuple[Array, Array]:
    """Each pair once, ordered by cell; coupons are less than 2^20."""
    key = cell.astype(np.uint64) << _COUPON_BITS | coupon.astype(np.uint64)
    key = distinct(key)
    return (key >> _COUPON_BITS).astype(np.int64), (key & ((np.uint64(1) << _COUPON_BITS) - np.uint64(1))).astype(
        np.uint32
    )


def cells_of(group: GroupPlan, rows: Rows, dims: Array, *, additive: bool = True, sketches: bool = True) -> Cells:
    """Cells per minute of rows, of which there is at least one; `dims` numbers each row's dimensions."""
    bucket, of_cell, cell = _numbered(rows.minute, dims)
    count = len(bucket)
    held = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros((count, len(group.additive)), np.int64)
    bins = _bins(group, rows, cell) if additive else ()
    if additive:
        held = _sums(group, rows, cell, count)
    seen: list[tuple[Array, Array]] = []
    for measure in group.uniq if sketches else ():
        chosen = np.flatnonzero(rows.truth[measure.predicate] & rows.present[measure.column])
        seen.append(_pairs(cell[chosen], coupons(rows.hashes[measure.column][chosen])))
    return Cells(bucket, of_cell, *held, bins, tuple(seen))


def _sums(group: GroupPlan, rows: Rows, cell: Array, count: int) -> tuple[Array, Array, Array]:
    order = np.argsort(cell, kind="stable")
    first = np.searchsorted(cell[order], np.arange(count))
    number = np.diff(np.append(first, len(order)))
    late = np.add.reduceat(rows.late[order].astype(np.int64), first)
    values = np.empty((count, len(group.additive)), np.int64)
    for i, measure in enumerate(group.additive):
        hit = rows.truth[measure.predicate]
        each = hit.astype(np.int64) if measure.column is None else rows.values[measure.column] * hit
        values[:, i] = np.add.reduceat(each[order], first)
    return number, late, values


def _bins(group: GroupPlan, rows: Rows, cell: Array) -> tuple[tuple[Array, Array, Array], ...]:
    out = []
    for measure in group.quantile:
        chosen = np.flatnonzero(rows.truth[measure.predicate] & rows.present[measure.column])
        index = BINS.index(rows.values[measure.column][chosen])
        key, count = np.unique(cell[chosen] * BINS.size + index, return_counts=True)
        out.append((key // BINS.size, key % BINS.size, count.astype(np.int64)))
    return tuple(out)


def rolled(cells: Cells, bucket: Array) -> Cells:
    """The cells in coarser buckets; `bucket` gives each cell's."""
    coarse, dims, place = _numbered(bucket, cells.dims)
    count = len(coarse)
    rows, late = np.zeros(count, np.int64), np.zeros(count, np.int64)
    values = np.zeros((count, cells.values.shape[1]), np.int64)
    np.add.at(rows, place, cells.rows)
    np.add.at(late, place, cells.late)
    np.add.at(values, place, cells.values)
    bins = []
    for cell, index, number in cells.bins:
        key, at = numbered(place[cell] * BINS.size + index)
        total = np.zeros(len(key), np.int64)
        np.add.at(total, at, number)
        bins.append((key // BINS.size, key % BINS.size, total))
    seen = tuple(_pairs(place[cell], coupon) for cell, coupon in cells.seen)
    return Cells(coarse, dims, rows, late, values, tuple(bins), seen)
