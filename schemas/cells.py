"""The states of all measures in one bucket, and the axis of buckets that a KPI is evaluated on.

In: rows and states by family, dimensions and key.
Out: `Axis` of one series.
Never: a state that counts a contribution twice; callers add differences.

A key is the tenant and then the values of the dimensions, an absent value as an empty text. A measure with dimensions is also
held as a whole, under the tenant alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.aggregates import BINS, RANK_BITS, REGISTERS, Quantile, Uniq, registers_of
from schemas.catalogue import MEASURES
from schemas.distinct import distinct
from schemas.kpis import Kpi
from schemas.partials import dense
from schemas.rollup import Axis

Array = np.ndarray[Any, np.dtype[Any]]
Key = tuple[str, ...]
#: A sketch of more coupons than this is held as registers.
SPARSE_MAX = 2_000


def key_of(dims: Iterable[str | None]) -> Key:
    """Key of a slot: absent values are empty texts.

    Examples
    --------
    >>> key_of(("default", None))
    ('default', '')
    """
    return tuple("" if value is None else value for value in dims)


@dataclass
class Cells:
    """One bucket. `rows`: (family, dimensions) to key to [rows, late rows]; `states`: measure to key to its state."""

    rows: dict[tuple[str, tuple[str, ...]], dict[Key, list[int]]] = field(default_factory=dict)
    states: dict[str, dict[Key, Any]] = field(default_factory=dict)

    def add_rows(self, family: str, by: tuple[str, ...], key: Key, rows: int, late: int) -> None:
        """Add row counts, or take them back with negative ones."""
        held = self.rows.setdefault((family, by), {}).setdefault(key, [0, 0])
        held[0] += rows
        held[1] += late

    def add(self, measure: str, key: Key, state: Any) -> bool:
        """Add to a count, a sum or bins, or merge a sketch; under the tenant too. Returns whether anything moved."""
        moved = self._add(measure, key, state)
        if len(key) > 1:
            self._add(measure, key[:1], state)
        return moved

    def _add(self, measure: str, key: Key, state: Any) -> bool:
        held = self.states.setdefault(measure, {})
        old = held.get(key)
        if isinstance(MEASURES[measure].aggregate, Uniq):
            merged = state if old is None else _union(old, state)
            held[key] = merged
            return merged is not old
        if isinstance(state, np.ndarray):
            held[key] = state.copy() if old is None else old + state
        else:
            held[key] = state if old is None else old + state
        return True


def _union(old: Array, new: Array) -> Array:
    """Union of two sketches in either form; `old` itself when the new one adds nothing."""
    if old.dtype == np.uint8:
        ranks = dense(new)
        return old if bool((ranks <= old).all()) else np.maximum(old, ranks)
    if new.dtype == np.uint8:
        return np.maximum(registers_of(old), new)
    both = distinct(np.concatenate((old, new)), runs=True)
    if len(both) == len(old):
        return old
    return both if len(both) <= SPARSE_MAX else registers_of(both)


def axis_of(buckets: Mapping[int, Cells], kpi: Kpi, by: tuple[str, ...], key: Key, first: int, last: int) -> Axis:
    """States of a KPI's measures for one key over the buckets first … last; absent buckets are empty."""
    size = last - first + 1
    rows, late = np.zeros(size, np.int64), np.zeros(size, np.int64)
    states: dict[str, Array] = {}
    groups = [(family, by) for family in kpi.families]
    names = list(dict.fromkeys(o.measure for o in kpi.compiled.operands))
    for at in range(size):
        cells = buckets.get(first + at)
        if cells is None:
            continue
        for group in groups:
            counted = cells.rows.get(group, {}).get(key)
            if counted is not None:
                rows[at] += counted[0]
                late[at] += counted[1]
        for name in names:
            state = cells.states.get(name, {}).get(key)
            if state is not None:
                _place(states, name, size, at, state)
    return Axis(rows, late, states)


def _place(states: dict[str, Array], name: str, size: int, at: int, state: Any) -> None:
    aggregate = MEASURES[name].aggregate
    if name not in states:
        if isinstance(aggregate, Uniq):
            states[name] = np.zeros((size, REGISTERS), np.uint8)
        elif isinstance(aggregate, Quantile):
            states[name] = np.zeros((size, BINS.size), np.int64)
        else:
            states[name] = np.zeros(size, np.int64)
    if not isinstance(aggregate, Uniq) or state.dtype == np.uint8:
        states[name][at] = state
    else:
        np.maximum.at(states[name][at], state >> RANK_BITS, (state & ((1 << RANK_BITS) - 1)).astype(np.uint8))
