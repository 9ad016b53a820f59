"""The states of all buckets, as ClickHouse computes them from the raw events.

In: a client of the store, a level, a span of time.
Out: per (tenant, dimensions) an axis of consecutive buckets for each KPI.
Never: a number that the stream has published.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from schemas.aggregates import BINS, REGISTERS, Quantile, Uniq, merged
from schemas.catalogue import MEASURES
from schemas.kpis import Kpi
from schemas.recompute import rows_query, state_query
from schemas.rollup import Axis

Array = np.ndarray[Any, np.dtype[Any]]
Key = tuple[str | None, ...]  # tenant, then the values of the dimensions


class Store(Protocol):
    """What is asked of the store: the rows of a query, as tuples."""

    def rows(self, sql: str) -> Iterable[tuple[Any, ...]]:
        """Rows of a query."""
        ...


@dataclass
class Cells:
    """States of one family by bucket: what `rows` and each measure hold for each key."""

    rows: dict[Key, dict[int, tuple[int, int]]] = field(default_factory=dict)
    states: dict[str, dict[Key, dict[int, Any]]] = field(default_factory=dict)


def family_cells(
    store: Store, family: str, by: tuple[str, ...], level: int, zone: str, where: str, names: set[str]
) -> Cells:
    """All buckets of a family at a level, for the given dimensions.

    A measure with dimensions is merged over them when the whole is asked for.
    """
    cells = Cells()
    width = 1 + len(by)
    for bucket, *rest in store.rows(rows_query(by, family, level, zone, where)):
        cells.rows.setdefault(tuple(rest[:width]), {})[bucket] = (rest[width], rest[width + 1])
    for name in sorted(names):
        measure = MEASURES[name]
        if family not in measure.families:
            continue
        held = cells.states.setdefault(name, {})
        for bucket, *rest in store.rows(state_query(measure, family, level, zone, where)):
            key = tuple(rest[: 1 + len(measure.by)]) if by else (rest[0],)
            state = _state(name, rest[-1])
            buckets = held.setdefault(key, {})
            buckets[bucket] = merged(measure.aggregate, buckets[bucket], state) if bucket in buckets else state
    return cells


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


def last_bucket(families: list[Cells], tenant: str) -> int | None:
    """The greatest bucket in which a tenant has a row in one of the families; windows end there at the latest."""
    found = [b for cells in families for key, buckets in cells.rows.items() if key[0] == tenant for b in buckets]
    return max(found, default=None)


def keys_of(families: list[Cells]) -> set[Key]:
    """Every (tenant, dimensions) that has a row in one of the families."""
    return {key for cells in families for key in cells.rows}


def axis_of(kpi: Kpi, families: list[Cells], key: Key, first: int, last: int) -> Axis:
    """States of a KPI's measures for one key over the buckets first … last."""
    size = last - first + 1
    rows, late = np.zeros(size, np.int64), np.zeros(size, np.int64)
    states: dict[str, Array] = {}
    for cells in families:
        for bucket, (counted, tardy) in cells.rows.get(key, {}).items():
            if first <= bucket <= last:
                rows[bucket - first] += counted
                late[bucket - first] += tardy
        for operand in kpi.compiled.operands:
            name = operand.measure
            for bucket, state in cells.states.get(name, {}).get(key, {}).items():
                if first <= bucket <= last:
                    _merge_into(states, name, size, bucket - first, state)
    return Axis(rows, late, states)


def _merge_into(states: dict[str, Array], name: str, size: int, at: int, state: Any) -> None:
    aggregate = MEASURES[name].aggregate
    if name not in states:
        if isinstance(aggregate, Uniq):
            states[name] = np.zeros((size, REGISTERS), np.uint8)
        elif isinstance(aggregate, Quantile):
            states[name] = np.zeros((size, BINS.size), np.int64)
        else:
            states[name] = np.zeros(size, np.int64)
    states[name][at] = merged(aggregate, states[name][at], state)
