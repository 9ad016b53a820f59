"""Segment-style JSON lines: track, page, screen, identify, group and alias calls.

In: one JSON object a line, as Segment's HTTP API takes them.
Out: one event a line.
Never: a line without type or time, a `track` without a name, or a key that is told twice and read once.
"""

import json
from typing import Any, NoReturn

from footlights.collector.segment import Call, call_of
from footlights.foreign import split_columns

from infra.replay.amounts import currency_code
from infra.replay.event import Event, Origin, Refused
from infra.replay.shapes import columns_of


class SegmentParser:
    """Parses lines of one file."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def parse(self, line: bytes, number: int) -> list[Event]:
        """The event of a line.

        Raises
        ------
        Refused
            When it is no JSON object, or lacks what every call needs.
        """
        told = _object(line)
        for name in ("userId", "anonymousId"):
            if isinstance(told.get(name), bool | float | dict | list):
                raise Refused(f"{name} is neither a text nor a whole number")
        call = call_of(told)
        if call.occurred_ms is None:
            raise Refused("timestamp absent")
        fields, properties = split_columns(columns_of(call.name), call.properties)
        if "currency" in fields:
            fields["currency"] = currency_code(fields["currency"])
        return [
            Event(
                name=call.name,
                message_id=self._id(call, call.occurred_ms, number),
                original_id=call.original_id,
                occurred_at_ms=call.occurred_ms,
                received_at_ms=call.occurred_ms,
                user_id=call.user_id,
                anonymous_id=call.anonymous_id,
                session_id=call.session_id,
                automatic=call.automatic,
                context=call.context,
                properties=properties,
                fields=fields,
            )
        ]

    def _id(self, call: Call, occurred: int, number: int) -> str:
        if call.original_id is None:
            return self._origin.line_id(occurred, number)
        return self._origin.foreign_id(call.original_ms or occurred, call.original_id)


def _object(line: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(line.decode("utf-8-sig"), parse_constant=_no_constant, object_pairs_hook=_once)
        if b"\\u" in line:  # an escaped half of a surrogate pair is no text
            json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise Refused("not UTF-8") from error
    except Refused:
        raise
    except (ValueError, RecursionError) as error:
        raise Refused("not JSON") from error
    if not isinstance(parsed, dict):
        raise Refused("not an object")
    return parsed


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Refused("a key twice")
    return found
