"""Which windows of which series are to be looked at, and which of them now.

In: changed buckets, the greatest buckets, watermarks, what was published.
Out: last buckets of windows per series, split into due and left over.
Never: a window that ends beyond the greatest bucket with a row: it does not exist yet.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.distinct import distinct
from schemas.kpis import KPIS, Kpi
from schemas.windows import WINDOWS, Window
from stream_apps.compute.kpi.contributions import Changes, Contributions
from stream_apps.compute.kpi.published import Published, Series

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Task:
    """A KPI in one kind of window with one combination of dimensions."""

    kpi: Kpi
    window: Window
    by: tuple[str, ...]


def tasks(kpis: Iterable[Kpi] = tuple(KPIS.values())) -> list[Task]:
    """Everything that is computed."""
    return [Task(k, WINDOWS[w], by) for k in kpis for w in k.windows for by in k.series]


class Due:
    """Finds the windows of one evaluation.

    Its cost goes with what changed and what closes, and not with the tenants and series that there are.
    """

    def __init__(self, contributions: Contributions, published: Published) -> None:
        self._contributions, self._published = contributions, published
        self._spans: dict[tuple[Any, ...], dict[str, dict[tuple[str, ...], int]]] = {}
        self._grown: dict[tuple[str, int], list[str]] = {}
        for family, level, tenant in contributions.grown:
            self._grown.setdefault((family, level), []).append(tenant)

    def newest(self, kpi: Kpi, level: int, tenant: str) -> int | None:
        """Greatest bucket with a row in the KPI's families, for a tenant."""
        newest = self._contributions.newest
        return max((newest[f, level, tenant] for f in kpi.families if (f, level, tenant) in newest), default=None)

    def done(self, kpi: Kpi, level: int, tenant: str) -> int | None:
        """The same at the last evaluation: windows between the two came into being, changed buckets or not."""
        newest, grown = self._contributions.newest, self._contributions.grown
        held = (grown.get((f, level, tenant), newest.get((f, level, tenant))) for f in kpi.families)
        return max((bucket for bucket in held if bucket is not None), default=None)

    def candidates(
        self, task: Task, changes: Changes, left: dict[Series, Array], limit: int | None
    ) -> dict[tuple[str, ...], Array]:
        """Last buckets of the windows to look at, per key; `limit` is the last bucket that the watermark has passed."""
        found: dict[tuple[str, ...], list[Array]] = {}
        spread = np.arange(task.window.length)
        of_level = changes.of.get(task.window.level, {})
        for family in task.kpi.families:
            for key, buckets in of_level.get((family, task.by), {}).items():
                held = np.fromiter(buckets, np.int64, len(buckets))
                found.setdefault(key, []).append((held[:, None] + spread).reshape(-1))
        for key, lasts in self._come_into_being(task):
            found.setdefault(key, []).append(lasts)
        for series, lasts in left.items():
            found.setdefault(series.key, []).append(lasts)
        if limit is not None:
            for key, closing in self._published.closing(task.kpi.name, task.window.name, task.by, limit).items():
                found.setdefault(key, []).append(np.array(closing, np.int64))
        out = {}
        for key, parts in found.items():
            newest = self.newest(task.kpi, task.window.level, key[0])
            lasts = task.window.aligned(distinct(np.concatenate(parts)))
            lasts = lasts[lasts <= (task.window.reach(newest) if newest is not None else -1)]
            if (
                swept := self._contributions.swept
            ):  # a window with a bucket that was given up is a backfill's to restate
                lasts = lasts[~swept.crosses(task.window.level, lasts - task.window.length + 1, lasts)]
            out[key] = lasts
        return out

    def _come_into_being(self, task: Task) -> Iterable[tuple[tuple[str, ...], Array]]:
        level, length = task.window.level, task.window.length
        if length == 1:
            return
        for tenant in {t for family in task.kpi.families for t in self._grown.get((family, level), ())}:
            newest, done = self.newest(task.kpi, level, tenant), self.done(task.kpi, level, tenant)
            if newest is None or done is None or newest <= done:
                continue
            for key, last in self._last_rows(task, done, length).get(tenant, {}).items():
                end = min(task.window.reach(newest), last + length - 1)
                if end > done:
                    yield key, np.arange(done + 1, end + 1)

    def _last_rows(self, task: Task, done: int, length: int) -> dict[str, dict[tuple[str, ...], int]]:
        """Greatest bucket with a row of each key, by tenant, in the `length - 1` buckets up to `done`."""
        place = (task.kpi.families, task.by, task.window.level, done, length)
        if place not in self._spans:
            last: dict[str, dict[tuple[str, ...], int]] = {}
            span = self._contributions.span(task.window.level, done - length + 2, done)
            for bucket in sorted(span):
                for family in task.kpi.families:
                    for key in span[bucket].rows.get((family, task.by), ()):
                        last.setdefault(key[0], {})[key] = bucket
            self._spans[place] = last
        return self._spans[place]


def runs(lasts: Array, most: int, step: int = 1) -> Iterable[tuple[int, int]]:
    """Runs of numbers that follow each other by `step`, none wider than `most`.

    Examples
    --------
    >>> list(runs(np.array([1, 2, 3, 7]), 2)), list(runs(np.array([4, 9, 19]), 60, 5))
    ([(1, 2), (3, 3), (7, 7)], [(4, 9), (19, 19)])
    """
    start = previous = None
    for last in lasts.tolist():
        if start is not None and previous is not None and (last != previous + step or last - start >= most):
            yield start, previous
            start = None
        start = last if start is None else start
        previous = last
    if start is not None and previous is not None:
        yield start, previous
