"""Cohort metrics on the running platform: published once by two workers, through a crash of both, and restated by late rows."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

DAY = "2026-11-02"
FIGURES = f"""
SELECT kpi, by, value, revision, final FROM kpi_history
WHERE kpi IN ('daily_active_users_exact', 'weekly_active_users_exact', 'checkout_conversion_ratio', 'crash_user_ratio')
    AND toDate(window_start) = '{DAY}' ORDER BY kpi, by
"""
SENT = f"""
SELECT kpi, by, revision, uniqExact(value) AS given FROM kpi_points WHERE window = '1d' AND final AND revision >= 0
    AND toDate(window_start) <= '{DAY}' GROUP BY kpi, by, window_start, revision HAVING given > 1
"""
PEOPLE = f"SELECT uniqExact(person) AS n FROM user_days WHERE active = 1 AND day = '{DAY}'"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = Platform(tmp_path_factory.mktemp("cohorts"), {"FOOTLIGHTS_COHORTS_S": "1"})
    platform.up()
    yield platform
    platform.down()


def figures(stack: Platform) -> dict[str, tuple[float | None, int, bool]]:
    return {row["kpi"]: (row["value"], row["revision"], row["final"]) for row in stack.rows(FIGURES)}


def settled(stack: Platform) -> dict[str, tuple[float | None, int, bool]]:
    """The figures once the exact count of people says what the days of people say."""
    stack.run("wait", "--idle", "--timeout", "60")
    deadline = time.monotonic() + 60
    while True:
        found, [people] = figures(stack), stack.rows(PEOPLE)
        if found.get("daily_active_users_exact", (None,))[0] == people["n"]:
            time.sleep(3)  # the other figures of the same round reach the store
            return figures(stack)
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def test_cohorts_are_published_once_through_crashes_and_restated_by_late_rows(stack: Platform, tmp_path: Path) -> None:
    words = ("--start", f"{DAY}T10:00:00Z")
    stack.run("simulate", "--events", "3000", "--seed", "31", *words)
    first = settled(stack)
    assert len(first) == 4
    assert {(revision, final) for _, revision, final in first.values()} == {(0, True)}
    for name in ("worker-1", "worker-2"):
        assert stack.signal(name, signal.SIGKILL)
    stack.run("simulate", "--events", "1500", "--seed", "32", *words)
    second = settled(stack)
    assert second["daily_active_users_exact"][0] > first["daily_active_users_exact"][0]
    assert second["daily_active_users_exact"][1] >= 1
    reasons = stack.rows("SELECT DISTINCT reason FROM restatements WHERE kpi = 'daily_active_users_exact'")
    assert reasons == [{"reason": "late"}]
    assert stack.rows(SENT) == []
    shown = stack.json("metrics", "daily_active_users_exact", "--at", "2026-11-03T00:00:00Z")[0]
    assert (shown["value"], shown["final"]) == (second["daily_active_users_exact"][0], True)
    told = stack.json(
        "metrics", "explain", "daily_active_users_exact", "--window", "1d", "--at", "2026-11-03T00:00:00Z"
    )
    assert told["recomputed"] == shown["value"]
    assert "toDate('2026-11-02')" in told["sql"]
    words = stack.run(
        "metrics", "explain", "daily_active_users_exact", "--window", "1d", "--at", "2026-11-03T00:00:00Z"
    ).stdout
    assert "Asked again now" in words and "the same" in words
    assert stack.json("verify")["different"] == []
