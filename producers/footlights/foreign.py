"""Foreign values: texts, times and numbers of other systems as columns.

In: values of JSON or CSV.
Out: columns of the right kind, or Unreadable.
Never: a value of a wrong kind in a column: what does not fit stays a property.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from footlights.checks import EARLIEST_MS, LATEST_MS, LONGEST_ID_BITS, NO_IDS
from footlights.currencies import CURRENCY

_MAX_LONG: Final = (1 << 63) - 1
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_moment_of: Callable[[Any], datetime] = datetime.fromisoformat
_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
#: Greatest time that a client's clock may tell, epoch milliseconds: the year 9999, either way.
_FARTHEST_MS: Final = 253_402_300_800_000


class Unreadable(ValueError):
    """Something that cannot become a record. The text says why and quotes no content."""


def fitted(value: object, kind: str) -> Any:
    """The value as a column of an Avro kind; None when it does not fit.

    Examples
    --------
    >>> fitted(3.0, "long"), fitted("3", "long"), fitted(True, "long"), fitted(7, "string")
    (3, 3, None, '7')
    >>> fitted("--1", "long") is None
    True
    """
    if isinstance(value, bool):
        return value if kind == "boolean" else None
    if kind == "long":
        return _whole(value)
    if kind == "string" and (isinstance(value, str) or (isinstance(value, int) and abs(value) <= _MAX_LONG)):
        return str(value)
    if kind == "double" and isinstance(value, int | float) and abs(value) < 1e300:
        return float(value)
    return None


def _whole(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    return value if isinstance(value, int) and abs(value) <= _MAX_LONG else None


def split_columns(kinds: Mapping[str, str], properties: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(columns of these kinds, properties that remain)."""
    columns, rest = {}, {}
    for name, value in properties.items():
        kind = kinds.get(name)
        if kind is None or value is None:
            rest[name] = value
        elif name == CURRENCY:
            columns[name] = value  # a code, or whoever writes the column refuses it
        elif kind == "string" and type(value) is str:
            columns[name] = value
        elif (kept := fitted(value, kind)) is None:
            rest[name] = value
        else:
            columns[name] = kept
    return columns, rest


def identifier(value: object) -> str | None:
    """An id as text; None when there is none, or a placeholder that a bug wrote.

    Examples
    --------
    >>> identifier(42), identifier(" u-1 "), identifier("undefined"), identifier(True)
    ('42', 'u-1', None, None)
    """
    if value is None:
        return None
    if type(value) is not str:
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        if isinstance(value, int) and value.bit_length() > LONGEST_ID_BITS:
            return None
        value = str(value)
    text = value.strip()
    return None if text.lower() in NO_IDS else text


def iso_ms(text: object) -> int:
    """Epoch milliseconds of an ISO 8601 time; without a zone it is UTC.

    Raises
    ------
    Unreadable
        When it is absent or no such time.

    Examples
    --------
    >>> iso_ms("2024-05-01T12:00:00.250Z"), iso_ms("2024-05-01T14:00:00+02:00")
    (1714564800250, 1714564800000)
    """
    ms = _ms_of_text(text)
    return ms if EARLIEST_MS <= ms < LATEST_MS else in_range(ms)


def clock_ms(told: object) -> int:
    """Epoch milliseconds that a client's clock told, right or wrong: a wrong one is corrected before it is judged.

    An ISO 8601 text, without a zone in UTC, or a number: of milliseconds, or of seconds when that is a time in 2000-2099.

    Raises
    ------
    Unreadable
        When it is absent or no time.

    Examples
    --------
    >>> clock_ms("1970-01-01T00:05:00Z"), clock_ms(1714564800250), clock_ms(1714564800.25)
    (300000, 1714564800250, 1714564800250)
    """
    if type(told) is not str and isinstance(told, int | float) and not isinstance(told, bool):
        if not -_FARTHEST_MS < told < _FARTHEST_MS:
            raise Unreadable("timestamp unreadable")
        return int(told * 1000 if EARLIEST_MS <= told * 1000 < LATEST_MS else told)
    return _ms_of_text(told)


def _ms_of_text(text: object) -> int:
    if text is None:
        raise Unreadable("timestamp absent")
    try:
        moment = _moment_of(text)
        if moment.tzinfo is UTC:  # nearly always, and spares a call
            return (moment - _EPOCH) // _MILLISECOND
    except (ValueError, TypeError) as error:
        raise Unreadable("timestamp unreadable") from error
    return _ms_of(moment, UTC)


def _ms_of(moment: datetime, zone: tzinfo) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    try:
        return (moment - _EPOCH) // _MILLISECOND
    except OverflowError as error:
        raise Unreadable("timestamp outside 2000-2099") from error


def epoch_ms(moment: datetime, zone: tzinfo) -> int:
    """Epoch milliseconds of a time; a naive one is in the given zone, of two readings the first."""
    return in_range(_ms_of(moment, zone))


def in_range(ms: int) -> int:
    """The time, when it lies in 2000-2099.

    Raises
    ------
    Unreadable
        Outside.
    """
    if not EARLIEST_MS <= ms < LATEST_MS:
        raise Unreadable("timestamp outside 2000-2099")
    return ms
