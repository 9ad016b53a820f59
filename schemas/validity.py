"""The one function that says whether a decoded record is valid, used by stream and sink alike.

In: a decoded frame of a family.
Out: the rows that are refused, with an error code each.
Never: a rule that only one side knows.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import cast

import polars as pl

from schemas.families import DOUBLE, FAMILIES, Family
from schemas.money import EARLIEST_MS, MAX_AMOUNT_MINOR
from schemas.uuid7 import are_uuid7, letters_of

LATEST_MS = 4_102_444_800_000  # 2100-01-01
MAX_NAME_BYTES = 128
DAY_MS = 86_400_000

#: Inclusive bounds of long columns, wherever a family has them.
RANGES: dict[str, tuple[int, int]] = {
    "occurred_at_ms": (EARLIEST_MS, LATEST_MS),
    "sent_at_ms": (EARLIEST_MS, LATEST_MS),
    "received_at_ms": (EARLIEST_MS, LATEST_MS),
    "sequence": (0, 1 << 53),
    "pseudonym_version": (0, 1 << 31),
    "status": (100, 599),
    "amount_minor": (0, MAX_AMOUNT_MINOR),
    "price_minor": (0, MAX_AMOUNT_MINOR),
    "quantity": (0, 1_000_000),
    "capacity": (0, 100_000_000),
    "starts_at_ms": (EARLIEST_MS, LATEST_MS),
    "ends_at_ms": (EARLIEST_MS, LATEST_MS),
    "rating": (1, 5),
    "nps": (0, 10),
    "response_time_ms": (0, DAY_MS),
    "required_fields": (0, 10_000),
    "filled_fields": (0, 10_000),
}
_NAMES = ("tenant_id", "event_name", "source", "producer_id")


_IS_UUID7 = pl.col("message_id").str.contains(r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
_CONTROL = r"[\x00-\x1f\x7f]"
#: Rows of which Python finds the different values sooner than polars is asked for them.
_FEW = 500


@dataclass(frozen=True)
class Invalid:
    """A refused row: its place in the frame and why. The code never quotes a value."""

    row: int
    error_code: str


@cache
def _rules(name: str) -> tuple[tuple[str, pl.Expr], ...]:
    """(error code, expression that is true for a row that breaks the rule)."""
    family = FAMILIES[name]
    rules = [("MESSAGE_ID", ~_IS_UUID7)]
    rules += [(f"NAME_{c.upper()}", ~pl.col(c).str.len_bytes().is_between(1, MAX_NAME_BYTES)) for c in _NAMES]
    rules.append(("CONTROL_CHARACTER", pl.col("event_name").str.contains(_CONTROL)))
    rules += [
        (f"RANGE_{c.upper()}", ~pl.col(c).is_between(low, high))
        for c, (low, high) in RANGES.items()
        if c in family.kinds
    ]
    rules += [(f"NOT_FINITE_{f.name.upper()}", ~pl.col(f.name).is_finite()) for f in family.fields if f.kind == DOUBLE]
    return tuple(rules)


@cache
def _any_broken(name: str) -> pl.Expr:
    return pl.any_horizontal([rule.fill_null(False) for _, rule in _rules(name)])


def _surely_valid(family: Family, frame: pl.DataFrame) -> bool:
    """Whether no row breaks a rule, asked of whole columns: the least and greatest numbers, the different names.

    Half of the time of all rules for each row in batches of 2,000. False says nothing.
    """
    for name, (low, high) in RANGES.items():
        if name in family.kinds:
            column = frame[name]
            least, greatest = column.min(), column.max()
            if least is not None and not low <= cast(int, least) <= cast(int, greatest) <= high:
                return False
    for name in _NAMES:
        for told in _different(frame[name]):
            if told is None or not 1 <= len(told.encode()) <= MAX_NAME_BYTES:
                return False
            if name == "event_name" and re.search(_CONTROL, told):
                return False
    if not all(math.isfinite(frame[f.name].sum()) for f in family.fields if f.kind == DOUBLE):
        return False
    letters = letters_of(frame)
    return letters is not None and are_uuid7(letters)


def _different(column: pl.Series) -> Iterable[str | None]:
    """The different values of a column, more often than not a single one."""
    if len(column) < _FEW:
        return set(column.to_list())
    return column[:1] if (column == column[0]).all() else column.unique()


def invalid_rows(family: Family, frame: pl.DataFrame) -> list[Invalid]:
    """The rows of a decoded frame that break a rule, in order, each with the first rule that it breaks.

    Whole batches are nearly always valid, so that is asked first, and then all rules at once.
    """
    if not frame.height or _surely_valid(family, frame):
        return []
    broken = frame.select(_any_broken(family.name).alias("b"))["b"]
    if not broken.any():
        return []
    rows = broken.arg_true().to_list()
    asked = frame[rows].select(rule.fill_null(False).alias(code) for code, rule in _rules(family.name))
    return [
        Invalid(row, next(code for code, hit in zip(asked.columns, answers, strict=True) if hit))
        for row, answers in zip(rows, asked.iter_rows(), strict=True)
    ]
