"""When cohort figures are published, become final and are restated; which days a late row touches."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.cohorts import COHORTS
from schemas.windows import DAY, bucket_start_ms
from stream_apps.compute.cohorts import GRACE_MS, Query, Stood, due, point_of

TODAY = 20_514
ZONE = "Europe/Berlin"
DAU, RETENTION = COHORTS["daily_active_users_exact"], COHORTS["retention_d7_ratio"]


def published(value: float | None, stood: Stood | None, now_ms: int, metric: Any = DAU) -> tuple[Any, ...] | None:
    """(value, revision, final, reason) of today's point."""
    row = ("default", "", value, 10)
    point = point_of(Query(metric, TODAY), row, stood, now_ms=now_ms, zone=ZONE, generation=3)
    return None if point is None else (point["value"], point["revision"], point["final"], point["reason"])


def over(day: int) -> int:
    return bucket_start_ms(day + 1, DAY, ZONE)


def test_a_figure_is_open_then_final_then_restated() -> None:
    noon = over(TODAY) - 43_200_000
    assert published(5.0, None, noon) == (5.0, 0, False, None)
    assert published(5.0, Stood(0, 5.0, False), noon) is None
    assert published(6.0, Stood(0, 5.0, False), noon) == (6.0, 0, False, None)
    assert published(6.0, Stood(0, 6.0, False), over(TODAY) + GRACE_MS - 1) is None
    assert published(6.0, Stood(0, 6.0, False), over(TODAY) + GRACE_MS) == (6.0, 0, True, None)
    later = over(TODAY + 3)
    assert published(6.0, Stood(0, 6.0, True), later) is None
    assert published(7.0, Stood(0, 6.0, True), later) == (7.0, 1, True, "late")
    assert published(None, Stood(1, 7.0, True), later) == (None, 2, True, "late")


def test_a_figure_that_waits_is_final_when_its_days_are_over() -> None:
    assert published(0.5, None, over(TODAY + 7) + GRACE_MS - 1, RETENTION) == (0.5, 0, False, None)
    assert published(0.5, None, over(TODAY + 7) + GRACE_MS, RETENTION) == (0.5, 0, True, None)


def test_completeness_grows_with_the_days_that_it_waits_for() -> None:
    row, query = ("default", "", 0.5, 10), Query(RETENTION, TODAY)
    points = [point_of(query, row, None, now_ms=over(TODAY + d), zone="UTC", generation=1) for d in (-1, 0, 3, 7)]
    shares = [p["completeness"] for p in points if p is not None]
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1


@pytest.mark.parametrize("day", [TODAY, TODAY - 3])
def test_a_row_touches_the_days_that_see_it(day: int) -> None:
    found = {(q.metric.name, q.day) for q in due(COHORTS.values(), [day], TODAY)}
    assert ("daily_active_users_exact", day) in found
    assert {d for n, d in found if n == "daily_active_users_exact"} == {day}
    assert {d for n, d in found if n == "weekly_active_users_exact"} == set(range(day, TODAY + 1))
    assert {d for n, d in found if n == "retention_d7_ratio"} == {day - 7, day}
    assert {d for n, d in found if n == "refund_by_sale_ratio"} == set(range(day - 35, TODAY + 1))


def test_the_newest_days_come_first_and_nothing_comes_from_nothing() -> None:
    days = [q.day for q in due(COHORTS.values(), [TODAY - 2, TODAY - 9], TODAY)]
    assert days == sorted(days, reverse=True)
    assert due(COHORTS.values(), [], TODAY) == []


def test_a_change_of_the_definition_is_named_as_such() -> None:
    stood, now_ms = Stood(0, 1.0, True, version=1), over(TODAY + 9)
    for version, reason in ((1, "late"), (2, "definition")):
        query = Query(replace(DAU, version=version), TODAY)
        point = point_of(query, ("t", "", 2.0, 1), stood, now_ms=now_ms, zone=ZONE, generation=1)
        assert point is not None
        assert (point["revision"], point["reason"], point["definition_version"]) == (1, reason, version)


def test_an_order_that_ends_after_midnight_waits_for_the_next_day() -> None:
    found = {(q.metric.name, q.day) for q in due(COHORTS.values(), [TODAY - 8], TODAY)}
    assert {("checkout_conversion_ratio", TODAY - 9), ("payment_failure_by_order_ratio", TODAY - 9)} <= found


def test_a_revision_is_numbered_behind_what_stands() -> None:
    stood = Stood(4, 1.0, True)
    point = point_of(
        Query(replace(DAU, version=2), TODAY), ("t", "", 2.0, 1), stood, now_ms=over(TODAY + 9), zone=ZONE, generation=1
    )
    assert point is not None
    assert (point["revision"], point["definition_version"], point["window_end_ms"]) == (5, 2, over(TODAY))
