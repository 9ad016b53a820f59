"""The windows of a KPI that exist, with their values as the raw events give them.

In: recomputed buckets of one level and one set of dimensions.
Out: one `Recomputed` for each window that holds a row.
Never: a window that ends beyond the greatest bucket that holds one, a window of the past that is left out.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from infra.verify.cells import Buckets, held_buckets
from schemas.cells import Key, axis_of
from schemas.kpis import Kpi
from schemas.rollup import evaluate
from schemas.windows import WINDOWS, Window

CHUNK = 512  # buckets evaluated at once: 512 x 16 kB of registers


@dataclass(frozen=True)
class Recomputed:
    """The window that ends with bucket `last`; `rows` and `late` are those of the KPI's families."""

    key: Key
    window: Window
    last: int
    value: float | None
    rows: int
    late: int


def windows_of(
    kpi: Kpi, by: tuple[str, ...], buckets: Buckets, level: int, newest: Mapping[str, int] | None = None
) -> Iterator[Recomputed]:
    """All windows of a level. `newest` has the greatest bucket with a row of each tenant; by default that of the buckets."""
    held = held_buckets(buckets, kpi, by)
    greatest: dict[str, int] = dict(newest or {})
    for key, found in held.items():
        greatest[key[0]] = max(greatest.get(key[0], found[-1]), found[-1])
    for key in sorted(held):
        for window in (WINDOWS[name] for name in kpi.windows if WINDOWS[name].level == level):
            for first, last in _runs(held[key], window.length, window.reach(greatest[key[0]])):
                yield from _values(kpi, by, buckets, key, window, first, last)


def _values(
    kpi: Kpi, by: tuple[str, ...], buckets: Buckets, key: Key, window: Window, first: int, last: int
) -> Iterator[Recomputed]:
    width = CHUNK - CHUNK % window.step
    for start in range(window.reach(first), last + 1, width):
        end = min(last, start + width - 1)
        axis = axis_of(buckets, kpi, by, key, start - window.length + 1, end)
        values = evaluate(kpi, axis, window.length, window.step)
        for i in np.flatnonzero(values.rows).tolist():
            value = float(values.value[i])
            told = None if math.isnan(value) else value
            yield Recomputed(key, window, start + i * window.step, told, int(values.rows[i]), int(values.late[i]))


def _runs(held: list[int], length: int, newest: int) -> Iterator[tuple[int, int]]:
    """Runs of last buckets of the windows that hold one of the buckets and end at `newest` at the latest."""
    first = last = None
    for bucket in held:
        if last is not None and bucket <= last + 1:
            last = min(bucket + length - 1, newest)
            continue
        if first is not None and last is not None:
            yield first, last
        first, last = bucket, min(bucket + length - 1, newest)
    if first is not None and last is not None:
        yield first, last
