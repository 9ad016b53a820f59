"""The states of all buckets, as ClickHouse computes them from the raw events.

In: a store, a level, dimensions, a span of time.
Out: buckets of cells.
Never: a number that the stream has published.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from schemas.aggregates import BINS, REGISTERS, Quantile, Uniq
from schemas.catalogue import MEASURES
from schemas.cells import Cells, Key, key_of
from schemas.kpis import Kpi
from schemas.recompute import rows_query, state_query

Array = np.ndarray[Any, np.dtype[Any]]
Buckets = dict[int, Cells]


class Store(Protocol):
    """What is asked of the store: the rows of a query, as tuples."""

    def rows(self, sql: str) -> Iterable[tuple[Any, ...]]:
        """Rows of a query."""
        ...


def recomputed(store: Store, level: int, by: tuple[str, ...], kpis: list[Kpi], zone: str, where: str) -> Buckets:
    """Buckets of a level with everything that the KPIs read, for the given dimensions."""
    out: Buckets = {}
    names = {o.measure for k in kpis for o in k.compiled.operands}
    for family in dict.fromkeys(f for k in kpis for f in k.families):
        for bucket, *dims, rows, late in store.rows(rows_query(by, family, level, zone, where)):
            out.setdefault(bucket, Cells()).add_rows(family, by, key_of(dims), rows, late)
        for name in sorted(n for n in names if family in MEASURES[n].families):
            for bucket, *dims, state in store.rows(state_query(MEASURES[name], family, level, zone, where)):
                out.setdefault(bucket, Cells()).add(name, key_of(dims), _state(name, state))
    return out


def _state(name: str, value: Any) -> Any:
    aggregate = MEASURES[name].aggregate
    if isinstance(aggregate, Uniq):
        return _scatter(value, np.zeros(REGISTERS, np.uint8))
    if isinstance(aggregate, Quantile):
        return _scatter(value, np.zeros(BINS.size, np.int64))
    return int(value)


def _scatter(held: Mapping[int, int], out: Array) -> Array:
    if held:
        out[np.fromiter(held.keys(), np.int64, len(held))] = np.fromiter(held.values(), np.int64, len(held))
    return out


def held_buckets(buckets: Buckets, kpi: Kpi, by: tuple[str, ...]) -> dict[Key, list[int]]:
    """Buckets in which each key has a row in one of the KPI's families, ascending."""
    out: dict[Key, set[int]] = {}
    for bucket, cells in buckets.items():
        for family in kpi.families:
            for key in cells.rows.get((family, by), ()):
                out.setdefault(key, set()).add(bucket)
    return {key: sorted(held) for key, held in out.items()}
