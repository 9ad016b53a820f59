"""Each currency has the decimals of ISO 4217; what people write for one is read as that one, or refused."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import iso4217
import pytest
from footlights import Money, Refusal
from footlights.client import Client
from footlights.currencies import _WITHDRAWN, DECIMALS, decimals, minor_units, normalised
from hypothesis import given
from hypothesis import strategies as st

from schemas.money import rates, reporting_minor
from tests.producers.test_client_unit import cached, client

__all__ = ["cached"]

EAST, WEST = timezone(timedelta(hours=-23, minutes=-59)), timezone(timedelta(hours=23, minutes=59))
_PUBLISHED = {currency.code: currency.exponent for currency in iso4217.Currency}
_GONE = {code for codes in _WITHDRAWN.values() for code in codes.split()}


def test_the_table_is_the_published_one() -> None:
    assert {code: held for code, held in DECIMALS.items() if code not in _GONE} == {
        code: exponent for code, exponent in _PUBLISHED.items() if exponent is not None
    }
    assert not _GONE & _PUBLISHED.keys()


def test_each_currency_with_a_rate_is_one() -> None:
    assert rates().keys() <= DECIMALS.keys()


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("usd", "USD"), (" Usd ", "USD"), ("USD\u00a0", "USD"), ("ＵＳＤ", "USD"), ("US$", "USD"), ("us $", "USD"), ("€", "EUR"),
        ("£", "GBP"), ("CN¥", "CNY"), ("kwd", "KWD"), ("Kč", "CZK"), ("hrk", "HRK"),
    ],
)  # fmt: skip
def test_a_code_is_read_however_it_is_written(written: str, code: str) -> None:
    assert normalised(written) == code


@pytest.mark.parametrize(
    "written",
    ["", " ", "$", "¥", "￥", "kr", "USDD", "US", "dollars", "GBp", "ßp", "ınr", "XXX", "XAU", "\ud83c", "ﷺ" * 100, None, 840, True,
     ["USD"], {"USD": 1}],
)  # fmt: skip
def test_what_names_no_currency_or_several_is_refused(written: object) -> None:
    with pytest.raises(Refusal, match="INVALID_FIELD: currency must be"):
        normalised(written)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("5000", "JPY", 5_000), (5_000, "JPY", 5_000), ("5000.00", "JPY", 5_000), ("12.500", "KWD", 12_500),
        ("12.5", "KWD", 12_500), ("45.00", "usd", 4_500), (45, "US$", 4_500), (19.99, "EUR", 1_999), (3 * 19.99, "EUR", 5_997),
        (Decimal("0.29"), "USD", 29), ("-7.5", "USD", -750), ("1e3", "USD", 100_000), (1e3, "UYW", 10_000_000), (0, "USD", 0),
        ("92233720368547758.07", "USD", (1 << 63) - 1),
    ],
)  # fmt: skip
def test_an_amount_is_so_many_minor_units(amount: Any, currency: str, minor: int) -> None:
    assert minor_units(amount, currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("50.5", "JPY"), ("0.001", "USD"), ("1,000", "USD"), ("1_000", "USD"), ("٣", "USD"), ("²", "USD"), ("--1", "USD"),
        ("", "USD"), ("NaN", "USD"), (float("nan"), "USD"), (float("inf"), "USD"), (Decimal("sNaN"), "USD"), (True, "USD"),
        (None, "USD"), ([1], "USD"), (10**4_000, "USD"), ("9" * 5_000, "USD"), ("1e999", "USD"), (Decimal("1e999999"), "USD"),
        (1 << 63, "JPY"), ("45.00", "USDD"),
    ],
)  # fmt: skip
def test_an_amount_that_is_none_or_does_not_fit_is_refused(amount: Any, currency: str) -> None:
    with pytest.raises(Refusal, match="INVALID_FIELD"):
        minor_units(amount, currency)


def test_a_number_of_more_digits_than_python_writes_is_refused() -> None:
    with pytest.raises(Refusal, match="64 bits"):
        minor_units(10**5_000, "USD")


@given(st.integers(-(10**12), 10**12), st.sampled_from(sorted(DECIMALS)))
def test_minor_units_of_what_is_written_with_all_decimals_are_the_digits(minor: int, code: str) -> None:
    amount = Decimal(minor).scaleb(-decimals(code))
    assert minor_units(amount, code) == minor_units(f"{amount:f}", code) == minor_units(float(amount), code) == minor


@pytest.mark.parametrize(
    ("amount", "currency", "reporting"), [("5000", "JPY", 3_350), ("12.500", "KWD", 4_063), ("45.00", "usd", 4_500)]
)
def test_an_amount_in_major_units_counts_once_in_revenue(amount: str, currency: str, reporting: int) -> None:
    money = Money.of(amount, currency)
    assert reporting_minor(money.amount_minor, money.currency, 1_780_000_000_000) == reporting


def by_http(folder: Path) -> Client:
    return Client(collector="http://127.0.0.1:1", api_key="k", spool_dir=folder / "spool")


@pytest.mark.parametrize("connected", [client, by_http])
def test_both_wires_write_codes_and_refuse_what_is_none(cached: Path, connected: Any) -> None:
    purchase = {"hosted_event_id": "e1", "quantity": 1}
    with connected(cached) as held:
        for amount in (Money(4_500, "usd"), Money(4_500, "US$"), Money.of("45.00", "usd")):
            assert held.ticket_purchased(amount=amount, **purchase).status == "spooled"
        assert (
            held.track("hosted_event_created", hosted_event_id="e1", price_minor=100, currency="usd").status
            == "spooled"
        )
        assert held.track("points_earned", currency="points").status == "spooled"  # a property of a custom name
        for amount in (Money(4_500, "USDD"), Money(4_500, "$"), Money.of("45.001", "USD"), Money.of("x", "USD")):
            assert held.ticket_purchased(amount=amount, **purchase).reason == "INVALID_FIELD"
        assert held.track("ticket_purchased", amount_minor=4_500, currency="dollars").reason == "INVALID_FIELD"
        held.close(0.05)
    stored = b"".join(path.read_bytes() for path in cached.rglob("*.seg"))
    assert b"usd" not in stored
    assert stored.count(b"USD") == 4 and b"US$" not in stored


@pytest.mark.parametrize("connected", [client, by_http])
def test_no_value_raises_past_its_call(cached: Path, connected: Any) -> None:
    odd: list[dict[str, Any]] = [
        {"user_id": "\ud83c"}, {"user_id": 10**5_000}, {"anonymous_id": "a\udc00"},
        {"occurred_at": datetime.max.replace(tzinfo=EAST)},
        {"occurred_at": datetime.min.replace(tzinfo=WEST)}, {"properties": {"q": "\ud83c"}}, {"properties": {"q": 10**5_000}},
        {"context": {"city": "\ud83c"}}, {"original_id": "\ud83c"}, {"original_id": {}},
    ]  # fmt: skip
    with connected(cached) as held:
        for values in odd:
            told = held.track("search", **values)
            assert not told and told.reason in ("INVALID_ID", "INVALID_TIME", "INVALID_PROPERTY", "INVALID_FIELD"), (
                values,
                told,
            )
        assert held.track("search").status == "spooled"
        held.close(0.05)
