"""Figures of hosted events in plain numbers: the door over midnight, money that is no ticket, listings that change."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.catalogue.stored import Row, figures, filled
from tests.catalogue.test_cohorts import At, ms

pytestmark = pytest.mark.clickhouse
PARTY = "party"


def listed(
    at: At, places: int | None = 4, starts: At | None = (0, 20, 0), ends: At | None = (0, 23, 0), **more: Any
) -> Row:
    """A listing of the party; None leaves a field out."""
    times = {"starts_at_ms": starts and ms(starts), "ends_at_ms": ends and ms(ends)}
    return "listing", "hosted_event_created", None, at, {"hosted_event_id": PARTY, "capacity": places, **times, **more}


def bought(order: str, quantity: int | None, at: At = (-5, 10, 0)) -> Row:
    return "commerce", "ticket_purchased", "b", at, {
        "hosted_event_id": PARTY, "order_id": order, "quantity": quantity, "amount_minor": 1_000, "currency": "USD"
    }  # fmt: skip


def refunded(order: str | None, quantity: int | None, at: At = (-4, 10, 0), amount: int = 100) -> Row:
    return "commerce", "refund_issued", "b", at, {
        "hosted_event_id": PARTY, "order_id": order, "quantity": quantity, "amount_minor": amount, "currency": "USD"
    }  # fmt: skip


def scanned(ticket: str, at: At = (0, 20, 5), *, out: bool = False) -> Row:
    name = "ticket_checked_out" if out else "ticket_checked_in"
    return "attendance", name, None, at, {"hosted_event_id": PARTY, "ticket_id": ticket}


EARLY: At = (-20, 9, 0)
LATE_NIGHT: dict[str, Any] = {"starts": (0, 22, 0), "ends": (1, 3, 0)}
#: Days to what the door says at their end: tickets inside ÷ places; a day that is missing has no figure.
DOORS: dict[str, tuple[list[Row], dict[int, float]]] = {
    "two before midnight, two after": (
        [listed(EARLY, 3, **LATE_NIGHT), scanned("t0", (0, 22, 30)), scanned("t1", (0, 23, 0)),
         scanned("t2", (1, 0, 20)), scanned("t3", (1, 0, 30))],
        {0: 2 / 3, 1: 4 / 3},
    ),
    "nobody at the door after midnight": (
        [listed(EARLY, 2, **LATE_NIGHT), *(scanned(f"t{i}", (0, 22, i)) for i in range(3))], {0: 3 / 2, 1: 3 / 2},
    ),
    "out after midnight": (
        [listed(EARLY, 2, **LATE_NIGHT), scanned("t0", (0, 22, 0)), scanned("t1", (0, 22, 1)), scanned("t0", (1, 1, 0), out=True)],
        {0: 1, 1: 1 / 2},
    ),
    "in again at another gate after midnight": (
        [listed(EARLY, 2, **LATE_NIGHT), scanned("t0", (0, 22, 0)), scanned("t0", (0, 23, 0), out=True), scanned("t0", (1, 1, 0))],
        {0: 0, 1: 1 / 2},
    ),
    "three nights": (
        [listed(EARLY, 4, starts=(0, 20, 0), ends=(2, 4, 0)), scanned("t0", (0, 21, 0)), scanned("t1", (1, 21, 0)),
         scanned("t2", (2, 3, 0))],
        {0: 1 / 4, 1: 2 / 4, 2: 3 / 4},
    ),
    "longer than planned": (
        [listed(EARLY, 4, ends=(0, 23, 0)), scanned("t0", (0, 21, 0)), scanned("t0", (1, 0, 30), out=True)], {0: 1 / 4, 1: 0},
    ),
    "without an end": ([listed(EARLY, 4, ends=None), scanned("t0", (0, 21, 0)), scanned("t1", (1, 0, 1))], {0: 1 / 4, 1: 2 / 4}),
    "a smaller room since": (
        [listed(EARLY, 4, **LATE_NIGHT), listed((-1, 9, 0), 2, **LATE_NIGHT), *(scanned(f"t{i}", (0, 22, i)) for i in range(3))],
        {0: 3 / 2, 1: 3 / 2},
    ),
}  # fmt: skip

#: (sell-through, attendance, no-show) of the day on which the party begins, by hand.
SALES: dict[str, tuple[list[Row], tuple[float | None, float | None, float | None]]] = {
    "a fee is refunded": (
        [listed(EARLY, 2), bought("o1", 2), refunded("o1", None), scanned("t1"), scanned("t2")], (1, 1, 0),
    ),
    "everything is refunded as money alone": (
        [listed(EARLY, 2), bought("o1", 2), refunded("o1", None, amount=1_000), scanned("t1")], (1, 1 / 2, 1 / 2),
    ),
    "a quantity of nothing": ([listed(EARLY, 2), bought("o1", 2), refunded("o1", 0), scanned("t1")], (1, 1 / 2, 1 / 2)),
    "one of two comes back": ([listed(EARLY, 4), bought("o1", 2), refunded("o1", 1), scanned("t1")], (1 / 4, 1, 0)),
    "an order gives back no more than it bought": (
        [listed(EARLY, 4), bought("o1", 1), refunded("o1", 3), bought("o2", 2), scanned("t1")], (2 / 4, 1 / 2, 1 / 2),
    ),
    "a refund that names no order": ([listed(EARLY, 4), bought("o1", 3), refunded(None, 1), scanned("t1")], (2 / 4, 1 / 2, 1 / 2)),
    "more back than were ever sold": ([listed(EARLY, 4), bought("o1", 1), refunded(None, 9), scanned("t1")], (0, None, None)),
    "refunded weeks later": (
        [listed(EARLY, 4), bought("o1", 4), refunded("o1", 2, (9, 10, 0)), scanned("t1"), scanned("t2")], (2 / 4, 1, 0),
    ),
    "an order over several days": (
        [listed(EARLY, 4), bought("o1", 1, (-6, 9, 0)), bought("o1", 2, (-5, 9, 0)), refunded("o1", 1), scanned("t1")],
        (2 / 4, 1 / 2, 1 / 2),
    ),
    "more came than were sold": (
        [listed(EARLY, 4), bought("o1", 2), *(scanned(f"t{i}") for i in range(5))], (2 / 4, 1, 0),
    ),
    "more sold than there is room": ([listed(EARLY, 2), bought("o1", 5), scanned("t1")], (1, 1 / 5, 4 / 5)),
    "nobody bought": ([listed(EARLY, 2), scanned("t1")], (0, None, None)),
    "no places were listed": ([listed(EARLY, None), bought("o1", 2), scanned("t1")], (None, 1 / 2, 1 / 2)),
    "scanned twice": ([listed(EARLY, 2), bought("o1", 2), scanned("t1"), scanned("t1", (0, 20, 9))], (1, 1 / 2, 1 / 2)),
    "fewer places since": ([listed(EARLY, 9), listed((-3, 9, 0), 4), bought("o1", 2), scanned("t1")], (2 / 4, 1 / 2, 1 / 2)),
    "more places since": ([listed(EARLY, 4), listed((-3, 9, 0), 8), bought("o1", 2), scanned("t1")], (2 / 8, 1 / 2, 1 / 2)),
    "the older listing came last": (
        [listed((-3, 9, 0), 4), listed(EARLY, 9), bought("o1", 2), scanned("t1")], (2 / 4, 1 / 2, 1 / 2),
    ),
    "the newest listing says nothing of places": (
        [listed(EARLY, 9), listed((-4, 9, 0), 4), listed((-3, 9, 0), None, None, None), bought("o1", 2)], (2 / 4, 0, 1),
    ),
    "twice in a day": ([listed((-3, 9, 0), 9), listed((-3, 9, 1), 4), bought("o1", 2)], (2 / 4, 0, 1)),
    "brought forward to the day": (
        [listed(EARLY, 4, (7, 20, 0), (7, 23, 0)), listed((-3, 9, 0), 4), bought("o1", 1), scanned("t1")], (1 / 4, 1, 0),
    ),
    "put off, and back again": (
        [listed(EARLY), listed((-9, 9, 0), 4, (7, 20, 0), (7, 23, 0)), listed((-3, 9, 0)), bought("o1", 1)], (1 / 4, 0, 1),
    ),
    "a fast clock had listed it for tomorrow": (
        [listed((-2, 9, 0), 9, (7, 20, 0), received_at_ms=ms((-3, 9, 0))), listed((-3, 10, 0)), bought("o1", 1)], (1 / 4, 0, 1),
    ),
}  # fmt: skip
#: Parties that are another day's now.
ELSEWHERE = {
    "put off": [listed(EARLY), listed((-3, 9, 0), 4, (7, 20, 0), (7, 23, 0)), bought("o1", 1)],
    "brought forward": [listed(EARLY), listed((-3, 9, 0), 4, (-2, 20, 0), (-2, 23, 0)), bought("o1", 1)],
}


@pytest.fixture(scope="module")
def client(clickhouse_url: str) -> Iterator[Any]:
    cases = {name: rows for name, (rows, _) in {**DOORS, **SALES}.items()} | ELSEWHERE
    assert len(cases) == len(DOORS) + len(SALES) + len(ELSEWHERE)
    with filled(clickhouse_url, cases) as made:
        yield made


@pytest.mark.parametrize("case", DOORS)
def test_the_door_counts_who_came_before_midnight(client: Any, case: str) -> None:
    found = {day: figures(client, "door_occupancy_ratio", day).get((case, PARTY)) for day in range(-1, 5)}
    assert {day: value for day, value in found.items() if value is not None} == pytest.approx(DOORS[case][1])


def test_midnight_is_that_of_the_reporting_zone(client: Any) -> None:
    # 22:30 of UTC is 4:00 of the next day in Kolkata: all four are of that day, as they are at 17:30 in St John's.
    case = "two before midnight, two after"
    for zone, days in (("Asia/Kolkata", {1: 4 / 3}), ("America/St_Johns", {0: 4 / 3, 1: None})):
        for day, value in days.items():
            assert figures(client, "door_occupancy_ratio", day, zone).get((case, PARTY)) == value
    # The party ends at 3 in UTC, 23:30 of the day before in St John's, and 8:30 in Kolkata.
    assert (case, PARTY) not in figures(client, "door_occupancy_ratio", 0, "Asia/Kolkata")


@pytest.mark.parametrize("case", SALES)
def test_tickets_are_those_sold_and_not_given_back(client: Any, case: str) -> None:
    names = ("sell_through_ratio", "attendance_ratio", "no_show_ratio")
    assert tuple(figures(client, name).get((case, "")) for name in names) == pytest.approx(SALES[case][1])


@pytest.mark.parametrize("case", SALES)
def test_the_view_of_sales_says_what_the_metrics_say(client: Any, case: str) -> None:
    sql = (
        "SELECT sell_through_ratio, attendance_ratio FROM footlights.hosted_event_sales WHERE tenant_id = {case:String}"
    )
    [found] = client.query(sql, parameters={"case": case}).result_rows
    assert found == pytest.approx(SALES[case][1][:2])


@pytest.mark.parametrize("case", ELSEWHERE)
def test_a_hosted_event_counts_on_the_day_that_was_listed_last(client: Any, case: str) -> None:
    day = {"put off": 7, "brought forward": -2}[case]
    assert figures(client, "sell_through_ratio", day)[case, ""] == 1 / 4
    for name in ("sell_through_ratio", "event_sellout_ratio", "event_cancellation_ratio"):
        assert (case, "") not in figures(client, name)
        assert (case, "") in figures(client, name, day)


def test_the_view_of_sales_has_what_was_listed_last(client: Any) -> None:
    sql = (
        "SELECT capacity, toUnixTimestamp64Milli(starts_at), tickets, returned FROM footlights.hosted_event_sales "
        "WHERE tenant_id = {case:String}"
    )
    found = {c: client.query(sql, parameters={"case": c}).result_rows for c in ("put off", "fewer places since")}
    assert found == {"put off": [(4, ms((7, 20, 0)), 1, 0)], "fewer places since": [(4, ms((0, 20, 0)), 2, 0)]}
