"""Segment's calls: track, page, screen, identify, group and alias.

In: one call as Segment's HTTP API takes it.
Out: Call.
Never: a call without type or user, nor a `track` without a name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from footlights.collector.agents import Agent, read_agent
from footlights.foreign import Unreadable, fitted, identifier, iso_ms, split_columns

NOTHING: Mapping[str, Any] = MappingProxyType({})
#: Kinds of the columns of an event's family besides the envelope.
KindsOf = Callable[[str], Mapping[str, str]]
#: Event name of each type; `track` brings its own.
_NAMES: Final = {
    "track": "",
    "page": "page_view",
    "screen": "screen",
    "identify": "profile_updated",
    "group": "group",
    "alias": "identity_linked",
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


@dataclass(slots=True, kw_only=True)
class Call:
    """An event of another vendor's client; ids are raw, times epoch milliseconds, None where the client says nothing.

    `original_ms` is the time as it was first sent: with `original_id` it names the record. `fields` are columns of the event's
    family, `context` the flat context columns, `properties` the rest.
    """

    name: str
    occurred_ms: int | None = None
    original_ms: int | None = None
    original_id: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    session_id: str | None = None
    automatic: bool = False
    context: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    properties: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    fields: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


def call_of(call: Mapping[str, Any], kinds_of: KindsOf) -> Call:
    """What a call says.

    Raises
    ------
    Unreadable
        When it lacks what every call needs.
    """
    kind, name = _kind(call)
    user, anonymous = identifier(call.get("userId")), identifier(call.get("anonymousId"))
    if kind == "alias" and anonymous is None:
        anonymous = identifier(call.get("previousId"))
    if user is None and anonymous is None:
        raise Unreadable("neither userId nor anonymousId")
    told, sent = call.get("timestamp"), call.get("originalTimestamp")
    occurred = None if told is None and sent is None else iso_ms(told if told is not None else sent)
    context = mapping(call.get("context"))
    agent = _agent(context)
    properties = dict(mapping(call.get(_BODY.get(kind, "properties"))))
    said = properties.pop("automatic", None)
    session = identifier(properties.pop("session_id", None)) or identifier(context.get("sessionId"))
    fields, rest = _columns(kind, name, call, context, properties, kinds_of(name))
    return Call(
        name=name,
        occurred_ms=occurred,
        original_ms=occurred if sent is None else iso_ms(sent),
        original_id=identifier(call.get("messageId")),
        user_id=user,
        anonymous_id=anonymous,
        session_id=session,
        automatic=said if isinstance(said, bool) else agent.automatic or kind == "alias",
        context={**agent.context, **_context(context)} if context else NOTHING,
        properties=rest,
        fields=fields,
    )


def mapping(value: object) -> Mapping[str, Any]:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _kind(call: Mapping[str, Any]) -> tuple[str, str]:
    kind = call.get("type")
    if not isinstance(kind, str) or not kind:
        raise Unreadable("no type")
    if kind not in _NAMES:
        raise Unreadable("unknown type")
    if kind != "track":
        return kind, _NAMES[kind]
    name = call.get("event")
    if not isinstance(name, str) or not name.strip():
        raise Unreadable("track without event")
    return kind, name


def _agent(context: Mapping[str, Any]) -> Agent:
    text = context.get("userAgent")
    return read_agent(text) if isinstance(text, str) else _NO_AGENT


def _context(context: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for column, (part, name) in _CONTEXT.items():
        if part in context and (value := fitted(mapping(context[part]).get(name), "string")):
            found[column] = value
    return found


def _columns(
    kind: str,
    name: str,
    call: Mapping[str, Any],
    context: Mapping[str, Any],
    properties: dict[str, Any],
    kinds: Mapping[str, str],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(columns, properties): of a page what its context says of it, of others what makes them what they are."""
    if name in {"page_view", "screen"}:
        page = mapping(context.get("page"))
        for column in _PAGE_FIELDS:
            if properties.get(column) is None and isinstance(page.get(column), str):
                properties[column] = page[column]
        if isinstance(call.get("name"), str):
            properties.setdefault("name", call["name"])
    if kind == "group" and (group := identifier(call.get("groupId"))):
        properties["group_id"] = group
    return split_columns(kinds, properties)
