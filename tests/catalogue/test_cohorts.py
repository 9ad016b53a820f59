"""Every cohort metric on a small log whose figures are worked out by hand, through the tables that the views keep."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import clickhouse_connect
import pytest

from schemas.cohorts import COHORTS
from schemas.families import FAMILIES
from sinks.migrate import migrate

pytestmark = pytest.mark.clickhouse

#: 2026-03-02, a Monday; times below are (days from it, hour, minute).
DAY = 20_514
At = tuple[int, int, int]
NOON: At = (0, 12, 0)


def ms(at: At) -> int:
    days, hour, minute = at
    return ((DAY + days) * 24 * 60 + hour * 60 + minute) * 60_000


def _usd(amount: int, **more: Any) -> dict[str, Any]:
    return {"amount_minor": amount, "currency": "USD", **more}


def _listed(event: str, host: str, places: int, starts: int) -> dict[str, Any]:
    times = {"starts_at_ms": ms((starts, 20, 0)), "ends_at_ms": ms((starts, 23, 0))}
    return {"hosted_event_id": event, "host_id": host, "capacity": places, **times}


#: (family, name, user, at, fields)
LOG: list[tuple[str, str, str | None, At, dict[str, Any]]] = [
    # ana and ben are first seen today; old was seen a hundred days ago and today, gone only then; mid on Feb 1 and three days ago.
    *[("interaction", "page_view", user, (day, 9, 0), {}) for user, days in {
        "ana": (0, 1, 7), "ben": (0, 30), "old": (-100, 0), "gone": (-100,), "mid": (-3,)}.items() for day in days],
    ("interaction", "page_view", "robot", NOON, {"automatic": True}),
    ("performance", "crash", "ana", NOON, {}),
    ("performance", "operation_timed", "ben", NOON, {"status": 500}),
    # Checkouts o1 (done after 30 minutes) and o2 (after 90); o1 fails once and is then paid, o2 is paid too late to count.
    ("commerce", "checkout_started", "ana", (0, 10, 0), {"order_id": "o1"}),
    ("commerce", "checkout_completed", "ana", (0, 10, 30), {"order_id": "o1"}),
    ("commerce", "checkout_started", "ben", (0, 10, 0), {"order_id": "o2"}),
    ("commerce", "checkout_completed", "ben", (0, 11, 30), {"order_id": "o2"}),
    ("commerce", "payment_failed", "ana", (0, 10, 5), {"order_id": "o1"}),
    ("commerce", "payment_authorised", "ana", (0, 10, 10), {"order_id": "o1"}),
    ("commerce", "payment_failed", "ben", (0, 10, 5), {"order_id": "o2"}),
    ("commerce", "payment_authorised", "ben", (0, 11, 0), {"order_id": "o2"}),
    ("commerce", "ticket_purchased", "ana", (0, 10, 20), _usd(10_000, order_id="o1", hosted_event_id="e1", quantity=4)),
    ("commerce", "ticket_purchased", "ben", (0, 11, 20), _usd(5_000, order_id="o2", hosted_event_id="e6", quantity=2)),
    ("commerce", "refund_issued", "ana", (5, 9, 0), _usd(3_000, order_id="o1", hosted_event_id="e1", quantity=1)),
    ("commerce", "chargeback_received", None, NOON, _usd(500, order_id="o9")),
    ("commerce", "ticket_purchased", "mid", (-29, 9, 0), _usd(5_000, order_id="o0", quantity=1)),
    # Hosted events: e1, e6 and the cancelled e2 are today's; h1 still hosts, h3 has stopped.
    ("listing", "hosted_event_created", None, (-29, 9, 0), _listed("e1", "h1", 100, 0)),
    ("listing", "hosted_event_sold_out", None, (-1, 9, 0), _listed("e1", "h1", 100, 0)),
    ("listing", "hosted_event_created", None, (-1, 9, 0), _listed("e2", "h2", 50, 0)),
    ("listing", "hosted_event_cancelled", None, (-1, 10, 0), _listed("e2", "h2", 50, 0)),
    ("listing", "hosted_event_created", None, (-101, 9, 0), _listed("e3", "h1", 10, -100)),
    ("listing", "hosted_event_created", None, (-101, 9, 0), _listed("e4", "h3", 10, -100)),
    ("listing", "hosted_event_created", None, NOON, _listed("e5", "h2", 10, 30)),
    ("listing", "hosted_event_created", None, (-101, 9, 0), _listed("e6", "h1", 100, 0)),
    # At the door of e1: t1 and t2 are in (t2 was scanned at two gates), t3 came and left; t9 is in at e6.
    *[("attendance", name, None, (0, 20, minute), {"hosted_event_id": event, "ticket_id": ticket, "gate": gate})
      for minute, (event, ticket, name, gate) in enumerate([
          ("e1", "t1", "ticket_checked_in", "A"), ("e1", "t2", "ticket_checked_in", "A"), ("e1", "t2", "ticket_checked_in", "B"),
          ("e1", "t3", "ticket_checked_in", "A"), ("e1", "t3", "ticket_checked_out", "A"),
          ("e6", "t9", "ticket_checked_in", "A")])],
    *[("account", "user_registered", user, NOON, {}) for user in ("ana", "ben", "cleo", "dan")],
    ("account", "user_verified", "ana", NOON, {}),
    ("account", "profile_updated", "ana", (0, 9, 0), {"required_fields": 4, "filled_fields": 3}),
    ("account", "profile_updated", "ana", NOON, {"required_fields": 4, "filled_fields": 4}),
    ("account", "profile_updated", "ben", NOON, {"required_fields": 4, "filled_fields": 1}),
    *[("feedback", "feedback_given", None, NOON, {"hosted_event_id": event, "rating": rating})
      for event, rating in (("e1", 5), ("e1", 5), ("e6", 2))],
]  # fmt: skip
#: Visits of the day: ana at 9, from 10 to 10:30, and at noon; ben at 9, from 10 to 10:05, and from 11 to noon; old at 9.
LENGTHS_S = (0, 1_800, 0, 0, 300, 3_600, 0)
EXPECTED: dict[str, dict[str, float]] = {
    "sessions": {"": 7},
    "session_length_seconds": {"": sum(LENGTHS_S) / 7},
    "session_length_p50_seconds": {"": 0},
    "session_length_p95_seconds": {"": 3_600},
    "engaged_sessions_ratio": {"": 3 / 7},
    "page_views_per_session": {"": 3 / 7},
    "crash_session_ratio": {"": 1 / 7},
    "daily_active_users_exact": {"": 3},  # ana, ben, old
    "weekly_active_users_exact": {"": 4},  # and mid
    "monthly_active_users_exact": {"": 4},
    "stickiness_ratio": {"": 3 / 4},
    "retention_d1_ratio": {"": 1 / 2},  # ana, of ana and ben
    "retention_d7_ratio": {"": 1 / 2},  # ana
    "retention_d30_ratio": {"": 1 / 2},  # ben
    "churn_ratio": {"": 1 / 2},  # gone, of gone and old
    "crash_user_ratio": {"": 1 / 3},
    "users_with_error_ratio": {"": 1 / 3},
    "checkout_conversion_ratio": {"": 1 / 2},
    "payment_failure_by_order_ratio": {"": 1 / 2},
    "refund_by_sale_ratio": {"": 3_000 / 15_000},
    "chargeback_ratio": {"": 1 / 2},  # two payments went through
    "revenue_by_currency_minor": {"currency=USD": 15_000},
    "revenue_growth_ratio": {"": (15_000 - 500 - 5_000) / 5_000},  # Mar 1-2 against Feb 1-2
    "event_creation_growth_ratio": {"": (2 - 1) / 1},  # e2 and e5 against e1
    "event_sellout_ratio": {"": 1 / 2},  # e1, of e1 and e6
    "sell_through_ratio": {"": (3 + 2) / 200},
    "attendance_ratio": {"": (3 + 1) / 5},
    "no_show_ratio": {"": 1 / 5},
    "event_cancellation_ratio": {"": 1 / 3},
    "host_dropout_ratio": {"": 1 / 2},  # h3, of h1 and h3
    "door_occupancy_ratio": {"hosted_event_id=e1": 2 / 100, "hosted_event_id=e6": 1 / 100},
    "verified_users_ratio": {"": 1 / 4},
    "profile_completion_ratio": {"": (1 + 1 / 4) / 2},
    "event_rating_shrunk_mean": {
        "hosted_event_id=e1": (10 + 40) / 12,
        "hosted_event_id=e6": (2 + 40) / 11,
    },  # the mean is 4
}


def row(family: str, name: str, user: str | None, at: At, number: int, fields: dict[str, Any]) -> dict[str, Any]:
    """A row of an events table as the sink stores it."""
    zero = {"string": "", "long": 0, "double": 0.0, "boolean": False}
    when = ms(at)
    return {f.name: None if f.nullable else zero[f.kind] for f in FAMILIES[family].fields} | {
        "tenant_id": "default", "message_id": f"{number:036d}", "event_name": name, "occurred_at_ms": when, "sent_at_ms": when,
        "received_at_ms": when, "user_id": user, "source": "shop", "properties": "{}", "_topic": f"events.{family}",
        "_partition": 0, "_offset": number, "_batch_first": 0, "_batch_last": 99, "_excluded": "", **fields,
    }  # fmt: skip


@pytest.fixture(scope="module")
def client(clickhouse_url: str) -> Iterator[Any]:
    """The store with the log in it; every purchase stands there again as a row that counts in no figure."""
    made = clickhouse_connect.get_client(dsn=f"{clickhouse_url}/default")
    made.command("DROP DATABASE IF EXISTS footlights")
    migrate(made)
    rows: dict[str, list[dict[str, Any]]] = {}
    for number, (family, name, user, at, fields) in enumerate(LOG):
        rows.setdefault(family, []).append(row(family, name, user, at, number, fields))
    bought = [r for r in rows["commerce"] if r["event_name"] == "ticket_purchased"]
    rows["commerce"] += [r | {"_excluded": "late", "_offset": 1_000 + r["_offset"], "user_id": "late"} for r in bought]
    for family, held in rows.items():
        lines = "\n".join(json.dumps(r) for r in held)
        made.raw_insert(
            f"footlights.events_{family}", column_names=list(held[0]), insert_block=lines, fmt="JSONEachRow"
        )
    # A batch that reached a view twice leaves people's days as they are.
    columns = "tenant_id, day, person, active, bought, crashed, met_error, first_at, last_at"
    made.command(f"INSERT INTO footlights.user_days ({columns}) SELECT {columns} FROM footlights.user_days")
    yield made
    made.command("DROP DATABASE footlights")
    migrate(made)
    made.close()


def test_the_day_is_what_it_says() -> None:
    assert datetime.fromtimestamp(ms((0, 0, 0)) / 1000, UTC).isoformat() == "2026-03-02T00:00:00+00:00"


def test_each_cohort_metric_has_a_value_by_hand() -> None:
    assert EXPECTED.keys() == COHORTS.keys()


@pytest.mark.parametrize("name", COHORTS)
def test_the_query_says_what_was_worked_out_by_hand(client: Any, name: str) -> None:
    found = client.query(COHORTS[name].sql(DAY, "UTC"))
    assert found.column_names == ("tenant_id", "by", "value", "row_count")
    assert {by: value for _, by, value, _ in found.result_rows} == pytest.approx(EXPECTED[name])
    assert all(rows > 0 for *_, rows in found.result_rows)


def test_a_day_without_anything_has_no_figure(client: Any) -> None:
    names = [n for n, m in COHORTS.items() if not m.looks_back_days and not n.startswith("retention")]
    assert len(names) > 10
    for name in names:
        assert client.query(COHORTS[name].sql(DAY - 50, "UTC")).result_rows == [], name
