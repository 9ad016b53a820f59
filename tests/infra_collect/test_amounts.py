"""Money of a CSV: each currency has its decimals, and what is no amount or no currency refuses its row.

In: rows in many currencies and spellings. Out: minor units. Never: a rounded amount, or one that counts in no revenue.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.replay.amounts import Numbers
from infra.replay.event import Refused
from tests.infra_collect.files import HEADER, ORDERS, order, parsed


def minor(folder: Path, amount: str, currency: str, mapping: str = ORDERS) -> object:
    found = parsed(
        folder, f"{HEADER}\n{order(1, amount=f'{chr(34)}{amount}{chr(34)}', currency=currency)}\n", mapping=mapping
    )
    if found.refused:
        return found.refused[2]
    fields = found.events[2][0].fields
    return fields["amount_minor"], fields.get("currency")


@pytest.mark.parametrize(
    ("amount", "currency", "right"),
    [
        ("45.00", "USD", (4_500, "USD")),
        ("5000", "JPY", (5_000, "JPY")),
        ("5000.00", "JPY", (5_000, "JPY")),
        ("12.500", "KWD", (12_500, "KWD")),
        ("12.5", "KWD", (12_500, "KWD")),
        ("1.2345", "CLF", (12_345, "CLF")),
        ("45", "usd", (4_500, "USD")),
        ("45", "US$", (4_500, "USD")),
        ("45", "€", (4_500, "EUR")),
        ("0", "", (0, None)),
        ("50.5", "JPY", "an amount of JPY has at most 0 decimals"),
        ("45.005", "USD", "an amount of USD has at most 2 decimals"),
        ("45", "", "amount_minor without a currency"),
        ("45", "UDS", "currency must be a code of ISO 4217 that has a minor unit, e.g. USD"),
        ("45", "$", "currency must be a code of ISO 4217 that has a minor unit, e.g. USD"),
        ("1,234.50", "USD", "a number is unreadable"),
        ("1.234,50", "EUR", "a number is unreadable"),
        ("$45.00", "USD", "a number is unreadable"),
        ("(45.00)", "USD", "a number is unreadable"),
        ("4_5", "USD", "a number is unreadable"),
        ("--45", "USD", "a number is unreadable"),
        ("NaN", "USD", "a number is unreadable"),
        ("1e30", "USD", "an amount takes at most 64 bits"),
        ("-45.00", "USD", (-4_500, "USD")),  # the SDK refuses it by the line's number, as it does every negative amount
    ],
)
def test_each_currency_has_its_decimals(tmp_path: Path, amount: str, currency: str, right: object) -> None:
    assert minor(tmp_path, amount, currency) == right


def test_without_decimals_the_column_holds_minor_units(tmp_path: Path) -> None:
    mapping = ORDERS.replace('{ column = "amount", decimals = 2 }', '"amount"')
    assert minor(tmp_path, "5000", "JPY", mapping) == (5_000, "JPY")
    assert minor(tmp_path, "4500", "USD", mapping) == (4_500, "USD")
    assert minor(tmp_path, "45.5", "USD", mapping) == "amount_minor is no long"


@pytest.mark.parametrize(
    ("decimal", "thousands", "text", "right"),
    [
        (",", ".", "1.234.567,50", (123_456_750, "EUR")),
        (",", ".", "1.234", (123_400, "EUR")),
        (",", None, "12,5", (1_250, "EUR")),
        (",", None, "12.5", "a number is unreadable"),
        (".", ",", "1,234.50", (123_450, "EUR")),
        (".", ",", "12,34,567.50", (123_456_750, "EUR")),
        (".", ",", "1,23", "a number is unreadable"),
        (".", ",", "1.234,50", "a number is unreadable"),
        (".", "'", "1'234.50", (123_450, "EUR")),
        (",", " ", "1 234,50", (123_450, "EUR")),
    ],
)
def test_numbers_are_written_as_the_mapping_says(
    tmp_path: Path, decimal: str, thousands: str | None, text: str, right: object
) -> None:
    grouped = f'thousands = "{thousands}"\n' if thousands else ""
    assert minor(tmp_path, text, "EUR", f'[csv]\ndecimal = "{decimal}"\n{grouped}{ORDERS}') == right


def test_a_price_apiece_is_multiplied_exactly(tmp_path: Path) -> None:
    mapping = ORDERS.replace("decimals = 2", 'times = "quantity", decimals = 2')
    found = parsed(tmp_path, f"{HEADER}\n{order(1, quantity='8', amount='0.125', currency='KWD')}\n", mapping=mapping)
    assert found.events[2][0].fields["amount_minor"] == 1_000
    long = "1" * 17
    found = parsed(tmp_path, f"{HEADER}\n{order(1, quantity=long, amount=f'0.{long}')}\n", mapping=mapping)
    assert found.refused == {2: "an amount of USD has at most 2 decimals"}


@pytest.mark.parametrize("quantity", ["--1", "1-", "²", "1e400", "0x1", "1.5", "٣", "9" * 19, "9" * 400])
def test_a_quantity_that_is_no_number_refuses_its_row(tmp_path: Path, quantity: str) -> None:
    found = parsed(tmp_path, f"{HEADER}\n{order(1)}\n{order(2, quantity=quantity)}\n{order(3)}\n")
    assert (found.orders, found.refused) == (["A1", "A3"], {3: "quantity is no long"})


@given(st.text(max_size=40), st.sampled_from([Numbers(), Numbers(",", "."), Numbers(".", " ")]))
def test_any_text_is_a_number_or_refused(text: str, numbers: Numbers) -> None:
    try:
        assert numbers.read(text).is_finite()
    except Refused as refusal:
        assert str(refusal) == "a number is unreadable"
