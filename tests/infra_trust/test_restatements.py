"""What a backfill asks for becomes a revision exactly once, and stage and backfill never contradict each other."""

from typing import Any

from schemas.partials import HEAD_LEVEL, RESTATEMENT, Restated, Restatement, pack_restatement
from schemas.windows import WINDOWS
from stream_apps.compute.kpi.points import Point
from stream_apps.compute.kpi.restatements import MOST_REQUESTS, PATIENCE_MS
from tests.infra_trust.test_reasons import closed, of, sales
from tests.stream_apps.kpis.test_stage import NOW, START, Driver, head


def request(value: float, following: int, *, revision: int = 0, version: int = 1) -> dict[str, Any]:
    """A request for the closed minute's tickets from the rows below an offset of the one partition."""
    made = Restatement(
        "r1", "backfill", "tickets_sold", version, "1m", (), ("default",), (("commerce", 0, following),),
        (Restated(START, value, 1, 0, revision),),
    )  # fmt: skip
    return {
        "kind": RESTATEMENT, "family": RESTATEMENT, "topic": "", "partition": 0, "level": HEAD_LEVEL, "bucket": START,
        "piece": "r1", "offset": 0, "generation": 0, "body": pack_restatement(made),
    }  # fmt: skip


def tickets_of(points: list[Point]) -> list[tuple[float | None, int, str | None]]:
    """(value, revision, reason) of the closed minute."""
    return [
        (p["value"], p["revision"], p["reason"])
        for p in points
        if (p["kpi"], p["window"], p["window_start_ms"]) == ("tickets_sold", "1m", START * 60_000)
    ]


def test_a_value_that_the_stage_cannot_have_is_held_against_it() -> None:
    driver = Driver()
    closed(driver)
    assert tickets_of(driver.feed(request(7.0, 21))) == [(7.0, 1, "backfill")]
    assert tickets_of(driver.feed(request(7.0, 21))) == []  # repeated, it changes nothing
    assert tickets_of(driver.feed(sales(25, START, 1_700, sold=3, rows=2), head(25, START + 2))) == []
    assert driver.stage.held_back == 1
    assert tickets_of(driver.feed(request(9.0, 26, revision=1))) == [(9.0, 2, "backfill")]
    assert tickets_of(driver.restart()) == [(9.0, 2, "backfill")]
    driver.feed(head(25, START + 2))
    assert tickets_of(driver.feed(sales(30, START, 1_900, sold=4, rows=3))) == []  # held by the next owner too


def test_a_value_that_the_stage_has_too_leaves_the_window_to_it() -> None:
    driver = Driver()
    closed(driver)
    assert tickets_of(driver.feed(request(7.0, 21))) == [(7.0, 1, "backfill")]
    assert tickets_of(driver.feed(request(1.0, 21, revision=1))) == [(1.0, 2, "backfill")]  # as the stage has it
    late = driver.feed(sales(25, START, 1_700, sold=3, rows=2, late=1))
    assert tickets_of(late) == [(3.0, 3, "late")]


def test_rows_that_came_since_make_a_request_void() -> None:
    driver = Driver()
    closed(driver)
    assert tickets_of(driver.feed(sales(25, START, 1_700, sold=3, rows=2), head(25, START + 2))) == [(3.0, 1, "late")]
    assert tickets_of(driver.feed(request(7.0, 21))) == []
    assert of(driver.feed(sales(26, START, 1_700, sold=5, rows=3)), "tickets_sold")["revision"] == 2


def test_a_request_waits_until_the_stage_has_read_as_far_and_holds_the_commit_back() -> None:
    driver = Driver()
    closed(driver)
    clean = driver.stage.clean_offset
    assert tickets_of(driver.feed(request(3.0, 26))) == []
    assert driver.stage.clean_offset == clean
    point = tickets_of(driver.feed(sales(25, START, 1_700, sold=3, rows=2), head(25, START + 2)))
    assert point == [(3.0, 1, "late")]  # the stage came to the same by itself
    assert driver.stage.clean_offset == driver.offset - 1
    driver.feed(request(8.0, 99))
    assert driver.stage.requests.waiting
    driver.feed(now_ms=NOW + PATIENCE_MS)
    assert not driver.stage.requests.waiting and driver.stage.requests.expired == 1
    assert driver.stage.clean_offset == driver.offset - 1


def test_many_requests_are_answered_in_turns_and_all_of_them() -> None:
    driver = Driver()
    closed(driver)
    asked = [request(float(n), 21, revision=n - 7) for n in range(7, 7 + MOST_REQUESTS + 2)]
    values = [value for value, _, _ in tickets_of(driver.feed(*asked))]
    assert values == [7.0, 8.0, 9.0, 10.0] and driver.stage.clean_offset < driver.offset - 1
    assert [value for value, _, _ in tickets_of(driver.feed())] == [11.0, 12.0]
    assert driver.stage.clean_offset == driver.offset - 1


def test_the_stores_revisions_count_where_the_stage_has_forgotten_its_own() -> None:
    driver = Driver()
    closed(driver)
    driver.stage.contributions.swept.add(WINDOWS["1m"].level, START)
    key = next(k for k in driver.stage.published._chunks if k[0].kpi == "tickets_sold" and k[0].window == "1m")
    del driver.stage.published._chunks[key]
    assert tickets_of(driver.feed(request(7.0, 21, revision=4))) == [(7.0, 5, "backfill")]


def test_requests_for_another_version_or_an_open_window_change_nothing() -> None:
    driver = Driver()
    closed(driver)
    assert tickets_of(driver.feed(request(7.0, 21, version=2))) == []
    still_open = Driver()
    still_open.feed(sales(10, START, 1_000), head(10, START))
    assert tickets_of(still_open.feed(request(7.0, 11))) == []
