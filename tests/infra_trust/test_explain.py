"""The story of a figure says what the data say, and nothing about people."""

from typing import Any

import pytest

from infra.explain.story import Story, tell
from infra.explain.words import lines, number
from infra.query import json_rows
from schemas.cohorts import CohortMetric
from schemas.kpis import KPIS
from schemas.metric import RATIO, Metric
from tests.infra_trust.stored import Stored
from tests.infra_trust.test_backfill import NAME, Flow

pytestmark = pytest.mark.clickhouse
NEWEST = """
SELECT window, by, toString(window_start) AS window_start, toUnixTimestamp64Milli(kpi_history.window_start) AS start_ms,
    toUnixTimestamp64Milli(kpi_history.window_end) AS end_ms, value, revision, final,
    toString(watermark) AS watermark, completeness, late_ratio, rows, definition_version, toString(published_at) AS published_at
FROM footlights.kpi_history WHERE kpi = '{kpi}' AND tenant_id = 'default' AND {where} ORDER BY revision DESC, window_start LIMIT 1
"""


def story_of(stored: Stored, metric: Metric, where: str) -> Story:
    def rows(sql: str) -> list[dict[str, Any]]:
        return json_rows(stored.client, sql)[1]

    [point] = rows(NEWEST.format(kpi=metric.name, where=where))
    return tell(rows, stored, metric, point, tenant="default", zone="UTC", span=(point["start_ms"], point["end_ms"]))


def test_a_restated_figure(stored: Stored) -> None:
    flow = Flow(stored, (KPIS[NAME],))
    flow.late()
    story = story_of(stored, KPIS[NAME], "window = '1h' AND revision > 0")
    assert story.agrees and story.recomputed == story.point["value"]
    assert [o["value"] for o in story.operands] == [story.point["value"]]
    bought = sum(row["rows"] for row in story.events)
    assert bought == story.point["rows"] > len(story.late_rows) > 0
    newest = story.revisions[-1]
    assert newest["reason"] == "late" and sum(e["rows"] for e in newest["cause"]["events"]) > 0
    ranges = {(e["partition"], e["after_offset"], e["to_offset"]) for e in newest["cause"]["events"]}
    assert newest["rows_behind"]
    for row in newest["rows_behind"]:
        assert any(p == row["partition"] and after < row["offset"] <= upto for p, after, upto in ranges)
    assert {row["reason"] for row in story.excluded} <= {"late", "future"} and story.excluded
    text = "\n".join(lines(story))
    assert (
        f"revision {newest['revision']}: {number(story.revisions[-2]['value'])} → {number(newest['value'])}, late"
        in text
    )
    assert "user_id" not in story.late_rows[0] and "properties" not in story.late_rows[0]


def test_a_figure_that_the_raw_events_contradict(stored: Stored) -> None:
    Flow(stored, (KPIS[NAME],))
    stored.run("ALTER TABLE footlights.events_commerce DELETE WHERE quantity > 0 SETTINGS mutations_sync = 2")
    story = story_of(stored, KPIS[NAME], "window = '1h' AND final AND value > 0")
    assert story.agrees is False and story.recomputed == 0.0
    assert any("NOT what was published" in line for line in lines(story))


def test_a_cohort_metric_is_told_by_its_sql(stored: Stored) -> None:
    flow = Flow(stored, (KPIS[NAME],))
    cohort = CohortMetric("kept_ratio", "SELECT 1", RATIO, "Who stayed.", windows=("1h",))
    stored.points([p | {"kpi": cohort.name} for p in flow.kpis.published if p["window"] == "1h" and not p["by"]])
    story = story_of(stored, cohort, "true")
    assert story.agrees is None and story.operands == story.events == []
    text = "\n".join(lines(story))
    assert "SQL over the daily tables" in text and "SELECT 1" in text and "History:" in text


def test_numbers_for_people() -> None:
    assert [number(v) for v in (None, 3.0, 0.0844361234, 1_234_567.0)] == [
        "no value (zero base)",
        "3",
        "0.0844361",
        "1,234,567",
    ]
