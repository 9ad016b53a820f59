"""Each currency has the decimals of ISO 4217; what people write for one is read as that one, or refused."""

from decimal import Decimal
from typing import Any

import iso4217
import pytest
from footlights import Refusal
from footlights.currencies import _WITHDRAWN, DECIMALS, decimals, minor_units, normalised
from hypothesis import given
from hypothesis import strategies as st

from schemas.money import rates

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
