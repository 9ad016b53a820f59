"""The aggregates of a measure, and the two sketches whose states polars and ClickHouse compute alike.

In: 64-bit hashes; integers.
Out: registers; counts per bin; estimates.
Never: randomness, or a comparison of floats.

Both sketches are functions of the *set* of rows: merge order, batch cuts and replays leave no trace, so ClickHouse builds
the identical state from the raw rows (`xxHash64` for the HyperLogLog, integer edges for the bins).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

PRECISION = 14
REGISTERS = 1 << PRECISION
RANK_BITS = 6
_TAIL_BITS = 63 - PRECISION

#: Name of the virtual column "who did it": the user, else the anonymous visitor.
ACTOR = "actor"
ACTOR_SQL = "coalesce(user_id, anonymous_id)"


@dataclass(frozen=True)
class Count:
    """Number of rows."""


@dataclass(frozen=True)
class Sum:
    """Sum of a long column; null counts as 0."""

    column: str


@dataclass(frozen=True)
class Uniq:
    """Distinct non-null values, by HyperLogLog p=14 over xxHash64; error at most 1.5 % at 95 %."""

    column: str


@dataclass(frozen=True)
class Quantile:
    """Quantiles of a long column, by fixed integer bins; error at most 1.9 % between 1 and 600,000."""

    column: str


Aggregate = Count | Sum | Uniq | Quantile


def coupons(hashes: Array) -> Array:
    """`register << 6 | rank` of each 64-bit hash, as uint32; rank is one more than the trailing zeros of the upper bits."""
    rest = (hashes >> np.uint64(PRECISION)) | np.uint64(1 << _TAIL_BITS)
    rank = np.bitwise_count(rest ^ (rest - np.uint64(1))).astype(np.uint32)
    register: Array = (hashes & np.uint64(REGISTERS - 1)).astype(np.uint32)
    return register << np.uint32(RANK_BITS) | rank


def registers_of(held: Array) -> Array:
    """Dense registers (uint8, 16,384) of coupons in any order, repeats allowed."""
    ranks = np.zeros(REGISTERS, np.uint8)
    np.maximum.at(ranks, held >> RANK_BITS, (held & ((1 << RANK_BITS) - 1)).astype(np.uint8))
    return ranks


def distinct(ranks: Array) -> float:
    """Ertl's estimate (arXiv 1702.01284, algorithm 6) from dense registers, rounded to a whole number.

    Examples
    --------
    >>> distinct(np.zeros(REGISTERS, np.uint8))
    0.0
    """
    highest = _TAIL_BITS
    counts = np.bincount(ranks, minlength=highest + 2).astype(float)
    if counts[0] == REGISTERS:
        return 0.0
    z = REGISTERS * _tau(1 - counts[highest + 1] / REGISTERS)
    for k in range(highest, 0, -1):
        z = 0.5 * (z + counts[k])
    return float(round(REGISTERS * REGISTERS / (2 * np.log(2)) / (z + REGISTERS * _sigma(counts[0] / REGISTERS))))


def _sigma(x: float) -> float:
    y, z = 1.0, x
    while True:
        x, before = x * x, z
        z += x * y
        y += y
        if z == before:
            return z


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    y, z = 1.0, 1 - x
    while True:
        x, before, y = float(np.sqrt(x)), z, y * 0.5
        z -= (1 - x) ** 2 * y
        if z == before:
            return z / 3


class Bins:
    """Histogram bins of relative width 2 · error between `low` and `high`; the edges are data, shared with SQL.

    Bin 0 holds values below `low`; bin i + 1 holds `edges[i] <= value < edges[i + 1]`; the last one all above.
    """

    _TABLE = 1 << 14

    def __init__(self, low: int = 1, high: int = 600_000, error: float = 0.01) -> None:
        gamma = (1 + error) / (1 - error)
        edges, edge = [low], low
        while edge < high:
            edge = max(edge + 1, round(edge * gamma))
            edges.append(edge)
        self.edges: Array = np.array(edges, np.int64)
        self.size = len(edges) + 1
        self._middle: Array = np.concatenate([[0.0], np.sqrt(self.edges[:-1] * (self.edges[1:] - 1.0)), [float(high)]])
        self._table: Array = np.searchsorted(self.edges, np.arange(self._TABLE), side="right")

    def index(self, values: Array) -> Array:
        """Bin of each integer."""
        out: Array = self._table[np.clip(values, 0, self._TABLE - 1)]
        large = np.flatnonzero(values >= self._TABLE)
        if large.size:
            out[large] = np.searchsorted(self.edges, values[large], side="right")
        return out

    def quantile(self, counts: Array, q: float) -> float | None:
        """Middle of the bin that holds the q-quantile (0 to 1) of `counts`, or None of nothing."""
        total = int(counts.sum())
        if not total:
            return None
        return float(self._middle[np.searchsorted(np.cumsum(counts), q * (total - 1), side="right")])

    def quantiles(self, counts: Array, q: float) -> Array:
        """`quantile` of each row of counts [rows, bins]; NaN of nothing."""
        running = np.cumsum(counts, axis=1)
        total = running[:, -1]
        found = self._middle[np.argmax(running > (q * (total - 1))[:, None], axis=1)]
        return np.where(total > 0, found, np.nan)


BINS = Bins()


@cache
def _edges_sql() -> str:
    return "[" + ",".join(str(e) for e in BINS.edges.tolist()) + "]"


def column_sql(aggregate: Aggregate) -> str:
    """The column of an aggregate as ClickHouse reads it."""
    column = getattr(aggregate, "column", "")
    return ACTOR_SQL if column == ACTOR else column


def state_sql(aggregate: Aggregate) -> str:
    """ClickHouse expression of the aggregate's state: an Int64, or a Map from register or bin to its value."""
    x = column_sql(aggregate)
    match aggregate:
        case Count():
            return "toInt64(count())"
        case Sum():
            return f"sum(toInt64(ifNull({x}, 0)))"
        case Uniq():
            tail = f"bitOr(bitShiftRight(xxHash64(assumeNotNull({x})), {PRECISION}), bitShiftLeft(toUInt64(1), {_TAIL_BITS}))"
            return (
                f"maxMap(map(toUInt16(bitAnd(xxHash64(assumeNotNull({x})), {REGISTERS - 1})), "
                f"bitCount(bitXor({tail}, {tail} - 1))))"
            )
        case Quantile():
            return f"sumMap(map(toUInt16(arrayLastIndex(e -> e <= assumeNotNull({x}), {_edges_sql()})), toInt64(1)))"


def needs_value(aggregate: Aggregate) -> bool:
    """Whether rows whose column is null are left out of the aggregate."""
    return isinstance(aggregate, (Uniq, Quantile))
