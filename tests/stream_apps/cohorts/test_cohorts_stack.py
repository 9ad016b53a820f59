"""Cohort metrics on the running platform: published once by two workers, through a crash of both, and restated by late rows."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.addresses import resolve
from infra.settings import load
from infra.store import connect
from schemas.sessions import ROUND_OVERLAP_S
from tests.torture.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


def ago(days: int) -> str:
    """A day of late: a row of a day makes the figures of all days since then due."""
    return str((datetime.now(UTC) - timedelta(days)).date())


#: Figures are asked for of the first, its end is the second; sessions are of the others.
DAY, END, VISITS, NEXT = (ago(days) for days in (6, 5, 4, 3))
FIGURES = f"""
SELECT kpi, by, value, revision, final FROM kpi_history
WHERE kpi IN ('daily_active_users_exact', 'weekly_active_users_exact', 'checkout_conversion_ratio', 'crash_user_ratio')
    AND toDate(window_start) = '{DAY}' ORDER BY kpi, by
"""
SENT = f"""
SELECT kpi, by, revision, uniqExact(value) AS given FROM kpi_points WHERE window = '1d' AND final AND revision >= 0
    AND toDate(window_start) <= '{DAY}' GROUP BY kpi, by, window_start, revision HAVING given > 1
"""
#: A session that both views tell alike adds up to nothing.
COLUMNS = """tenant_id, person, started_at, ended_at, run_started_at, length_s, records, page_views, purchases, crashes, engaged"""
DIFFERENT = f"""
SELECT countIf(sides != 0) AS different, countIf(sides = 0) AS told FROM (
    SELECT sum(side) AS sides FROM (
        SELECT {COLUMNS}, 1 AS side FROM sessions UNION ALL SELECT {COLUMNS}, -1 AS side FROM sessions_from_events)
    GROUP BY {COLUMNS})
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
    """The four figures once the exact count of people says what the days of people say."""
    stack.run("wait", "--idle", "--timeout", "120")
    deadline = time.monotonic() + 60
    while True:
        found, [people] = figures(stack), stack.rows(PEOPLE)
        if found.get("daily_active_users_exact", (None,))[0] == people["n"] and len(found) == 4:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def same_sessions(stack: Platform) -> int:
    """Number of sessions, once the table holds those that the records tell."""
    stack.run("wait", "--idle", "--timeout", "120")
    deadline = time.monotonic() + 60
    while True:
        [found] = stack.rows(DIFFERENT)
        if found["different"] == 0:
            return int(found["told"])
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def test_cohorts_are_published_once_through_crashes_and_restated_by_late_rows(stack: Platform, tmp_path: Path) -> None:
    words = ("--start", f"{DAY}T10:00:00Z")
    stack.run("simulate", "--events", "3000", "--seed", "31", *words)
    first = settled(stack)
    assert {(revision, final) for _, revision, final in first.values()} == {(0, True)}
    for name in ("worker-1", "worker-2"):
        stack.kill(name)
    stack.run("simulate", "--events", "1500", "--seed", "32", *words)
    second = settled(stack)
    assert second["daily_active_users_exact"][0] > first["daily_active_users_exact"][0]
    assert second["daily_active_users_exact"][1] >= 1
    reasons = stack.rows("SELECT DISTINCT reason FROM restatements WHERE kpi = 'daily_active_users_exact'")
    assert reasons == [{"reason": "late"}]
    assert stack.rows(SENT) == []
    shown = stack.json("metrics", "daily_active_users_exact", "--at", f"{END}T00:00:00Z")[0]
    assert (shown["value"], shown["final"]) == (second["daily_active_users_exact"][0], True)
    told = stack.json("metrics", "explain", "daily_active_users_exact", "--window", "1d", "--at", f"{END}T00:00:00Z")
    assert told["recomputed"] == shown["value"]
    assert f"toDate('{DAY}')" in told["sql"]
    words = stack.run(
        "metrics", "explain", "daily_active_users_exact", "--window", "1d", "--at", f"{END}T00:00:00Z"
    ).stdout
    assert "Asked again now" in words and "the same" in words
    assert stack.json("verify")["different"] == []


def test_sessions_are_those_of_the_records_through_crashes_and_late_ones(stack: Platform) -> None:
    stack.run("simulate", "--events", "3000", "--seed", "41", "--start", f"{VISITS}T10:00:00Z")
    told = same_sessions(stack)
    assert told > 100
    stack.run("simulate", "--events", "2000", "--seed", "42", "--start", f"{NEXT}T08:00:00Z", "--speed", "60")
    for name in ("worker-1", "worker-2"):
        stack.kill(name)
    # Before and after what was there: some sessions grow, some begin earlier, and some become one.
    for start in ("09:45:00", "10:15:00"):
        stack.run("simulate", "--events", "1500", "--seed", "43", "--start", f"{VISITS}T{start}Z")
    assert same_sessions(stack) > told
    [gone] = stack.rows("SELECT count() AS n FROM session_versions FINAL WHERE records = 0 AND person != ''")
    assert gone["n"] > 0


def test_verify_knows_each_session(stack: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    stack.run("simulate", "--events", "500", "--seed", "44")
    same_sessions(stack)
    [sessions] = stack.rows("SELECT count() AS n FROM sessions")
    deadline = time.monotonic() + 240  # a minute after the last record a round has seen them all
    while (found := stack.json("verify", check=False))["sessions"] != sessions["n"] or found["different"]:
        assert time.monotonic() < deadline, (found["sessions"], sessions, found["different"])
        time.sleep(2)
    # Rounds that still look back to the last records would follow a deletion near them.
    while stack.rows(f"SELECT max(touched_at) >= now() - {ROUND_OVERLAP_S + 15} AS near FROM user_days")[0]["near"]:
        time.sleep(2)
    settings = load()
    with connect(settings, resolve(settings)) as client:
        [(victim,)] = client.query(
            "SELECT any(message_id) FROM footlights.events_interaction WHERE user_id IS NOT NULL AND NOT automatic"
        ).result_rows
        client.command(
            f"ALTER TABLE footlights.events_interaction DELETE WHERE message_id = '{victim}' SETTINGS mutations_sync = 2"
        )
    different = json.loads(stack.run("verify", "--json", check=False).stdout)["different"]
    assert any(d["kpi"] == "session" and d["published"] != d["recomputed"] for d in different)
