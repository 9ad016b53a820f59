"""What is refused at the call, with a sentence that says what is wrong.

In: values of a call.
Out: the same values in the shape of the schema, or Refusal.
Never: a quoted value; a refusal may land in a log.
"""

import json
import math
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from json.encoder import encode_basestring as _quoted
from typing import Any

from footlights.outcome import Refusal

MAX_EVENT_BYTES = 64 * 1024
MAX_DEPTH = 8
MAX_KEYS = 256
MAX_NAME_BYTES = 128
EARLIEST_MS = 946_684_800_000  # 2000-01-01
LATEST_MS = 4_102_444_800_000  # 2100-01-01

#: A whole number is an id up to so many bits; what is longer is none, and costs as much to write as it is long squared.
LONGEST_ID_BITS = 256
#: Ids that a bug writes, not a person.
NO_IDS = frozenset(
    {"", "0", "null", "none", "nil", "nan", "undefined", "anonymous", "guest", "unknown", "true", "false", "[object object]",
     "00000000-0000-0000-0000-000000000000"}
)  # fmt: skip

#: Inclusive bounds, as the platform's own validity rules have them.
RANGES: dict[str, tuple[int, int]] = {
    "status": (100, 599),
    "amount_minor": (0, 10**12),
    "price_minor": (0, 10**12),
    "quantity": (0, 1_000_000),
    "capacity": (0, 100_000_000),
    "starts_at_ms": (EARLIEST_MS, LATEST_MS),
    "ends_at_ms": (EARLIEST_MS, LATEST_MS),
    "rating": (1, 5),
    "nps": (0, 10),
    "response_time_ms": (0, 86_400_000),
    "required_fields": (0, 10_000),
    "filled_fields": (0, 10_000),
}
_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "long": (int,), "double": (int, float), "boolean": (bool,)}
_WORDS = {"string": "a string", "long": "a whole number", "double": "a number", "boolean": "true or false"}


#: Names of properties as they stand in JSON, with their colons.
_names: dict[str, str] = {}
NAMES_REMEMBERED = 4_096


def checked_name(what: str, name: object) -> str:
    """A name of 1 to 128 bytes without control characters."""
    if not isinstance(name, str) or not name or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise Refusal("INVALID_NAME", f"{what} must be a text of 1 to {MAX_NAME_BYTES} bytes")
    if not name.isprintable():
        raise Refusal("INVALID_NAME", f"{what} has a control character")
    return name


def checked_id(what: str, raw: object) -> str | None:
    """A raw id as text, None when none was given."""
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, (str, int)):
        raise Refusal("INVALID_ID", f"{what} must be a text or a whole number")
    if isinstance(raw, int) and raw.bit_length() > LONGEST_ID_BITS:
        raise Refusal("INVALID_ID", f"{what} is a number of more than {LONGEST_ID_BITS} bits")
    text = str(raw).strip()
    if text.lower() in NO_IDS:
        raise Refusal("INVALID_ID", f"{what} is a placeholder, not an id")
    if not text.isascii() and not _writable(text):
        raise Refusal("INVALID_ID", f"{what} holds half of a surrogate pair")
    return text


def _writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def checked_message_id(message_id: str) -> str:
    """A UUIDv7 in lower case, so that the platform knows its time."""
    if not isinstance(message_id, str) or not _UUID7.fullmatch(message_id):
        raise Refusal("INVALID_ID", "message_id must be a UUIDv7; make one of a foreign id with uuid7_of")
    return message_id


def checked_ms(what: str, moment: datetime | int) -> int:
    """Epoch milliseconds of an aware datetime or of milliseconds, within 2000 to 2100."""
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise Refusal("NAIVE_DATETIME", f"{what} needs a time zone, e.g. datetime.now(UTC)")
        try:
            ms = int(moment.astimezone(UTC).timestamp() * 1000)
        except OverflowError:
            raise Refusal("INVALID_TIME", f"{what} lies outside 2000 to 2100") from None
    elif isinstance(moment, int) and not isinstance(moment, bool):
        ms = moment
    else:
        raise Refusal("INVALID_TIME", f"{what} must be an aware datetime or epoch milliseconds")
    if not EARLIEST_MS <= ms <= LATEST_MS:
        raise Refusal("INVALID_TIME", f"{what} lies outside 2000 to 2100; are these seconds?")
    return ms


def checked_field(name: str, kind: str, value: Any) -> Any:
    """A value of a column of the given Avro kind."""
    if value is None:
        return None
    known: Any = value
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        raise Refusal("INVALID_FIELD", f"{name} must be {_WORDS[kind]}, not {type(value).__name__}")
    if kind == "double" and not -sys.float_info.max <= known <= sys.float_info.max:
        raise Refusal("INVALID_FIELD", f"{name} must be finite")
    bounds = RANGES.get(name)
    if bounds and not bounds[0] <= known <= bounds[1]:
        raise Refusal("INVALID_FIELD", f"{name} must lie between {bounds[0]} and {bounds[1]}")
    return value


def properties_text(properties: Mapping[str, Any]) -> str:
    """The properties as one JSON object in text."""
    try:
        text = _flat_text(properties)
        if text is None:
            _bounded(properties, 1, [0])
            text = _ENCODER.encode(properties)
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        raise Refusal("INVALID_PROPERTY", "a property holds half of a surrogate pair") from None
    except Refusal:
        raise
    except (TypeError, ValueError, RecursionError):
        raise Refusal("INVALID_PROPERTY", "a property is no JSON value (NaN and Infinity are none)") from None
    return text


def _flat_text(properties: Mapping[str, Any]) -> str | None:
    """A small object of plain values, None when it is another one.

    Most properties are such; the encoder of the standard library, made anew in each call, takes two to three times as long.
    """
    if len(properties) > MAX_KEYS:
        return None
    pieces = []
    for name, value in properties.items():
        known = _names.get(name) or _known(name)
        kind = type(value)
        if known is None:
            return None
        if kind is str:
            pieces.append(known + _quoted(value))
        elif kind is int or (kind is float and math.isfinite(value)):
            pieces.append(known + repr(value))
        elif kind is bool:
            pieces.append(known + ("true" if value else "false"))
        elif value is None:
            pieces.append(known + "null")
        else:
            return None
    return f"{{{','.join(pieces)}}}"


def _known(name: object) -> str | None:
    if type(name) is not str:
        return None
    text = f"{_quoted(name)}:"
    if len(name) <= MAX_NAME_BYTES:
        if len(_names) >= NAMES_REMEMBERED:
            _names.clear()
        _names[name] = text
    return text


def _bounded(value: Any, depth: int, keys: list[int]) -> None:
    if depth > MAX_DEPTH:
        raise Refusal("EVENT_TOO_LARGE", f"properties are nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        keys[0] += len(value)
        if keys[0] > MAX_KEYS:
            raise Refusal("EVENT_TOO_LARGE", f"properties have more than {MAX_KEYS} keys")
        for name, inner in value.items():
            if not isinstance(name, str):
                raise Refusal("INVALID_PROPERTY", "property names must be texts")
            if isinstance(inner, (Mapping, list, tuple)):
                _bounded(inner, depth + 1, keys)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            if isinstance(inner, (Mapping, list, tuple)):
                _bounded(inner, depth + 1, keys)
