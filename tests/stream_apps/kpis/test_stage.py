"""When windows open, close and are restated, and how far event time is complete."""

import sys
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
import pytest

from benchmarks.tenants import START_MS, Stage
from schemas.identity import DISORDER_MS
from schemas.partials import ADDITIVE, HEAD, HEAD_LEVEL, AdditivePart, Head, pack_additive, pack_head
from schemas.windows import MINUTE
from stream_apps.compute.kpi.points import Point
from stream_apps.compute.kpi.stage import KpiStage, _unpack
from stream_apps.compute.kpi.watermarks import Watermarks
from stream_apps.compute.records import Records

MINUTE_MS = 60_000
START = 29_000_000  # a minute
NOW = (START + 5) * MINUTE_MS


def head(
    offset: int, max_minute: float | None, *, at_end: bool = False, read_at_ms: int = 0, partition: int = 0
) -> dict[str, Any]:
    """A head of the commerce family whose newest row lies at the end of a minute's given part."""
    newest = None if max_minute is None else int(max_minute * MINUTE_MS) + DISORDER_MS
    body = pack_head(Head(offset, 1, newest, at_end, read_at_ms, duplicates=3))
    return _partial(HEAD, HEAD_LEVEL, 0, offset, body) | {"partition": partition}


def tickets(offset: int, minute: int, sold: int, rows: int = 1, late: int = 0) -> dict[str, Any]:
    """An additive record with tickets sold in a minute, cumulative."""
    names = ("payments_authorised", "payments_failed", "tickets_sold")
    part = AdditivePart(
        (), (("default",),), np.array([rows]), np.array([late]), names, np.array([[3, 1, sold]], np.int64)
    )
    return _partial(ADDITIVE, MINUTE, minute, offset, pack_additive([part]))


def _partial(kind: str, level: int, bucket: int, offset: int, body: bytes) -> dict[str, Any]:
    return {
        "kind": kind, "family": "commerce", "topic": "events.commerce", "partition": 0, "level": level, "bucket": bucket,
        "piece": "", "offset": offset, "generation": 1, "body": body,
    }  # fmt: skip


class Driver:
    """A stage and its store; each call reads some records and takes a checkpoint."""

    def __init__(self) -> None:
        self.records, self.generation, self.offset = Records(), 1, 0
        self.stage = KpiStage(self.records, 1)

    def feed(self, *partials: dict[str, Any], now_ms: int = NOW, quiet: bool = False) -> list[Point]:
        for partial in partials:
            self.stage.take(partial, self.offset, now_ms)
            self.offset += 1
        self.stage.evaluate(now_ms, quiet=quiet)
        done = self.stage.checkpoint(now_ms)
        for key, generation in done.superseded:
            self.records.drop(key, generation)
        return done.points

    def restart(self) -> list[Point]:
        self.generation += 1
        self.stage = KpiStage(self.records, self.generation)
        return self.stage.recovered


