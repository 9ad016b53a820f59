"""Segment's calls: track, page, screen, identify, group and alias.

In: one call as Segment's HTTP API takes it.
Out: Call.
Never: a call without type or user, nor a `track` without a name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from footlights.collector.agents import Agent, read_agent
from footlights.foreign import Unreadable, fitted, identifier, iso_ms
from footlights.names import family_of

NOTHING: Mapping[str, Any] = MappingProxyType({})
#: Event name of each type; `track` brings its own.
_NAMES: Final = {
    "page": "page_view",
    "screen": "screen",
    "identify": "profile_updated",
    "group": "group",
    "alias": "identity_linked",
}
_NO_AGENT: Final = Agent(False, {})
_BODY: Final = {"identify": "traits", "group": "traits"}
_PAGES: Final = frozenset({"page_view", "screen"})
_PAGE_FIELDS: Final = ("url", "path", "title", "referrer")
#: Properties that stand for something else of a call.
_SAID: Final = frozenset({"session_id", "automatic"})
#: Where the context columns stand in Segment's `context`.
_CONTEXT: Final = {
    "device": ("device", "type"),
    "os": ("os", "name"),
    "city": ("location", "city"),
    "country": ("location", "country"),
    "app_version": ("app", "version"),
    "campaign": ("campaign", "name"),
}
#: Parts of it that say anything for us.
_TELLING: Final = frozenset({"userAgent", *(part for part, _ in _CONTEXT.values())})


class Call(NamedTuple):
    """An event of another vendor's client; ids are raw, times epoch milliseconds, None where the client says nothing.

    `original_ms` is the time as it was first sent: with `original_id` it names the record. `context` are the flat context columns,
    `properties` all else, those that have a column among them.
    """

    name: str
    occurred_ms: int | None = None
    original_ms: int | None = None
    original_id: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    session_id: str | None = None
    automatic: bool = False
    context: Mapping[str, str] = NOTHING
    properties: Mapping[str, Any] = NOTHING


def call_of(call: Mapping[str, Any]) -> Call:
    """What a call says.

    Raises
    ------
    Unreadable
        When it lacks what every call needs.
    """
    kind, name = _kind(call)
    user, anonymous = identifier(call.get("userId")), identifier(call.get("anonymousId"))
    if kind == "alias" and (previous := identifier(call.get("previousId"))) not in (None, user):
        anonymous = previous  # a browser tells its own anonymousId too
    if user is None and anonymous is None:
        raise Unreadable("neither userId nor anonymousId")
    told, sent = call.get("timestamp"), call.get("originalTimestamp")
    occurred = None if told is None and sent is None else iso_ms(told if told is not None else sent)
    context = mapping(call.get("context"))
    properties = _properties(kind, name, call, context)
    session, said = properties.get("session_id"), properties.get("automatic")
    if "session_id" in properties or "automatic" in properties:
        properties = {n: v for n, v in properties.items() if n not in _SAID}
    around, automatic = (NOTHING, False) if _TELLING.isdisjoint(context) else _around(context)
    # By place, and past the constructor, which is written in Python: in a third of its time.
    return tuple.__new__(
        Call,
        (
            name,
            occurred,
            occurred if sent is None else iso_ms(sent),
            identifier(call.get("messageId")),
            user,
            anonymous,
            identifier(session) or identifier(context.get("sessionId")),
            said if isinstance(said, bool) else automatic or kind == "alias",
            around,
            properties,
        ),
    )


def mapping(value: object) -> Mapping[str, Any]:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _kind(call: Mapping[str, Any]) -> tuple[str, str]:
    kind = call.get("type")
    if kind == "track":
        name = call.get("event")
        if not isinstance(name, str) or not name.strip():
            raise Unreadable("track without event")
        return kind, name
    if not isinstance(kind, str) or not kind:
        raise Unreadable("no type")
    if kind not in _NAMES:
        raise Unreadable("unknown type")
    return kind, _NAMES[kind]


def _around(context: Mapping[str, Any]) -> tuple[Mapping[str, str], bool]:
    """What Segment's context says of the flat context columns, and whether its agent is a known bot."""
    told = context.get("userAgent")
    agent = read_agent(told) if isinstance(told, str) else _NO_AGENT
    found = {**agent.context}
    for column, (part, name) in _CONTEXT.items():
        if part in context and (value := fitted(mapping(context[part]).get(name), "string")):
            found[column] = value
    return found, agent.automatic


def _properties(kind: str, name: str, call: Mapping[str, Any], context: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of what was seen or done on a page also what its context says of it, of others what makes them what they are."""
    told = mapping(call.get(_BODY.get(kind, "properties")))
    if name in _PAGES or (kind == "track" and "page" in context and family_of(name) == "interaction"):
        page, properties = mapping(context.get("page")), {**told}
        for column in _PAGE_FIELDS:
            if properties.get(column) is None and isinstance(page.get(column), str):
                properties[column] = page[column]
        for part, value in mapping(context.get("campaign")).items():
            if part != "name" and isinstance(value, str):
                properties.setdefault(f"utm_{part}", value)
        if kind != "track" and isinstance(call.get("name"), str):
            properties.setdefault("name", call["name"])
        return properties
    if kind == "group" and (group := identifier(call.get("groupId"))):
        return {**told, "group_id": group}
    return told
