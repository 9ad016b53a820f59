"""Segment-style JSON lines: track, page, screen, identify, group and alias calls.

In: one JSON object a line, as Segment's HTTP API takes them.
Out: one event a line.
Never: a line without type, user or time, nor a `track` without a name.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from infra.replay.agents import Agent, read_agent
from infra.replay.event import Event, Origin, Refused
from infra.replay.shapes import fitted, identifier, iso_ms, split_columns

#: Event name of each type; `track` brings its own.
_NAMES: Final = {
    "track": "",
    "page": "page_view",
    "screen": "screen",
    "identify": "profile_updated",
    "group": "group",
    "alias": "alias",
}
_NO_AGENT: Final = Agent(False, {})
_BODY: Final = {"identify": "traits", "group": "traits"}
_PAGE_FIELDS: Final = ("url", "path", "title", "referrer")
#: Where the context columns stand in Segment's `context`.
_CONTEXT: Final = {
    "device": ("device", "type"),
    "os": ("os", "name"),
    "city": ("location", "city"),
    "country": ("location", "country"),
    "app_version": ("app", "version"),
    "campaign": ("campaign", "name"),
}


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
        call = _object(line)
        kind, name = _kind(call)
        user, anonymous = identifier(call.get("userId")), identifier(call.get("anonymousId"))
        if kind == "alias" and anonymous is None:
            anonymous = identifier(call.get("previousId"))
        if user is None and anonymous is None:
            raise Refused("neither userId nor anonymousId")
        sent = call.get("originalTimestamp")
        occurred = iso_ms(call.get("timestamp") if call.get("timestamp") is not None else sent)
        original = identifier(call.get("messageId"))
        context = _mapping(call.get("context"))
        agent = _agent(context)
        properties = dict(_mapping(call.get(_BODY.get(kind, "properties"))))
        said = properties.pop("automatic", None)
        session = identifier(properties.pop("session_id", None)) or identifier(context.get("sessionId"))
        fields, rest = _columns(kind, name, call, context, properties)
        return [
            Event(
                name=name,
                message_id=self._id(original, occurred, sent, number),
                original_id=original,
                occurred_at_ms=occurred,
                received_at_ms=occurred,
                user_id=user,
                anonymous_id=anonymous,
                session_id=session,
                automatic=said if isinstance(said, bool) else agent.automatic,
                context={**agent.context, **_context(context)},
                properties=rest,
                fields=fields,
            )
        ]

    def _id(self, original: str | None, occurred: int, sent: object, number: int) -> str:
        if original is None:
            return self._origin.line_id(occurred, number)
        return self._origin.foreign_id(occurred if sent is None else iso_ms(sent), original)


def _object(line: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(line.decode("utf-8-sig"), parse_constant=_no_constant)
        if b"\\u" in line:  # an escaped half of a surrogate pair is no text
            json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise Refused("not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise Refused("not JSON") from error
    if not isinstance(parsed, dict):
        raise Refused("not an object")
    return parsed


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _kind(call: Mapping[str, Any]) -> tuple[str, str]:
    kind = call.get("type")
    if not isinstance(kind, str) or not kind:
        raise Refused("no type")
    if kind not in _NAMES:
        raise Refused("unknown type")
    if kind != "track":
        return kind, _NAMES[kind]
    name = call.get("event")
    if not isinstance(name, str) or not name.strip():
        raise Refused("track without event")
    return kind, name


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _agent(context: Mapping[str, Any]) -> Agent:
    text = context.get("userAgent")
    return read_agent(text) if isinstance(text, str) else _NO_AGENT


def _context(context: Mapping[str, Any]) -> dict[str, str]:
    found = {column: fitted(_mapping(context.get(a)).get(b), "string") for column, (a, b) in _CONTEXT.items()}
    return {column: value for column, value in found.items() if value}


def _columns(
    kind: str, name: str, call: Mapping[str, Any], context: Mapping[str, Any], properties: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(columns, properties): of a page what its context says of it, of others what makes them what they are."""
    if name in {"page_view", "screen"}:
        page = _mapping(context.get("page"))
        for column in _PAGE_FIELDS:
            if properties.get(column) is None and isinstance(page.get(column), str):
                properties[column] = page[column]
        if isinstance(call.get("name"), str):
            properties.setdefault("name", call["name"])
    if kind == "group" and (group := identifier(call.get("groupId"))):
        properties["group_id"] = group
    return split_columns(name, properties)
