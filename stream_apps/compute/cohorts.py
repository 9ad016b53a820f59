"""Which figures of cohort metrics are published, given what was published before.

In: the rows of a metric's query for one day; what stands published.
Out: points.
Never: a revision that is given twice for different values, or a final figure that changes without one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from schemas.cohort_metric import CohortMetric
from schemas.money import RATES_VERSION
from schemas.windows import DAY, bucket_of, bucket_start_ms

#: A day is over this long after its end: what producers and sinks hold back has come by then.
GRACE_MS = 600_000
LATE, DEFINITION = "late", "definition"

Point = dict[str, Any]
Place = tuple[str, str, str, int]  # tenant, metric, by, day


@dataclass(frozen=True)
class Stood:
    """What was published of a figure last."""

    revision: int
    value: float | None
    final: bool
    version: int = 1


@dataclass(frozen=True)
class Query:
    """One metric of one day."""

    metric: CohortMetric
    day: int


def due(metrics: Iterable[CohortMetric], touched: Iterable[int], today: int) -> list[Query]:
    """Queries whose answer may have changed because rows of these days came, newest day first.

    A figure changes with the rows of its own day, of the days that it looks back to, and of the day for which it waits.
    """
    days = sorted(set(touched))
    if not days:
        return []
    found = set[tuple[int, str]]()
    by_name = {m.name: m for m in metrics}
    for metric in by_name.values():
        for day in days:
            last = min(today, day + metric.looks_back_days)
            found.update((d, metric.name) for d in range(day, last + 1))
            waits = range(day - metric.matures_days, day) if metric.ripens else (day - metric.matures_days,)
            found.update((d, metric.name) for d in waits)
    return [Query(by_name[name], day) for day, name in sorted(found, reverse=True)]


def final_at_ms(metric: CohortMetric, day: int, zone: str) -> int:
    """When a day's figure is final: its day, and the days that it waits for, are over."""
    return bucket_start_ms(day + metric.matures_days + 1, DAY, zone) + GRACE_MS


def point_of(
    query: Query,
    row: tuple[str, str, float | None, int],
    stood: Stood | None,
    *,
    now_ms: int,
    zone: str,
    generation: int,
) -> Point | None:
    """The point to publish, or None when what stands says the same.

    `row` has tenant, by, value and the number of rows behind it.
    """
    metric, day = query.metric, query.day
    tenant, by, value, rows = row
    final = now_ms >= final_at_ms(metric, day, zone)
    revision = 0
    reason: str | None = None
    if stood is not None:
        if stood.value == value and (stood.final or not final):
            return None
        if stood.final:
            reason = LATE if stood.version == metric.version else DEFINITION
            revision, final = stood.revision + 1, True
    start_ms, end_ms = bucket_start_ms(day, DAY, zone), bucket_start_ms(day + 1, DAY, zone)
    over_ms = end_ms + metric.matures_days * 86_400_000
    seen = (now_ms - start_ms) / (over_ms - start_ms)
    return {
        "tenant_id": tenant, "kpi": metric.name, "window": "1d", "by": by, "window_start_ms": start_ms, "window_end_ms": end_ms,
        "value": value, "revision": revision, "final": final, "reason": reason, "watermark_ms": min(now_ms, over_ms),
        "completeness": 1.0 if final else min(1.0, max(0.0, seen)), "late_ratio": 0.0, "rows": rows, "duplicates": 0,
        "definition_version": metric.version, "rates_version": RATES_VERSION, "published_at_ms": now_ms,
        "generation": generation, "source_offset": 0, "cause": None,
    }  # fmt: skip


def place_of(point: Point, zone: str) -> Place:
    """Where a point stands."""
    return point["tenant_id"], point["kpi"], point["by"], bucket_of(point["window_start_ms"], DAY, zone)
