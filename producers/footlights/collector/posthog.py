"""PostHog's captured events.

In: one event as PostHog's batch and capture API take it.
Out: Call.
Never: an address of a person: `$ip` is left out.
"""

from collections.abc import Mapping
from typing import Any, Final

from footlights.collector.agents import read_agent
from footlights.collector.segment import Call, mapping
from footlights.foreign import Unreadable, identifier, iso_ms

_NAMES: Final = {"$pageview": "page_view", "$identify": "profile_updated", "$create_alias": "identity_linked"}
_FIELDS: Final = {"$current_url": "url", "$pathname": "path", "$referrer": "referrer", "title": "title"}
_CONTEXT: Final = {"$browser": "browser", "$os": "os", "$device_type": "device", "$app_version": "app_version"}
#: What the client says of itself or of the person's connection, and nobody asks for.
_DROPPED: Final = frozenset(
    {"$ip", "$geoip_disable", "token", "distinct_id", "$session_id", "$user_agent", "$raw_user_agent"}
)


def call_of(event: Mapping[str, Any]) -> Call:
    """What an event says.

    Raises
    ------
    Unreadable
        When it lacks a name or a distinct_id.
    """
    told = event.get("event")
    if not isinstance(told, str) or not told.strip():
        raise Unreadable("no event")
    name = _NAMES.get(told, told)
    properties = dict(mapping(event.get("properties")))
    who = identifier(event.get("distinct_id") or properties.get("distinct_id"))
    if who is None:
        raise Unreadable("no distinct_id")
    anonymous = identifier(properties.pop("$anon_distinct_id", None)) or (
        identifier(properties.pop("alias", None)) if told == "$create_alias" else None
    )
    known = properties.get("$is_identified") is not False and properties.get("$process_person_profile") is not False
    agent = read_agent(str(properties.get("$raw_user_agent") or properties.get("$user_agent") or ""))
    session = identifier(properties.get("$session_id"))
    context = {
        **agent.context,
        **{c: str(properties.pop(n)) for n, c in _CONTEXT.items() if isinstance(properties.get(n), str)},
    }
    if "device" in context:
        context["device"] = context["device"].lower()
    for theirs, ours in _FIELDS.items():
        if isinstance(properties.get(theirs), str):
            properties[ours] = properties.pop(theirs)
    for key in ("$set", "$set_once"):
        properties.update(mapping(properties.pop(key, None)) or mapping(event.get(key)))
    occurred = iso_ms(event["timestamp"]) if event.get("timestamp") is not None else None
    return Call(
        name=name,
        occurred_ms=occurred,
        original_ms=occurred,
        original_id=identifier(event.get("uuid")),
        user_id=who if known else None,
        anonymous_id=anonymous if known else who,
        session_id=session,
        automatic=agent.automatic or told == "$create_alias",
        context=context,
        properties={n: v for n, v in properties.items() if n not in _DROPPED},
    )
