"""Shares and changes: no ratio leaves 0 to 1 whatever comes in, and figures over several days in plain numbers."""

import math
import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.verify.cells import recomputed
from infra.verify.windows import windows_of
from schemas.cohorts import COHORTS
from schemas.formulas import Operand, compile_formula
from schemas.kpis import KPIS
from schemas.metric import RATIO
from schemas.metric_catalogue import METRICS
from schemas.ratios import change, change_sql, share, share_sql
from schemas.windows import WINDOWS
from sinks.views import VIEWS
from tests.catalogue.stored import Row, figures, filled
from tests.catalogue.test_cohorts import DAY, At, ms
from tests.schemas.engine import Engine

#: What may leave 0 to 1 by its nature.
OPEN_ENDED = {"revenue_growth_ratio", "event_creation_growth_ratio", "door_occupancy_ratio"}
#: Days of the rows; then those whose month before had rows, and those whose people were there three months ago.
SETS, DAYS = 40, (*range(-3, 8), *range(25, 29), *range(88, 96))
NAMES = {
    "interaction": ["page_view"],
    "commerce": ["checkout_started", "checkout_completed", "payment_authorised", "payment_failed", "ticket_purchased",
                 "ticket_purchased", "refund_issued", "refund_issued", "chargeback_received"],
    "listing": ["hosted_event_created"] * 6 + ["hosted_event_sold_out", "hosted_event_cancelled"],
    "attendance": ["ticket_checked_in", "ticket_checked_in", "ticket_checked_out"],
    "account": ["user_registered", "user_verified", "user_verified", "profile_updated"],
    "feedback": ["feedback_given"],
    "performance": ["operation_timed", "page_loaded", "crash"],
}  # fmt: skip


def hostile(seed: int) -> list[Row]:
    """Rows that are each valid and together impossible: more back than was paid, verified and not registered, no order, no one."""
    rnd = random.Random(seed)

    def at(first: int = -3, last: int = 6) -> At:
        return rnd.randint(first, last), rnd.randrange(24), rnd.randrange(60)

    def some(*values: Any) -> Any:
        return rnd.choice(values)

    def fields(family: str) -> dict[str, Any]:
        begin = ms(at(-1, 4))
        event = some(None, *(f"e{i}" for i in range(9)))
        return {
            "interaction": lambda: {"automatic": some(False, False, True)},
            "commerce": lambda: {
                "order_id": some(None, "o1", "o2", "o3"), "hosted_event_id": event, "quantity": some(None, 0, 1, 2, 9),
                "amount_minor": some(None, 0, 1, 999, 50_000), "currency": some("USD", "USD", "EUR", "XXX"),
            },
            "listing": lambda: {
                "hosted_event_id": event, "host_id": some(None, "h1", "h2"), "capacity": some(None, 0, 1, 5),
                "starts_at_ms": some(None, begin), "ends_at_ms": some(None, begin + 20_000_000, begin - 1),
            },
            "attendance": lambda: {"hosted_event_id": event, "ticket_id": some(None, "t1", "t2", "t3", "t4")},
            "account": lambda: {"required_fields": some(None, 0, 1, 4), "filled_fields": some(None, 0, 3, 9)},
            "feedback": lambda: {"rating": some(None, 1, 3, 4, 5), "sentiment_milli": some(None, -900, 0, 900)},
            "performance": lambda: {
                "status": some(None, 200, 404, 500), "error": some(None, "Timeout"), "response_time_ms": some(None, 1, 700, 9_000),
                "component": "api", "operation": "GET /",
            },
        }[family]()  # fmt: skip

    out: list[Row] = []
    for _ in range(rnd.choice([1, 3, 60, 200])):
        family = rnd.choice([*NAMES, "commerce", "commerce", "listing", "attendance"])
        out.append((family, rnd.choice(NAMES[family]), some(None, "u1", "u2", "u3", "u4"), at(), fields(family)))
    return out


USD = {"currency": "USD", "quantity": 1}


