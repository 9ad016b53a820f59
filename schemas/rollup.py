"""Buckets of one series become windows, and windows become values of a KPI; stream and recomputation both end here.

In: states on a dense axis of buckets.
Out: one value per window.
Never: a value that depends on how the buckets came together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.aggregates import BINS, Quantile, Uniq, distinct
from schemas.catalogue import MEASURES
from schemas.formulas import Operand
from schemas.kpis import Kpi

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Axis:
    """States of one (tenant, dimensions) over consecutive buckets, all families of the KPI merged.

    `rows` and `late` are int64 [buckets]. `states` maps a measure to int64 [buckets] (counts, sums), int64 [buckets, bins]
    (quantiles) or uint8 [buckets, registers] (distinct counts); a measure that is missing was never seen.
    """

    rows: Array
    late: Array
    states: Mapping[str, Array]


@dataclass(frozen=True)
class Values:
    """Per window, in their order: value (NaN is null), rows and late rows."""

    value: Array
    rows: Array
    late: Array


def evaluate(kpi: Kpi, axis: Axis, length: int, step: int = 1) -> Values:
    """Values of a KPI for the windows that end at every `step`th bucket from number `length - 1` of the axis on.

    The axis must begin `length - 1` buckets before the last bucket of the first window that is asked for.
    """
    rows, late = rolling_sum(axis.rows, length)[::step], rolling_sum(axis.late, length)[::step]
    value = np.broadcast_to(
        np.asarray(kpi.compiled.evaluate(operands(kpi, axis, length, step)), np.float64), rows.shape
    )
    return Values(value, rows, late)


def operands(kpi: Kpi, axis: Axis, length: int, step: int = 1) -> dict[Operand, Array]:
    """Values of what a KPI's formula reads, for the same windows: float64, NaN for null."""
    windows = len(rolling_sum(axis.rows, length)[::step])
    return {o: _operand(o, axis, length, step, windows) for o in kpi.compiled.operands}


def _operand(operand: Operand, axis: Axis, length: int, step: int, windows: int) -> Array:
    aggregate = MEASURES[operand.measure].aggregate
    state = axis.states.get(operand.measure)
    if isinstance(aggregate, Uniq):
        if state is None:
            return np.zeros(windows)
        return np.array([distinct(ranks) for ranks in rolling_max(state, length)[::step]])
    if isinstance(aggregate, Quantile):
        if state is None:
            return np.full(windows, np.nan)
        return BINS.quantiles(rolling_sum(state, length)[::step], operand.quantile or 0.0)
    return np.zeros(windows) if state is None else rolling_sum(state, length)[::step].astype(np.float64)


def rolling_sum(buckets: Array, length: int) -> Array:
    """Sums of `length` consecutive buckets along the first axis: [n, …] to [n - length + 1, …].

    Examples
    --------
    >>> rolling_sum(np.array([1, 2, 3, 4]), 2)
    array([3, 5, 7])
    """
    if length == 1:
        return buckets
    total = np.cumsum(buckets, axis=0, dtype=np.int64)
    out: Array = total[length - 1 :].copy()
    out[1:] -= total[:-length]
    return out


def rolling_max(buckets: Array, length: int) -> Array:
    """Maxima of `length` consecutive buckets along the first axis, by doubling: a maximum may count a bucket twice.

    Examples
    --------
    >>> rolling_max(np.array([3, 1, 2, 0, 5]), 3)
    array([3, 2, 5])
    """
    windows = len(buckets) - length + 1
    out, size = buckets, 1  # out[i] is the maximum of buckets i … i + size - 1
    while 2 * size <= length:
        out = np.maximum(out[:-size], out[size:])
        size *= 2
    if size < length:
        out = np.maximum(out[:windows], out[length - size : length - size + windows])
    return out
