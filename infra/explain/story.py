"""The story of one figure as data: definition, operands, revisions, the events behind it.

In: the store, a metric, a moment, dimensions.
Out: `Story`.
Never: a text or an id of a person: rows are named by message_id and offset.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from infra.explain.events import Scope, duplicates_of, events_of, excluded_of, late_rows_of, rows_of_ranges
from infra.verify.cells import Store, recomputed
from infra.verify.dimensions import dimensions_of
from infra.verify.result import bits
from schemas.catalogue import MEASURES
from schemas.cells import axis_of
from schemas.cohort_metric import CohortMetric
from schemas.cohorts import COHORTS
from schemas.kpis import KPIS, Kpi
from schemas.metric import Metric
from schemas.rollup import evaluate, operands
from schemas.windows import DAY, WINDOWS, bucket_of

Rows = Callable[[str], list[dict[str, Any]]]
REVISIONS = """
SELECT revision, value, reason, cause, rows, definition_version, toString(published_at) AS published_at
FROM footlights.kpi_revisions WHERE {series} ORDER BY revision
"""
FIRST = """
SELECT toString(min(published_at)) AS first_published_at, countIf(NOT final) AS open_points
FROM footlights.kpi_points WHERE {series}
"""


@dataclass
class Story:
    """What is known of one figure.

    `rows` are those of its families in the window now; the point's may be fewer, since a value that stays the same is not published
    again. `operands` and the events are empty for a cohort metric: its SQL is the story, as `sql` asks it of this day.
    """

    metric: Metric
    window: str
    by: str
    tenant: str
    start_ms: int
    end_ms: int
    point: dict[str, Any]
    first: dict[str, Any] = field(default_factory=dict)
    revisions: list[dict[str, Any]] = field(default_factory=list)
    operands: list[dict[str, Any]] = field(default_factory=list)
    recomputed: float | None = None
    agrees: bool | None = None
    sql: str | None = None
    rows: int | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    late_rows: list[dict[str, Any]] = field(default_factory=list)
    excluded: list[dict[str, Any]] = field(default_factory=list)
    duplicates: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The story as one JSON object."""
        metric = self.metric
        return {
            "name": metric.name, "kind": metric.kind, "help": metric.help, "unit": metric.unit, "good": metric.good,
            "owner": metric.owner, "definition": metric.definition, "version": metric.version,
            **{k: v for k, v in vars(self).items() if k != "metric"},
        }  # fmt: skip


def tell(
    rows: Rows, store: Store, metric: Metric, point: dict[str, Any], *, tenant: str, zone: str, span: tuple[int, int]
) -> Story:
    """Collect everything about the window that `point` is of; `span` has its bounds in epoch milliseconds."""
    story = Story(metric, point["window"], point["by"], tenant, *span, point)
    series = (
        f"tenant_id = {quoted(tenant)} AND kpi = {quoted(metric.name)} AND window = {quoted(story.window)} "
        f"AND by = {quoted(story.by)} AND toUnixTimestamp64Milli(window_start) = {story.start_ms}"
    )
    story.first = rows(FIRST.format(series=series))[0]
    story.revisions = rows(REVISIONS.format(series=series))
    for row in story.revisions:
        row["cause"] = json.loads(row["cause"]) if row["cause"] else None
    if metric.name in KPIS:
        _recompute(story, store, KPIS[metric.name], zone)
        _find_events(story, rows, KPIS[metric.name])
    elif metric.name in COHORTS:
        _ask_again(story, store, COHORTS[metric.name], zone)
    return story


def _ask_again(story: Story, store: Store, metric: CohortMetric, zone: str) -> None:
    """A cohort's figure as its query answers now."""
    story.sql = metric.sql(bucket_of(story.start_ms, DAY, zone), zone).strip()
    for tenant, by, value, rows in store.rows(story.sql):
        if (tenant, by) == (story.tenant, story.by):
            story.recomputed, story.rows = value, rows


def _recompute(story: Story, store: Store, kpi: Kpi, zone: str) -> None:
    window = WINDOWS[story.window]
    by, values = dimensions_of(kpi.series, story.by)
    where = (
        f"tenant_id = {quoted(story.tenant)} AND occurred_at_ms >= {story.start_ms} AND occurred_at_ms < {story.end_ms}"
    )
    buckets = recomputed(store, window.level, by, [kpi], zone, where)
    last = bucket_of(story.end_ms - 1, window.level, zone)
    axis = axis_of(buckets, kpi, by, (story.tenant, *values), last - window.length + 1, last)
    found = evaluate(kpi, axis, window.length)
    value, story.rows = float(found.value[0]), int(found.rows[0])
    story.recomputed = None if np.isnan(value) or not found.rows[0] else value
    story.agrees = bits(story.recomputed) == bits(story.point["value"])
    for operand, held in operands(kpi, axis, window.length).items():
        measure, number = MEASURES[operand.measure], float(held[0])
        told = operand.measure if operand.quantile is None else f"quantile({operand.measure}, {operand.quantile})"
        story.operands.append({
            "name": told, "value": None if np.isnan(number) else number, "help": measure.help,
            "where": measure.where, "families": list(measure.families),
        })  # fmt: skip


def _find_events(story: Story, rows: Rows, kpi: Kpi) -> None:
    by, values = dimensions_of(kpi.series, story.by)
    pairs = zip(by, values, strict=True)
    where = [f"tenant_id = {quoted(story.tenant)}", *(f"ifNull({n}, '') = {quoted(v)}" for n, v in pairs)]
    scope = Scope(kpi.families, " AND ".join(where), story.tenant, story.start_ms, story.end_ms)
    story.events = rows(events_of(scope))
    story.late_rows = rows(late_rows_of(scope))
    story.excluded = rows(excluded_of(scope))
    story.duplicates = rows(duplicates_of(scope))[0]
    for revision in story.revisions:
        ranges = (revision["cause"] or {}).get("events", [])
        revision["rows_behind"] = rows(rows_of_ranges(scope, ranges)) if ranges else []


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
