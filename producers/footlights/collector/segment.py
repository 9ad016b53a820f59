"""Segment's calls: track, page, screen, identify, group and alias.

In: one call as Segment's HTTP API takes it.
Out: Call.
Never: a call without type, a `track` without a name, an `identify` or `alias` without a person; nor a value that is dropped
without a word: what fits nowhere stays a property, and an id that is none is told.
"""

from collections.abc import Callable, Mapping
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
_PAGES: Final = frozenset({"page", "screen"})
_PAGE_FIELDS: Final = ("url", "path", "title", "referrer")
#: Calls that say something of a person, and nothing without one.
_OF_A_PERSON: Final = frozenset({"identify", "alias"})
#: Fields of a call that are read, or that tell of the client and of Segment's own delivery; further ones become properties.
_EVERY: Final = frozenset(
    {"type", "userId", "anonymousId", "messageId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "context",
     "integrations", "channel", "version", "writeKey", "projectId", "_metadata"}
)  # fmt: skip
_READ: Final = {
    "track": _EVERY | {"event", "properties"},
    "page": _EVERY | {"name", "properties"},
    "screen": _EVERY | {"name", "properties"},
    "identify": _EVERY | {"traits"},
    "group": _EVERY | {"traits", "groupId"},
    "alias": _EVERY | {"previousId", "properties"},
}
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
#: All parts that Segment names. What is not read of them tells of the client, or is the connection's address.
_PARTS: Final = _TELLING | {
    "active", "direct", "externalIds", "groupId", "ip", "library", "locale", "network", "page", "referrer", "screen", "sessionId",
    "timezone", "traits", "userAgentData",
}  # fmt: skip


