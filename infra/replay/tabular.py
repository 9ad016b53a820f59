"""Rows of a CSV file by a mapping file.

In: lines and a Mapping.
Out: one event a row.
Never: a float in an amount: decimal texts are shifted, not multiplied.
"""

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from footlights.foreign import epoch_ms, fitted, identifier

from infra.replay.event import Event, Origin, Refused, in_range
from infra.replay.mapping import BadMapping, Mapping, Source
from infra.replay.shapes import columns_of

_MAX_DIGITS = 30


class CsvParser:
    """Parses rows of one file, once it has seen the header."""

    def __init__(self, origin: Origin, mapping: Mapping) -> None:
        self._origin = origin
        self._mapping = mapping

    def rows(self, lines: Iterable[tuple[int, bytes | ValueError]]) -> Iterator[tuple[int, list[str] | ValueError]]:
        """(number of the row's first line, its cells) of numbered lines; a row may span lines."""
        numbers = [0]
        reader = csv.reader(self._decoded(lines, numbers), delimiter=self._mapping.delimiter, strict=False)
        while True:
            numbers[:] = numbers[-1:]
            try:
                row = next(reader, None)
            except (csv.Error, ValueError) as error:
                yield numbers[-1], error if isinstance(error, Refused) else ValueError("not CSV")
                continue
            if row is None:
                return
            if row:
                yield numbers[1] if len(numbers) > 1 else numbers[-1], row

    def _decoded(self, lines: Iterable[tuple[int, bytes | ValueError]], numbers: list[int]) -> Iterator[str]:
        return _Decoded(iter(lines), numbers, self._mapping.encoding)

    def header(self, cells: list[str]) -> dict[str, int]:
        """Column name to place.

        Raises
        ------
        BadMapping
            When the file lacks a column that the mapping reads.
        """
        places = {name.strip(): i for i, name in enumerate(cells)}
        if missing := sorted(self._mapping.columns - set(places)):
            raise BadMapping(f"the file has no column {missing[0]!r}; it has {', '.join(places)[:500]}")
        return places

    def parse(self, cells: list[str], places: dict[str, int], number: int) -> list[Event]:
        """The event of a row; raises Refused when the row has too few cells, no user, no name or no time."""
        if len(cells) < len(places):
            raise Refused("too few columns")
        row = {name: cells[i].strip() for name, i in places.items()}
        mapping = self._mapping
        name = _event_name(mapping, row)
        occurred = _time_ms(mapping, row[mapping.time_column])
        ids = {k: identifier(_value(s, row)) for k, s in mapping.ids.items()}
        if not ids.get("user_id") and not ids.get("anonymous_id"):
            raise Refused("neither user_id nor anonymous_id")
        original = ids.get("message_id")
        make = self._origin
        fields, left = self._fields(name, row)
        properties = {k: v for k, s in mapping.properties.items() if (v := _value(s, row)) is not None}
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
                context={k: str(v) for k, s in mapping.context.items() if (v := _value(s, row)) is not None},
                properties={**left, **properties},
                fields=fields,
            )
        ]

    def _fields(self, name: str, row: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """(columns of the family, values that are none of its columns)."""
        kinds, fields, left = columns_of(name), {}, {}
        for column, source in self._mapping.fields.items():
            value = _value(source, row)
            if value is None:
                continue
            if column not in kinds:
                left[column] = value
            elif (kept := fitted(value, kinds[column])) is not None:
                fields[column] = kept
            else:
                raise Refused(f"{column} is no {kinds[column]}")
        return fields, left


class _Decoded(Iterator[str]):
    """Lines as text for csv.reader; a generator would be closed by the first error that passes through it."""

    def __init__(self, lines: Iterator[tuple[int, bytes | ValueError]], numbers: list[int], encoding: str) -> None:
        self._lines, self._numbers, self._encoding = lines, numbers, encoding

    def __next__(self) -> str:
        number, line = next(self._lines)
        self._numbers.append(number)
        if isinstance(line, ValueError):
            raise Refused(str(line)) from line
        try:
            return line.decode(self._encoding) + "\n"
        except UnicodeDecodeError as error:
            raise Refused(f"not {self._encoding}") from error


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
                return in_range(int(Decimal(text).scaleb(3 if mapping.time_format == "epoch_s" else 0)))
            case form:
                return epoch_ms(datetime.strptime(text, form), mapping.zone)
    except Refused:
        raise
    except (ValueError, ArithmeticError) as error:
        raise Refused("timestamp unreadable") from error


def _value(source: Source, row: dict[str, str]) -> Any:
    """A constant, a text, or a whole number where the mapping calculates; None for an empty cell."""
    if source.column is None:
        return source.value
    text = row[source.column]
    if not text:
        return None
    if source.decimals is None and source.times is None and not source.absolute:
        return text
    number = _number(text)
    if source.times is not None:
        number *= _number(row[source.times])
    number = number.scaleb(source.decimals or 0)
    if number != number.to_integral_value():
        raise Refused("a number has more decimals than the mapping says")
    return abs(int(number)) if source.absolute else int(number)


def _number(text: str) -> Decimal:
    if len(text) > _MAX_DIGITS:
        raise Refused("a number is unreadable")
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise Refused("a number is unreadable") from error
    if not number.is_finite() or abs(number.adjusted()) > _MAX_DIGITS:
        raise Refused("a number is unreadable")
    return number
