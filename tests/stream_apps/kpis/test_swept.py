"""The KPI stage gives up buckets that nothing touched for long, and never tells a value that lacks them."""

from schemas.windows import MINUTE
from stream_apps.compute.kpi.contributions import KEPT_MS
from stream_apps.compute.kpi.published import POINTS
from tests.stream_apps.kpis.test_stage import MINUTE_MS, START, Driver, head, sold, tickets

AFTER = KEPT_MS[MINUTE] // MINUTE_MS + 500  # minutes after which the first bucket was given up


def aged() -> Driver:
    """A stage that saw the first minute, then others for longer than buckets are kept."""
    driver = Driver()
    for number, minute in enumerate(range(0, AFTER, 60)):
        at = START + minute
        driver.feed(tickets(number + 1, at, minute + 1), head(number + 1, at + 2), now_ms=(at + 3) * MINUTE_MS)
    return driver


def test_what_is_stored_does_not_grow_with_time() -> None:
    driver = aged()
    minutes = [r.bucket for _, r in driver.records.all() if r.level == MINUTE and r.kind not in (POINTS, "pending")]
    assert START not in minutes
    assert len(minutes) <= KEPT_MS[MINUTE] // (60 * MINUTE_MS) + 3
    chunks = [r.bucket for _, r in driver.records.all() if r.kind == POINTS and r.level == MINUTE]
    assert min(chunks) > START // 64


def test_a_late_record_for_it_restates_nothing_here_and_is_counted() -> None:
    driver = aged()
    now_ms = (START + AFTER + 3) * MINUTE_MS
    for _ in range(2):
        assert sold(driver.feed(tickets(9_000, START, 99, rows=5), now_ms=now_ms, quiet=True)) == []
        assert driver.stage.contributions.cold == 1
        driver.restart()
    # A minute beside it is new: its own window is told, an hour that reaches back to what was given up is not.
    points = driver.feed(tickets(9_001, START + 5, 8), head(9_001, START + AFTER + 60), now_ms=now_ms, quiet=True)
    assert (5, 8.0, 0, True) in sold(points)
    assert all(minute > AFTER - 120 for minute, *_ in sold(points, "1h"))
    assert min(minute for minute, *_ in sold(points, "5m")) == 1
