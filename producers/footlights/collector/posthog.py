"""PostHog's captured events.

In: one event as PostHog's batch and capture API take it.
Out: Call.
Never: an address of a person: `$ip` is left out; nor another value that is dropped without a word.
"""

from collections.abc import Mapping
from typing import Any, Final

from footlights.collector.agents import read_agent
from footlights.collector.segment import Call, misfits, with_rest
from footlights.foreign import Unreadable, clock_ms, identifier

_NAMES: Final = {"$pageview": "page_view", "$identify": "profile_updated", "$create_alias": "identity_linked"}
#: Events that say something of a person, and nothing without one.
_OF_A_PERSON: Final = frozenset({"$identify", "$create_alias"})
_FIELDS: Final = {"$current_url": "url", "$pathname": "path", "$referrer": "referrer", "title": "title"}
_CONTEXT: Final = {"$browser": "browser", "$os": "os", "$device_type": "device", "$app_version": "app_version"}
#: Properties that are ids.
_IDS: Final = ("distinct_id", "$anon_distinct_id", "$session_id")
_AGENTS: Final = ("$raw_user_agent", "$user_agent")
_TRAITS: Final = ("$set", "$set_once")
#: What the client says of itself or of the person's connection, and nobody asks for.
_DROPPED: Final = frozenset({"$ip", "$geoip_disable", "token"})
#: Fields of an event that are read, or that tell of the client; further ones become properties.
_READ: Final = frozenset(
    {"event", "properties", "distinct_id", "timestamp", "offset", "uuid", "sent_at", "api_key", "token", "type", "ip", "library",
     "library_version", *_TRAITS}
)  # fmt: skip
#: Longest time that an event waited on its device, milliseconds; what is longer is no time.
_LONGEST_MS: Final = 10**12


def call_of(event: Mapping[str, Any]) -> Call:
    """What an event says.

    Raises
    ------
    Unreadable
        When it lacks a name, or says something of a person and lacks a distinct_id.
    """
    told = event.get("event")
    if not isinstance(told, str) or not told.strip():
        raise Unreadable("no event")
    rest = {n: v for n, v in event.items() if n not in _READ and v is not None}
    properties = event.get("properties")
    if properties is not None and not isinstance(properties, dict):
        rest["properties"] = properties
    properties = {n: v for n, v in properties.items() if n not in _DROPPED} if isinstance(properties, dict) else {}
    given = {"distinct_id": event.get("distinct_id"), "uuid": event.get("uuid")}
    for theirs in _IDS if told != "$create_alias" else (*_IDS, "alias"):
        given[f"properties.{theirs}"] = properties.pop(theirs, None)
    who = identifier(given["distinct_id"]) or identifier(given["properties.distinct_id"])
    if who is None and told in _OF_A_PERSON:
        raise Unreadable("no distinct_id")
    anonymous = identifier(given["properties.$anon_distinct_id"]) or identifier(given.get("properties.alias"))
    known = properties.get("$is_identified") is not False and properties.get("$process_person_profile") is not False
    agents = [properties.pop(name) for name in _AGENTS if isinstance(properties.get(name), str)]
    agent = read_agent(next(filter(None, agents), ""))
    context = {
        **agent.context,
        **{c: properties.pop(n) for n, c in _CONTEXT.items() if isinstance(properties.get(n), str)},
    }
    if "device" in context:
        context["device"] = context["device"].lower()
    for theirs, ours in _FIELDS.items():
        if isinstance(properties.get(theirs), str) and ours not in properties:
            properties[ours] = properties.pop(theirs)
    _set_traits(properties, event)
    occurred = clock_ms(event["timestamp"]) if event.get("timestamp") is not None else None
    ago = None
    if (offset := event.get("offset")) is not None:
        if occurred is None and type(offset) in (int, float) and 0 <= offset < _LONGEST_MS:
            ago = int(offset)
        else:
            rest["offset"] = offset
    unfit = misfits(given)
    properties = with_rest(properties, rest, unfit)
    return Call(
        name=_NAMES.get(told, told),
        occurred_ms=occurred,
        original_ms=occurred,
        original_id=identifier(given["uuid"]),
        user_id=who if known else None,
        anonymous_id=anonymous if known else who,
        session_id=identifier(given["properties.$session_id"]),
        automatic=agent.automatic or told == "$create_alias",
        context=context,
        properties=properties,
        ignored=tuple(unfit),
        ago_ms=ago,
    )


def _set_traits(properties: dict[str, Any], event: Mapping[str, Any]) -> None:
    """What the event says of its person becomes properties; what is none of that, or has another's name, stays where it was."""
    for key in _TRAITS:
        inside = properties.pop(key, None)
        for traits in (inside, event.get(key)):
            if not isinstance(traits, dict):
                left = traits
            elif left := {n: v for n, v in traits.items() if properties.setdefault(n, v) is not v}:
                left = {**left, **known} if isinstance(known := properties.get(key), dict) else left
            if left not in (None, {}):
                properties[key] = left