class Call(NamedTuple):
    """An event of another vendor's client; ids are raw, times epoch milliseconds, None where the client says nothing.

    `original_ms` is the time as it was first sent: with `original_id` it names the record. `context` are the flat context columns,
    `properties` all else, those that have a column among them. `ignored` names what was sent, is no value of its kind and is kept
    nowhere. `ago_ms` says when, instead of `occurred_ms`: so long before the request was sent.
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
    ignored: tuple[str, ...] = ()
    ago_ms: int | None = None


def misfits(told: Mapping[str, object]) -> list[str]:
    """Names of ids that are none: placeholders, and what cannot be one."""
    return [name for name, one in told.items() if one is not None and one != "" and identifier(one) is None]


def with_rest(properties: Mapping[str, Any], rest: Mapping[str, Any], unfit: list[str]) -> Mapping[str, Any]:
    """Properties with what else an event says; of two values of a name the property stays, and `unfit` gets the name."""
    if not rest:
        return properties
    out = {**properties}
    for name, value in rest.items():
        if out.setdefault(name, value) is not value:
            unfit.append(name)
    return out


def call_of(call: Mapping[str, Any], moment: Callable[[object], int] = iso_ms) -> Call:
    """What a call says; `moment` reads its times.

    Raises
    ------
    Unreadable
        When it lacks what every call needs.
    """
    kind, name = _kind(call)
    rest: dict[str, Any] = {}
    user_id, anonymous_id, message_id, previous_id = (
        call.get("userId"),
        call.get("anonymousId"),
        call.get("messageId"),
        None,
    )
    user, anonymous, original = identifier(user_id), identifier(anonymous_id), identifier(message_id)
    if kind == "alias":
        previous_id = call.get("previousId")
        if (previous := identifier(previous_id)) not in (None, user):
            anonymous = previous  # a browser tells its own anonymousId too
    if user is None and anonymous is None and kind in _OF_A_PERSON:
        raise Unreadable("neither userId nor anonymousId")
    told, sent = call.get("timestamp"), call.get("originalTimestamp")
    occurred = None if told is None and sent is None else moment(told if told is not None else sent)
    if not (read := _READ[kind]).issuperset(call):
        rest = {n: v for n, v in call.items() if n not in read and v is not None}
    context: Any = call.get("context")
    if not isinstance(context, dict):
        if context is not None:
            rest["context"] = context
        context = NOTHING
    properties = _properties(kind, name, call, context, rest)
    session, said = properties.get("session_id"), properties.get("automatic")
    if session is not None or isinstance(said, bool):
        properties = {
            n: v for n, v in properties.items() if n != "session_id" and (n != "automatic" or not isinstance(v, bool))
        }
    if session is None:
        session = context.get("sessionId")
    unfit: list[str] = []
    if (
        (user is None and user_id is not None)
        or (anonymous is None and anonymous_id is not None)
        or (original is None and message_id is not None)
        or session is not None
        or previous_id is not None
    ):
        unfit = misfits(
            {"userId": user_id, "anonymousId": anonymous_id, "messageId": message_id, "previousId": previous_id,
             "session_id": session}
        )  # fmt: skip
    around, automatic = (NOTHING, False) if _TELLING.isdisjoint(context) else _around(context, rest)
    if rest:
        properties = with_rest(properties, rest, unfit)
    # By place, and past the constructor, which is written in Python: in a third of its time.
    return tuple.__new__(
        Call,
        (
            name,
            occurred,
            occurred if sent is None else moment(sent),
            original,
            user,
            anonymous,
            identifier(session),
            said if isinstance(said, bool) else automatic or kind == "alias",
            around,
            properties,
            tuple(unfit) if unfit else (),
            None,
        ),
    )


def mapping(value: object) -> Mapping[str, Any]:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else NOTHING


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


def _around(context: Mapping[str, Any], rest: dict[str, Any]) -> tuple[Mapping[str, str], bool]:
    """What Segment's context says of the flat context columns, and whether its agent is a bot; `rest` gets what is neither."""
    told = context.get("userAgent")
    agent, unfit = _NO_AGENT, dict[str, Any]()
    if isinstance(told, str):
        agent = read_agent(told)
    elif told is not None:
        unfit["userAgent"] = told
    found = {**agent.context}
    for column, (part, name) in _CONTEXT.items():
        held = context.get(part)
        if isinstance(held, dict):
            value = held.get(name)
            if kept := fitted(value, "string"):
                found[column] = kept
            elif value is not None and value != "":
                unfit[part] = {name: value}
        elif held is not None:
            unfit[part] = held
    if unfit:
        rest["context"] = {**mapping(rest.get("context")), **unfit}
    return found, agent.automatic


def _properties(
    kind: str, name: str, call: Mapping[str, Any], context: Mapping[str, Any], rest: dict[str, Any]
) -> Mapping[str, Any]:
    """Of what was seen or done on a page also what its context says of it, of others what makes them what they are.

    `rest` gets what is none of that.
    """
    body = _BODY.get(kind, "properties")
    found = call.get(body)
    told: Mapping[str, Any] = found if isinstance(found, dict) else NOTHING
    if found is not told and found is not None:
        rest[body] = found
    if not _PARTS.issuperset(context):
        rest["context"] = {n: v for n, v in context.items() if n not in _PARTS and v is not None}
    if kind in _PAGES or (kind == "track" and "page" in context and family_of(name) == "interaction"):
        properties, unfit = {**told}, dict[str, Any]()
        page: Any = context.get("page")
        for column in _PAGE_FIELDS if isinstance(page, dict) else ():
            if not isinstance(value := page.get(column), str):
                unfit |= {} if value is None else {column: value}
            elif properties.get(column) is None:
                properties[column] = value
        if unfit or not (page is None or isinstance(page, dict)):
            rest["context"] = {**mapping(rest.get("context")), "page": unfit or page}
        for part, value in mapping(context.get("campaign")).items():
            if part != "name" and isinstance(value, str):
                properties.setdefault(f"utm_{part}", value)
        if kind != "track" and call.get("name") is not None:
            rest["name"] = call["name"]
        return properties
    if kind == "group" and call.get("groupId") is not None:
        group = identifier(call["groupId"])
        rest["groupId" if group is None else "group_id"] = call["groupId"] if group is None else group
    return told
