"""Rows of a CSV file by a mapping file.

In: lines and a Mapping.
Out: one event a row.
Never: a float in an amount, or a cell under the name of its neighbour: a row has the cells of the header, or is refused.
"""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from decimal import Context, Decimal
from functools import lru_cache, partial
from typing import Any, Final

from footlights.foreign import epoch_ms, fitted, identifier

from infra.replay.amounts import MONEY, currency_code, in_minor_units
from infra.replay.event import Event, Origin, Refused, in_range
from infra.replay.lines import Line, LineReader
from infra.replay.mapping import BadMapping, Mapping, Source
from infra.replay.rows import Rows
from infra.replay.shapes import columns_of

#: Enough for the product of two numbers as `Numbers` reads them, which is therefore exact.
_EXACT: Final = Context(prec=200)
_DELIMITERS: Final = {",": ",", ";": ";", "\t": "\\t", "|": "|"}
_HINT: Final = re.compile(r"(?i)sep=.")
#: Events that say something of a person and nothing else.
_OF_PEOPLE: Final = frozenset({"profile_updated", "identity_linked", "identity_unlinked"})


class CsvParser:
    """Parses rows of one file, once it has seen the header."""

    def __init__(self, origin: Origin, mapping: Mapping) -> None:
        self._origin = origin
        self._mapping = mapping
        #: Orders of a minute share a time, and to read one costs as much as all else of a row.
        self._time_ms = lru_cache(maxsize=4_096)(partial(_time_ms, mapping))
        self._width: int | None = None

    def rows(self, lines: LineReader | Iterable[Line]) -> Rows:
        """The rows of numbered lines, the header among them."""
        reader = lines if isinstance(lines, LineReader) else None
        if reader is not None:
            reader.told = self._mapping.encoding

        def encoding() -> str:
            return "utf-8" if reader is not None and reader.charset is not None else self._mapping.encoding

        beside = reader.beside if reader is not None else Counter[str]()
        return Rows(lines, delimiter=self._mapping.delimiter, encoding=encoding, beside=beside)

    def is_hint(self, cells: list[str]) -> bool:
        """Whether a first row is Excel's hint at the delimiter, `sep=;`, and no header."""
        return bool(_HINT.fullmatch(self._mapping.delimiter.join(cells)))

    def header(self, cells: list[str]) -> dict[str, int]:
        """Column name to place, of those that the mapping reads.

        Raises
        ------
        BadMapping
            When the file lacks a column that the mapping reads, or has it twice.
        """
        names = [name.strip() for name in cells]
        wanted = self._mapping.columns
        if missing := sorted(wanted - set(names)):
            raise BadMapping(self._without(missing[0], names))
        if twice := sorted(name for name in wanted if names.count(name) > 1):
            raise BadMapping(f"the file has {names.count(twice[0])} columns {twice[0]!r}; give each its own name")
        self._width = len(names)
        return {name: names.index(name) for name in wanted}

    def _without(self, column: str, names: list[str]) -> str:
        """What is wrong with a header that lacks a column."""
        header = self._mapping.delimiter.join(names)
        for delimiter, written in _DELIMITERS.items():
            if self._mapping.columns <= {name.strip().strip('"') for name in header.split(delimiter)}:
                return f'the columns are separated by {delimiter!r}: write delimiter = "{written}" under [csv]'
        return f"the file has no column {column!r}; it has {', '.join(names)[:500]}"

    def begin(self, rows: Rows, places: dict[str, int]) -> None:
        """Tell rows what the header said."""
        when = places[self._mapping.time_column]

        def is_row(cells: list[str]) -> bool:
            if len(cells) != self._width:
                return False
            try:
                return bool(self._time_ms(cells[when].strip()))
            except Refused:
                return False

        rows.width, rows.is_row = self._width, is_row

    def parse(self, cells: list[str], places: dict[str, int], number: int) -> list[Event]:
        """The event of a row; raises Refused when it does not fit the header, has no name or no time, or a wrong value."""
        width = len(places) if self._width is None else self._width
        if len(cells) != width:
            raise Refused("too few columns" if len(cells) < width else "too many columns")
        row = {name: cells[i].strip() for name, i in places.items()}
        mapping = self._mapping
        name = _event_name(mapping, row)
        occurred = self._time_ms(row[mapping.time_column])
        ids = {k: identifier(_value(mapping, s, row)) for k, s in mapping.ids.items()}
        if name in _OF_PEOPLE and not ids.get("user_id") and not ids.get("anonymous_id"):
            raise Refused(f"{name} with neither user_id nor anonymous_id")
        original = ids.get("message_id")
        make = self._origin
        fields, left = self._fields(name, row)
        properties = {k: v for k, s in mapping.properties.items() if (v := _value(mapping, s, row)) is not None}
        return [
            Event(
                name=name,
                message_id=make.foreign_id(occurred, original) if original else make.line_id(occurred, number),
                original_id=original,
                occurred_at_ms=occurred,
                received_at_ms=occurred,
                user_id=ids.get("user_id"),
                anonymous_id=ids.get("anonymous_id"),
                session_id=ids.get("session_id"),
                context={k: str(v) for k, s in mapping.context.items() if (v := _value(mapping, s, row)) is not None},
                properties={**left, **properties},
                fields=fields,
            )
        ]

    def _fields(self, name: str, row: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """(columns of the family, values that are none of its columns)."""
        kinds, fields, left = columns_of(name), {}, {}
        currency = self._currency(row) if "currency" in kinds else None
        for column, source in self._mapping.fields.items():
            of_money = column in MONEY and column in kinds
            value = (
                currency if column == "currency" and column in kinds else self._told(source, row, currency, of_money)
            )
            if value is None:
                continue
            if column not in kinds:
                left[column] = value
                continue
            if (kept := self._fitted(value, kinds[column])) is None:
                raise Refused(f"{column} is no {kinds[column]}")
            if of_money and kept and currency is None:
                raise Refused(f"{column} without a currency")
            fields[column] = kept
        return fields, left

    def _fitted(self, value: object, kind: str) -> Any:
        """The value as a column, a number also as this file writes numbers; None when it does not fit."""
        kept = fitted(value, kind)
        if kept is None and kind in ("long", "double") and isinstance(value, str):
            try:
                number = self._mapping.numbers.read(value)
            except Refused:
                return None
            kept = fitted(int(number) if number == int(number) else float(number), kind)
        return kept

    def _currency(self, row: dict[str, str]) -> str | None:
        source = self._mapping.fields.get("currency")
        told = None if source is None else _value(self._mapping, source, row)
        return None if told is None else currency_code(told)

    def _told(self, source: Source, row: dict[str, str], currency: str | None, of_money: bool) -> Any:
        """A value; of money that is told in major units, the minor units."""
        if not of_money or currency is None or source.column is None or (source.decimals or 0) <= 0:
            return _value(self._mapping, source, row)
        amount = _calculated(self._mapping, source, row)
        return None if amount is None else in_minor_units(amount, currency)


def _event_name(mapping: Mapping, row: dict[str, str]) -> str:
    for rule in mapping.rules:
        if row[rule.column].startswith(rule.starts_with):
            return rule.name
    if mapping.event_column is None:
        return str(mapping.event_name)
    said = row[mapping.event_column]
    name = mapping.event_names.get(said) or said or mapping.event_name
    if not name:
        raise Refused("no event name")
    return name


def _time_ms(mapping: Mapping, text: str) -> int:
    if not text:
        raise Refused("timestamp absent")
    try:
        match mapping.time_format:
            case "iso8601":
                return epoch_ms(datetime.fromisoformat(text), mapping.zone)
            case "epoch_s" | "epoch_ms":
                number = mapping.numbers.read(text)
                return in_range(int(number.scaleb(3 if mapping.time_format == "epoch_s" else 0)))
            case form:
                return epoch_ms(datetime.strptime(text, form), mapping.zone)
    except (ValueError, ArithmeticError) as error:
        if isinstance(error, Refused) and str(error).startswith("timestamp"):
            raise
        raise Refused("timestamp unreadable") from error


def _value(mapping: Mapping, source: Source, row: dict[str, str]) -> Any:
    """A constant, a text, or a whole number where the mapping calculates; None for an empty cell."""
    if source.column is None:
        return source.value
    if source.decimals is None and source.times is None and not source.absolute:
        return row[source.column] or None
    number = _calculated(mapping, source, row)
    if number is None:
        return None
    number = _EXACT.scaleb(number, source.decimals or 0)
    if number != _EXACT.to_integral_value(number):
        raise Refused("a number has more decimals than the mapping says")
    return int(number)


def _calculated(mapping: Mapping, source: Source, row: dict[str, str]) -> Decimal | None:
    """The number of a cell, multiplied and without its sign as the mapping says, exactly; None for an empty cell."""
    text = row[source.column] if source.column is not None else ""
    if not text:
        return None
    number = mapping.numbers.read(text)
    if source.times is not None:
        number = _EXACT.multiply(number, mapping.numbers.read(row[source.times]))
    return _EXACT.abs(number) if source.absolute else number
