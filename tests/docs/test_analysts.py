"""docs/analysts.md: every query runs on a year of rows and answers something; some answers are counted again another way."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from benchmarks.generated_rows import fill
from sinks.migrate import migrate

pytestmark = pytest.mark.clickhouse

PAGE = (Path(__file__).parents[2] / "docs" / "analysts.md").read_text()
QUESTIONS = dict(re.findall(r"\*\*(\d+)\. .*?```sql\n(.*?)```", PAGE, re.DOTALL))
#: These read what only a running stream writes.
OF_THE_STREAM = {"1", "19", "20"}


@pytest.fixture(scope="module")
def client(clickhouse_url: str) -> Iterator[Any]:
    """A year of 120,000 generated rows, the last of them an hour ago."""
    made = clickhouse_connect.get_client(dsn=f"{clickhouse_url}/default")
    made.command("DROP DATABASE IF EXISTS footlights")
    migrate(made)
    fill(made, 120_000, end_ms=int(time.time() * 1000) - 3_600_000)
    yield made
    made.command("DROP DATABASE footlights")
    migrate(made)
    made.close()


def ask(client: Any, sql: str) -> list[tuple[Any, ...]]:
    return list(client.query(sql, settings={"database": "footlights"}).result_rows)


def test_there_are_twenty() -> None:
    assert list(QUESTIONS) == [str(n) for n in range(1, 21)]


@pytest.mark.parametrize("number", QUESTIONS)
def test_each_question_is_answered(client: Any, number: str) -> None:
    rows = ask(client, QUESTIONS[number])
    assert rows or number in OF_THE_STREAM


def test_people_of_a_day_are_those_of_the_events(client: Any) -> None:
    union = " UNION ALL ".join(
        f"SELECT occurred_at, user_id, automatic FROM events_{f}"
        for f in ("interaction", "commerce", "attendance", "feedback")
    )
    by_events = ask(
        client,
        f"SELECT toDate(occurred_at) AS day, uniqExact(user_id) FROM ({union}) WHERE NOT automatic "
        "AND occurred_at >= toStartOfDay(now()) - INTERVAL 6 DAY GROUP BY day ORDER BY day",
    )
    assert ask(client, QUESTIONS["2"]) == by_events != []


def test_retention_is_what_a_loop_over_people_counts(client: Any) -> None:
    days: dict[str, set[Any]] = {}
    for person, day in ask(client, "SELECT DISTINCT person, day FROM user_days WHERE active = 1"):
        days.setdefault(person, set()).add(day)
    # The stream has passed all but the last two days, whatever a sender's clock has made of the newest.
    passed = max(max(d) for d in days.values()) - timedelta(2)
    client.command("TRUNCATE TABLE footlights.kpi_points")
    for back in (3, 0, 1):
        stamp = f"toDateTime64('{passed - timedelta(back)} 23:00:00', 3, 'UTC') + INTERVAL 1 HOUR"
        client.command(
            "INSERT INTO footlights.kpi_points (tenant_id, kpi, window, window_start, window_end, watermark) "
            f"VALUES ('t', 'daily_active_users', '1d', now64(3), now64(3), {stamp})"
        )
    found = ask(
        client,
        "SELECT cohort_day, n, people, returned, returned_on_or_after, returned_within, complete FROM cohort_retention",
    )
    assert len(found) > 1_000
    for cohort_day, n, people, returned, after, within, complete in found[:: len(found) // 200]:
        mine = [{(d - cohort_day).days for d in held} for held in days.values() if min(held) == cohort_day]
        assert (people, returned) == (len(mine), sum(n in m for m in mine))
        assert after == sum(max(m) >= n for m in mine)
        assert within == sum(any(0 < d <= n for d in m) for m in mine)
        assert bool(complete) is ((passed - cohort_day).days >= n)


def test_sessions_are_what_a_loop_over_records_cuts(client: Any) -> None:
    union = " UNION ALL ".join(
        f"SELECT user_id AS person, occurred_at_ms AS ms FROM events_{f} WHERE NOT automatic"
        for f in ("interaction", "commerce", "attendance", "feedback", "performance")
    )
    rows = ask(client, f"SELECT person, ms FROM ({union}) ORDER BY person, ms")
    cut: dict[str, list[list[int]]] = {}
    for person, ms in rows:
        mine = cut.setdefault(person, [])
        if mine and ms - mine[-1][-1] <= 1_800_000 and ms - mine[-1][0] < 86_400_000:
            mine[-1].append(ms)
        else:
            mine.append([ms])
    assert any(len(session) > 1 for mine in cut.values() for session in mine)
    want = sorted((p, s[0], s[-1], len(s)) for p, mine in cut.items() for s in mine)
    got = ask(
        client,
        "SELECT person, toUnixTimestamp64Milli(started_at), toUnixTimestamp64Milli(ended_at), records FROM sessions_from_events",
    )
    assert sorted(got) == want


def test_revenue_is_the_sum_of_its_rows(client: Any) -> None:
    [(gross, tickets)] = ask(client, "SELECT sum(gross_minor), sum(tickets) FROM revenue_by_day")
    assert [(gross, tickets)] == ask(client, "SELECT sum(reporting_minor), sum(quantity) FROM purchases")
    [(sold,)] = ask(client, "SELECT sum(tickets) FROM hosted_event_sales")
    known = "hosted_event_id IN (SELECT hosted_event_id FROM events_listing)"
    assert [(sold,)] == ask(client, f"SELECT sum(quantity) FROM purchases WHERE {known}")


def test_days_of_hosts_and_hosted_events_say_what_was_listed(client: Any) -> None:
    listed = "FROM events_listing WHERE _excluded = '' AND"
    days = "max(created), max(cancelled), max(sold_out)"
    names = [f"max(event_name = 'hosted_event_{name}')" for name in ("created", "cancelled", "sold_out")]
    kept = ask(
        client,
        f"SELECT hosted_event_id, {days}, max(capacity), max(starts_at_ms), max(ends_at_ms), max(last_host).2 "
        "FROM hosted_event_days GROUP BY hosted_event_id ORDER BY hosted_event_id",
    )
    assert len(kept) > 10
    assert kept == ask(
        client,
        f"SELECT hosted_event_id, {', '.join(names)}, max(capacity), max(starts_at_ms), max(ends_at_ms), "
        f"argMax(host_id, occurred_at) {listed} hosted_event_id IS NOT NULL GROUP BY hosted_event_id ORDER BY hosted_event_id",
    )
    kept = ask(client, f"SELECT host_id, day, {days} FROM host_days GROUP BY host_id, day ORDER BY host_id, day")
    assert len(kept) > 10
    assert kept == ask(
        client,
        f"SELECT host_id, toDate(occurred_at) AS day, {', '.join(names)} {listed} host_id IS NOT NULL "
        "GROUP BY host_id, day ORDER BY host_id, day",
    )


def test_recent_sessions_are_those_of_all_sessions(client: Any) -> None:
    columns = "person, started_at, ended_at, records, page_views, purchases, engaged"
    recent = ask(client, f"SELECT {columns} FROM recent_sessions ORDER BY ALL")
    assert recent
    assert recent == ask(
        client, f"SELECT {columns} FROM sessions_from_events WHERE started_at > now() - INTERVAL 2 DAY ORDER BY ALL"
    )