def _sale(at: At, order: str, amount: int, name: str = "ticket_purchased") -> Row:
    return "commerce", name, "b", at, {"order_id": order, "amount_minor": amount, **USD}


def _order(name: str, at: At, order: str = "o1") -> Row:
    return "commerce", name, "b", at, {"order_id": order}


def _account(name: str, user: str | None, day: int = 0, **fields: Any) -> Row:
    return "account", name, user, (day, 9, 0), fields


def _seen(user: str, day: int) -> Row:
    return "interaction", "page_view", user, (day, 10, 0), {}


#: Rows, metric, and its value of each day by hand; None is a figure that is null, and a day that is missing has none.
BY_HAND: dict[str, tuple[list[Row], str, dict[int, float | None]]] = {
    # Days from 2 March; 1 March is the day before the first.
    "from a loss to a gain": (
        [_sale((-18, 9, 0), "o0", 10_000, "refund_issued"), _sale((11, 9, 0), "o1", 10_000)], "revenue_growth_ratio",
        {11: (10_000 + 10_000) / 10_000, 12: 2},
    ),
    "from a loss to a greater one": (
        [_sale((-18, 9, 0), "o0", 100, "refund_issued"), _sale((11, 9, 0), "o1", 300, "refund_issued")], "revenue_growth_ratio",
        {11: -2},
    ),
    "from a gain to nothing": ([_sale((-18, 9, 0), "o0", 100)], "revenue_growth_ratio", {11: -1, 20: -1}),
    "from nothing to a gain": ([_sale((11, 9, 0), "o0", 100)], "revenue_growth_ratio", {11: None}),
    "two verified, one registered": (
        [_account("user_registered", "u1"), _account("user_verified", "u1"), _account("user_verified", "u2")],
        "verified_users_ratio", {0: 1, 1: 1, 5: 1},
    ),
    "verified is somebody else": (
        [_account("user_registered", "u1"), _account("user_registered", "u3"), _account("user_verified", "u2")],
        "verified_users_ratio", {0: 0},
    ),
    "nobody registered": ([_account("user_verified", "u2")], "verified_users_ratio", {0: None}),
    "more filled than there are": (
        [_account("profile_updated", "u1", required_fields=4, filled_fields=8),
         _account("profile_updated", "u2", required_fields=4, filled_fields=1)],
        "profile_completion_ratio", {0: (1 + 1 / 4) / 2, 3: (1 + 1 / 4) / 2},
    ),
    "a week with idle days": (
        [_seen("w", 0), _seen("w2", 4)], "weekly_active_users_exact",
        {-1: None, 0: 1, 1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, 7: 1, 10: 1, 11: None},
    ),
    "a month with idle days": ([_seen("w", 0), _seen("w2", 4)], "monthly_active_users_exact", {0: 1, 3: 1, 5: 2, 29: 2, 30: 1}),
    "idle days are not sticky": ([_seen("w", 0), _seen("w2", 4)], "stickiness_ratio", {0: 1, 3: 0, 4: 1 / 2, 5: 0}),
    "more chargebacks than payments": (
        [_order("payment_authorised", (0, 9, 0)), *(_order("chargeback_received", (1, 9, i)) for i in range(3))],
        "chargeback_ratio", {0: 0, 1: 1, 5: 1},
    ),
    # An order over several days: 100 and 300, of which 150 went back: all of the first and 50 of the second.
    "an order over two days is refunded once": (
        [_sale((0, 9, 0), "o1", 100), _sale((1, 9, 0), "o1", 300), _sale((2, 9, 0), "o1", 150, "refund_issued")],
        "refund_by_sale_ratio", {0: 1, 1: 50 / 300},
    ),
    "more is refunded than was paid": (
        [_sale((0, 9, 0), "o1", 100), _sale((0, 9, 0), "o2", 100), _sale((2, 9, 0), "o1", 900, "refund_issued")],
        "refund_by_sale_ratio", {0: 1 / 2},
    ),
    "a payment is tried on two days": (
        [_order("payment_failed", (0, 9, 0)), _order("payment_failed", (1, 9, 0)), _order("payment_authorised", (1, 9, 5))],
        "payment_failure_by_order_ratio", {0: 1, 1: None},
    ),
    "a payment is tried over midnight": (
        [_order("payment_failed", (0, 23, 50)), _order("payment_authorised", (1, 0, 10))], "payment_failure_by_order_ratio", {0: 0},
    ),
    "a checkout is begun on three days": (
        [*(_order("checkout_started", (day, 9, 0)) for day in (0, 2, 4)), _order("checkout_completed", (4, 9, 5))],
        "checkout_conversion_ratio", {0: 0, 2: None, 4: None},
    ),
    "a checkout is done over midnight": (
        [_order("checkout_started", (0, 23, 50)), _order("checkout_completed", (1, 0, 49))], "checkout_conversion_ratio", {0: 1},
    ),
    "a checkout is said to be done before and after it began": (
        [_order("checkout_completed", (0, 8, 0)), _order("checkout_started", (0, 9, 0)), _order("checkout_completed", (0, 9, 5))],
        "checkout_conversion_ratio", {0: 1},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def client(clickhouse_url: str) -> Iterator[Any]:
    sets = {f"set {seed}": hostile(seed) for seed in range(SETS)}
    with filled(clickhouse_url, sets | {name: rows for name, (rows, _, _) in BY_HAND.items()}) as made:
        yield made


class Rows:
    """The store as the recomputation of the stream's figures asks it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._client.query(sql).result_rows]


def test_what_may_leave_its_bounds_is_declared() -> None:
    assert {name for name, metric in METRICS.items() if metric.open_ended} == OPEN_ENDED
    assert {METRICS[name].unit for name in OPEN_ENDED} == {RATIO}
    assert {name for name, m in METRICS.items() if name.endswith("_ratio")} == {
        n for n, m in METRICS.items() if m.unit == RATIO
    }


@pytest.mark.clickhouse
@pytest.mark.parametrize("name", [name for name, metric in COHORTS.items() if metric.unit == RATIO])
def test_no_cohort_ratio_leaves_its_bounds(client: Any, name: str) -> None:
    values = [v for day in DAYS for v in figures(client, name, day).values() if v is not None]
    assert len(values) > 10
    if name not in OPEN_ENDED:
        assert min(values) >= 0 and max(values) <= 1
    elif "growth" not in name:
        assert min(values) >= 0 and max(values) > 1


@pytest.mark.clickhouse
@pytest.mark.parametrize("name", [name for name, kpi in KPIS.items() if kpi.unit == RATIO])
def test_no_ratio_of_the_stream_leaves_its_bounds(client: Any, name: str) -> None:
    kpi = KPIS[name]
    values = list[float]()
    for level in sorted({WINDOWS[w].level for w in kpi.windows}):
        for by in kpi.series:
            buckets = recomputed(Rows(client), level, by, [kpi], "UTC", "tenant_id LIKE 'set %'")
            values += [w.value for w in windows_of(kpi, by, buckets, level) if w.value is not None]
    assert len(values) > 100
    assert min(values) >= 0 and max(values) <= 1


@pytest.mark.clickhouse
def test_no_ratio_of_a_view_leaves_its_bounds(client: Any) -> None:
    looked = 0
    for view in VIEWS.values():
        for column in (c for c in view.comments if c.endswith("_ratio")):
            sql = f"SELECT min({column}), max({column}), count({column}) FROM footlights.{view.name}"
            [(least, most, held)] = client.query(sql).result_rows
            assert held == 0 or (least >= 0 and most <= 1), (view.name, column)
            looked += held > 0
    assert looked >= 4


@pytest.mark.clickhouse
@pytest.mark.parametrize("case", BY_HAND)
def test_the_figure_is_what_was_worked_out_by_hand(client: Any, case: str) -> None:
    _, name, days = BY_HAND[case]
    found = {day: figures(client, name, day).get((case, "")) for day in days}
    assert found == pytest.approx(days)


@pytest.mark.clickhouse
@pytest.mark.parametrize(
    "name", ["payment_failure_by_order_ratio", "checkout_conversion_ratio", "refund_by_sale_ratio"]
)
def test_an_order_counts_on_one_day(client: Any, name: str) -> None:
    """What a metric of orders refunds or counts over all days is no more than there is."""
    days = range(-4, 9)
    rows = {d: client.query(COHORTS[name].sql(DAY + d, "UTC")).result_rows for d in days}
    for seed in range(SETS):
        tenant, held = f"set {seed}", hostile(seed)
        counted = sum(count for d in days for t, _, _, count in rows[d] if t == tenant)
        if name != "refund_by_sale_ratio":
            opens = ("payment_failed", "payment_authorised") if "payment" in name else ("checkout_started",)
            orders = {f["order_id"] for _, kind, _, _, f in held if kind in opens and f["order_id"]}
            assert counted == len(orders)


def _worth(client: Any, tenant: str) -> dict[tuple[str, str | None, int], int]:
    sql = (
        "SELECT event_name, order_id, toInt64(toDate(occurred_at)) AS day, toInt64(sum(coalesce(reporting_minor, 0))) "
        "FROM footlights.events_commerce WHERE tenant_id = {tenant:String} GROUP BY ALL"
    )
    found = client.query(sql, parameters={"tenant": tenant}).result_rows
    return {(name, order, day - DAY): amount for name, order, day, amount in found}


@pytest.mark.clickhouse
def test_what_went_back_is_given_to_the_days_of_its_orders_once(client: Any) -> None:
    found = {d: figures(client, "refund_by_sale_ratio", d) for d in range(-4, 9)}
    looked = 0
    for seed in range(SETS):
        tenant = f"set {seed}"
        worth = _worth(client, tenant)
        orders = {order for _, order, _ in worth if order}
        paid = {d: sum(worth.get(("ticket_purchased", o, d), 0) for o in orders) for d in found}
        told = sum((found[d].get((tenant, "")) or 0) * paid[d] for d in found)
        back = 0
        for order in orders:
            sold = sum(v for (n, o, _), v in worth.items() if (n, o) == ("ticket_purchased", order))
            back += min(sold, sum(v for (n, o, _), v in worth.items() if (n, o) == ("refund_issued", order)))
        assert told == pytest.approx(back)
        looked += back > 0
    assert looked > 5


AMOUNTS = st.integers(-(10**12), 10**12)


@given(AMOUNTS | st.none(), AMOUNTS | st.none())
def test_a_change_has_the_sign_of_its_difference(value: int | None, previous: int | None) -> None:
    found = change(value, previous)
    if value is None or not previous:
        assert found is None
    else:
        assert found is not None
        assert (found > 0) == (value > previous) and (found < 0) == (value < previous)


@given(AMOUNTS, AMOUNTS)
def test_a_share_lies_between_nothing_and_all(part: int, whole: int) -> None:
    found = share(part, whole)
    assert found is None if whole <= 0 else found is not None and 0 <= found <= 1
    held = compile_formula("share(a, b)").evaluate({Operand("a"): _array(part), Operand("b"): _array(whole)})
    assert [None if math.isnan(v) else v for v in held.tolist()] == [found]


def _array(value: int) -> Any:
    return np.array([value], np.float64)


def test_sql_gives_the_same_shares_and_changes(engine: Engine) -> None:
    rnd = random.Random(14)
    amounts = [0, 1, -1, 100, -100, *(rnd.randrange(-(10**12), 10**12) for _ in range(10))]
    pairs = [(a, b) for a in amounts for b in amounts]
    table = ", ".join(f"({a}, {b})" for a, b in pairs)
    sql = f"SELECT {change_sql('a', 'b')}, {share_sql('a', 'b')} FROM values('a Int64, b Int64', {table})"
    assert engine.rows(sql) == [(change(a, b), share(a, b)) for a, b in pairs]


def test_the_month_begins_where_the_cases_say() -> None:
    assert date(1970, 1, 1) + timedelta(DAY) == date(2026, 3, 2)
