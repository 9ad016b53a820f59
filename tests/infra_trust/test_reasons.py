"""A changed final figure says why it changed and which rows changed it."""

import json
from dataclasses import replace
from typing import Any

import numpy as np

from schemas.kpis import KPIS
from schemas.partials import ADDITIVE, AdditivePart, pack_additive
from schemas.windows import MINUTE
from stream_apps.compute.kpi.points import Point
from stream_apps.compute.kpi.stage import KpiStage
from tests.stream_apps.kpis.test_stage import NOW, START, Driver, head

NAMES = ("revenue_gross", "revenue_refunded", "tickets_sold")


def sales(
    offset: int, minute: int, gross: int, refunded: int = 0, sold: int = 1, rows: int = 1, late: int = 0
) -> dict[str, Any]:
    """An additive record of commerce, cumulative for its minute."""
    values = np.array([[gross, refunded, sold]], np.int64)
    part = AdditivePart((), (("default",),), np.array([rows]), np.array([late]), NAMES, values)
    return {
        "kind": ADDITIVE, "family": "commerce", "topic": "events.commerce", "partition": 0, "level": MINUTE, "bucket": minute,
        "piece": "", "offset": offset, "generation": 1, "body": pack_additive([part]),
    }  # fmt: skip


def of(points: list[Point], kpi: str) -> Point:
    """The point of a KPI's minute."""
    [found] = [p for p in points if p["kpi"] == kpi and p["window"] == "1m"]
    return found


def closed(driver: Driver) -> None:
    """A minute with sales, closed by a later one; the partition was read up to offset 20."""
    driver.feed(sales(10, START, 1_000))
    driver.feed(sales(20, START + 2, 500), head(20, START + 2))


def test_a_late_row_is_named_with_the_offsets_that_hold_it() -> None:
    driver = Driver()
    closed(driver)
    point = of(driver.feed(sales(25, START, 1_700, sold=3, rows=2, late=1)), "tickets_sold")
    assert (point["value"], point["revision"], point["final"], point["reason"]) == (3.0, 1, True, "late")
    [event] = json.loads(point["cause"])["events"]
    assert event == {
        "family": "commerce", "partition": 0, "after_offset": 20, "to_offset": 25, "rows": 1, "late": 1,
        "measures": ["tickets_sold"],
    }  # fmt: skip
    assert of(driver.feed(sales(31, START, 1_900, sold=4, rows=3, late=2)), "tickets_sold")["revision"] == 2


def test_money_that_goes_back_is_a_refund_where_nothing_else_moved() -> None:
    driver = Driver()
    closed(driver)
    points = driver.feed(sales(25, START, 1_000, refunded=400, rows=2, late=1))
    assert of(points, "refund_ratio")["reason"] == "refund"
    assert json.loads(of(points, "revenue_net_minor")["cause"])["events"][0]["measures"] == ["revenue_refunded"]
    again = driver.feed(sales(26, START, 1_500, refunded=500, rows=4, late=3))
    assert of(again, "refund_ratio")["reason"] == "late"


def test_causes_do_not_stay_for_the_next_revision() -> None:
    driver = Driver()
    closed(driver)
    driver.feed(sales(25, START, 1_000, refunded=400, rows=2, late=1), head(25, START + 2))
    [event] = json.loads(
        of(driver.feed(sales(30, START, 1_000, refunded=700, rows=3, late=2)), "refund_ratio")["cause"]
    )["events"]
    assert (event["after_offset"], event["rows"]) == (25, 1)


def test_a_changed_definition_is_the_reason() -> None:
    driver = Driver()
    closed(driver)
    newer = replace(KPIS["tickets_sold"], version=2)
    driver.generation += 1
    driver.stage = KpiStage(driver.records, driver.generation, kpis=(newer,))
    driver.feed(head(20, START + 2))  # the new owner learns how far event time is
    point = of(driver.feed(sales(25, START, 1_700, sold=3, rows=2)), "tickets_sold")
    assert (point["reason"], point["definition_version"]) == ("definition", 2)
    assert json.loads(point["cause"])["definition"] == {"old_version": 1, "new_version": 2}


def test_open_points_and_first_final_ones_have_no_reason() -> None:
    driver = Driver()
    points = driver.feed(sales(10, START, 1_000)) + driver.feed(sales(20, START + 2, 500), head(20, START + 2))
    assert {p["reason"] for p in points} == {p["cause"] for p in points} == {None}


def test_completeness_tells_how_much_of_the_window_is_covered() -> None:
    driver = Driver()
    points = driver.feed(
        sales(10, START, 1_000), sales(11, START + 2, 500), head(11, START + 2), now_ms=NOW, quiet=True
    )
    held = {(p["window"], p["window_end_ms"] // 60_000 - START): p for p in points if p["kpi"] == "tickets_sold"}
    assert held["1m", 1]["completeness"] == 1.0 and held["1m", 1]["final"]
    assert held["1m", 3]["completeness"] == 0.0  # its minute has just begun
    assert held["5m", 3]["completeness"] == 0.8  # four of five minutes, from two before the first sale
