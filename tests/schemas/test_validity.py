"""The question to whole columns and the rules for each row judge alike."""

import random
from typing import Any

import polars as pl
import pytest

from schemas import validity
from schemas.families import DOUBLE, FAMILIES, FAMILY_NAMES
from schemas.validity import RANGES, Invalid, invalid_rows
from tests.schemas.rows import frame

_TEXTS: dict[str, list[Any]] = {
    "message_id": ["", "0190b0c4-7d3a-6123-8123-0123456789ab", "0190B0C4-7d3a-7123-8123-0123456789ab", "é" * 36],
    "tenant_id": ["", "t" * 128, "t" * 129, "é" * 65, "other"],
    "event_name": ["", "a\x00b", "a\x7f", "\n", "e" * 129, "é" * 64, "other"],
    "source": ["", "s" * 128, "s" * 129],
    "producer_id": ["", "p" * 129, "other"],
}


def by_each_row(family: str, held: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> list[Invalid]:
    with monkeypatch.context() as patched:
        patched.setattr(validity, "_surely_valid", lambda *_: False)
        return invalid_rows(FAMILIES[family], held)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_value_at_a_bound_and_past_it(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held, chance = frame(family, 50, seed=3), random.Random(family)
    assert validity._surely_valid(FAMILIES[family], held)
    kinds = FAMILIES[family].kinds
    values: dict[str, list[Any]] = {**_TEXTS}
    for name, (low, high) in RANGES.items():
        if name in kinds:
            values[name] = [low - 1, low, high, high + 1, None]
    for field in FAMILIES[family].fields:
        if field.kind == DOUBLE:
            values[field.name] = [float("nan"), float("inf"), -float("inf"), 1e308, None]
    refused = 0
    for name, given in values.items():
        for value in given:
            if value is None and held[name].null_count() == 0:
                continue
            row = chance.randrange(held.height)
            column = held[name].to_list()
            column[row] = value
            changed = held.with_columns(pl.Series(name, column, dtype=held[name].dtype))
            found = invalid_rows(FAMILIES[family], changed)
            assert found == by_each_row(family, changed, monkeypatch), (name, value)
            assert [bad.row for bad in found] in ([], [row])
            refused += len(found)
    assert refused > 15


def test_no_row_is_valid() -> None:
    assert invalid_rows(FAMILIES["feedback"], frame("feedback", 5).clear()) == []