def sold(points: list[Point], window: str = "1m") -> list[tuple[int, float | None, int, bool]]:
    """(minute of the window's start, value, revision, final) of tickets_sold."""
    return [
        (p["window_start_ms"] // MINUTE_MS - START, p["value"], p["revision"], p["final"])
        for p in points
        if p["kpi"] == "tickets_sold" and p["window"] == window
    ]


def test_a_window_opens_closes_and_is_restated() -> None:
    driver = Driver()
    assert sold(driver.feed(tickets(1, START, 5), head(1, START))) == [(0, 5.0, 0, False)]
    assert sold(driver.feed(head(1, START))) == []
    assert sold(driver.feed(tickets(2, START, 7, rows=2), head(2, START + 1))) == [(0, 7.0, 0, True)]
    points = driver.feed(tickets(3, START, 9, rows=3, late=1), head(3, START + 1))
    assert sold(points) == [(0, 9.0, 1, True)]
    [point] = [p for p in points if p["kpi"] == "tickets_sold" and p["window"] == "1m"]
    assert (point["reason"], point["rows"], point["late_ratio"], point["duplicates"]) == ("late", 3, 1 / 3, 3)


def test_a_change_that_leaves_the_value_is_no_revision() -> None:
    driver = Driver()
    driver.feed(tickets(1, START, 5), head(1, START + 2))
    assert sold(driver.feed(tickets(2, START, 5, rows=2))) == []


def test_only_the_newest_open_window_is_told_until_all_is_quiet() -> None:
    driver = Driver()
    points = driver.feed(tickets(1, START, 5), tickets(1, START + 1, 6), tickets(1, START + 2, 7))
    assert sold(points) == [(2, 7.0, 0, False)]
    assert driver.stage.clean_offset == -1
    assert sold(driver.feed(quiet=True)) == [(0, 5.0, 0, False), (1, 6.0, 0, False)]
    assert driver.stage.clean_offset == 2


def test_windows_that_come_into_being_by_a_later_row_are_published() -> None:
    driver = Driver()
    driver.feed(tickets(1, START, 5))
    points = driver.feed(tickets(2, START + 3, 1), quiet=True)
    assert sold(points, "5m") == [(-3, 5.0, 0, False), (-2, 5.0, 0, False), (-1, 6.0, 0, False)]


def test_an_older_contribution_changes_nothing() -> None:
    driver = Driver()
    driver.feed(tickets(5, START, 9, rows=3), quiet=True)
    assert sold(driver.feed(tickets(4, START, 7, rows=2), quiet=True)) == []
    driver.restart()
    assert sold(driver.feed(tickets(4, START, 7, rows=2), quiet=True)) == []


def test_recovery_publishes_the_last_points_again_and_goes_on_behind_them() -> None:
    driver = Driver()
    driver.feed(tickets(1, START, 5), head(1, START + 1))
    before = driver.feed(tickets(2, START, 7, rows=2))
    again = driver.restart()
    assert again == before
    assert sold(again) == [(0, 7.0, 1, True)]
    assert sold(driver.feed(tickets(3, START, 8, rows=3), head(3, START + 1))) == [(0, 8.0, 2, True)]


def test_a_stage_that_reads_again_says_nothing_until_it_is_where_it_was() -> None:
    driver = Driver()
    driver.feed(tickets(1, START, 5), tickets(2, START, 6, rows=2), tickets(3, START, 7, rows=3), head(3, START + 1))
    driver.restart()
    driver.stage.offset, driver.offset = 0, 1  # the checkpoint was torn: points are ahead of the head
    assert driver.feed(tickets(2, START, 6, rows=2), quiet=True) == []
    driver.feed(tickets(3, START, 7, rows=3), head(3, START + 1), quiet=True)
    assert sold(driver.feed(tickets(4, START, 8, rows=4), quiet=True)) == [(0, 8.0, 1, True)]


def test_null_at_a_zero_base() -> None:
    driver = Driver()
    points = driver.feed(tickets(1, START, 5))
    ratios = {p["kpi"]: p["value"] for p in points if p["window"] == "1m"}
    assert ratios["payment_failure_ratio"] == 0.25
    assert ratios["refund_ratio"] is None


@pytest.mark.parametrize(("silent_ms", "expected"), [(4_000, NOW - 120_000), (60_000, NOW - DISORDER_MS)])
def test_an_idle_partition_follows_the_clock_once_it_was_silent(silent_ms: int, expected: int) -> None:
    marks = Watermarks()
    row = NOW - 120_000 + DISORDER_MS
    marks.take("commerce", 0, Head(1, 1, row, True, NOW - silent_ms))
    marks.take("commerce", 0, Head(1, 1, row, True, NOW))
    marks.advance(NOW)
    assert marks.of(["commerce"]) == expected


def test_replayed_history_stays_put() -> None:
    marks = Watermarks()
    marks.take("commerce", 0, Head(1, 1, 1_000_000_000_000, True, NOW - 60_000))
    marks.take("commerce", 0, Head(1, 1, 1_000_000_000_000, True, NOW))
    marks.advance(NOW)
    assert marks.of(["commerce"]) == 1_000_000_000_000 - DISORDER_MS


def test_partitions_without_rows_hold_nothing_back_and_the_slowest_decides() -> None:
    marks = Watermarks()
    marks.take("commerce", 0, Head(9, 1, NOW, False, NOW))
    marks.take("commerce", 1, Head(9, 1, NOW - 50_000, False, NOW))
    marks.take("commerce", 2, Head(-1, 1, None, True, NOW))
    marks.advance(NOW)
    assert marks.of(["commerce", "listing"]) == NOW - 50_000 - DISORDER_MS
    assert (
        marks.completeness(["commerce"], NOW - 2 * DISORDER_MS, NOW - DISORDER_MS) == 0.5
    )  # one passed, one has not begun
    assert (
        marks.completeness(["commerce"], NOW - DISORDER_MS - 100_000, NOW - DISORDER_MS) == 0.75
    )  # one passed, one half-way
    assert marks.completeness(["commerce"], 0, NOW - DISORDER_MS - 50_000) == 1.0
    assert marks.of(["listing"]) is None


def test_a_watermark_never_runs_back() -> None:
    marks = Watermarks()
    marks.take("commerce", 0, Head(9, 1, NOW, False, NOW))
    marks.advance(NOW)
    marks.take("commerce", 1, Head(1, 1, NOW - 10_000_000, False, NOW))
    marks.advance(NOW)
    assert marks.of(["commerce"]) == NOW - DISORDER_MS


def test_hours_end_on_multiples_of_five_minutes_and_days_rolling_on_hours() -> None:
    driver = Driver()
    driver.feed(tickets(1, START, 5), quiet=True)
    points = driver.feed(tickets(2, START + 7, 1), head(2, START + 30), quiet=True)
    hours = [
        (p["window_end_ms"] // MINUTE_MS, p["value"])
        for p in points
        if (p["kpi"], p["window"]) == ("tickets_sold", "1h")
    ]
    assert hours == [(START + 5, 5.0), (START + 10, 6.0)]


@pytest.mark.parametrize("first_release", [True, False])
def test_how_far_windows_were_told_survives(first_release: bool) -> None:
    """A stage that ends while windows wait finds them again; heads of the first releases say so for each KPI's families."""
    driver = Driver()
    driver.feed(tickets(0, START, 2), head(0, START + 0.5))
    driver.feed(
        tickets(1, START - 1, 5), tickets(2, START + 2, 3)
    )  # two windows, of which only the newest is told at once
    stored = driver.records.head()
    assert stored is not None
    values = _unpack(stored.body)
    assert values[4] == [[["commerce"], MINUTE, "default", START]]
    kept = Records()
    if first_release:
        values[4].append([["account", "commerce"], MINUTE, "default", START])
        stored = replace(stored, body=msgpack.packb(values))
    kept.put(1, stored)
    again = KpiStage(kept, 2).contributions
    assert again.newest == {("commerce", MINUTE, "default"): START + 2}
    assert again.grown == {("commerce", MINUTE, "default"): START}


def calls_of_a_start(tenants: int) -> int:
    """Function calls that a stage needs to start from what is stored of so many tenants."""
    held, names = Stage(), [f"tenant-{n}" for n in range(tenants)]
    held.tell(names, 1, START_MS)
    held.settle(START_MS)
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        again = KpiStage(held.stage.records, 2)
    finally:
        sys.setprofile(before)
    assert len(again.published._chunks) == len(held.stage.published._chunks) > 50 * tenants
    return calls


def test_a_start_takes_ten_times_as_much_for_ten_times_the_tenants() -> None:
    assert calls_of_a_start(30) < 15 * calls_of_a_start(3)
