"""Foreign values: texts, times and numbers of other systems as columns.

In: values of JSON or CSV.
Out: columns of the right kind, or Unreadable.
Never: a value of a wrong kind in a column: what does not fit stays a property.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from footlights.checks import EARLIEST_MS, LATEST_MS, NO_IDS

_MAX_LONG: Final = (1 << 63) - 1
_moment_of: Callable[[Any], datetime] = datetime.fromisoformat
_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)


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
    if kind == "string" and isinstance(value, str | int):
        return str(value)
    if kind == "double" and isinstance(value, int | float) and abs(value) < 1e300:
        return float(value)
    return None


def _whole(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.removeprefix("-").isdigit():
        value = int(value)
    return value if isinstance(value, int) and abs(value) <= _MAX_LONG else None


def split_columns(kinds: Mapping[str, str], properties: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(columns of these kinds, properties that remain)."""
    columns, rest = {}, {}
    for name, value in properties.items():
        kind = kinds.get(name)
        if kind is None or value is None:
            rest[name] = value
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
    if text is None:
        raise Unreadable("timestamp absent")
    try:
        moment = _moment_of(text)
    except (ValueError, TypeError) as error:
        raise Unreadable("timestamp unreadable") from error
    return epoch_ms(moment, UTC)


def epoch_ms(moment: datetime, zone: tzinfo) -> int:
    """Epoch milliseconds of a time; a naive one is in the given zone, of two readings the first."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    try:
        ms = (moment - _EPOCH) // _MILLISECOND
    except OverflowError as error:
        raise Unreadable("timestamp outside 2000-2099") from error
    return ms if EARLIEST_MS <= ms < LATEST_MS else in_range(ms)


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
