"""PostHog's captured events.

In: one event as PostHog's batch and capture API take it.
Out: Call.
Never: an address of a person: `$ip` is left out; nor another value that is dropped without a word.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from footlights.collector.agents import read_agent
from footlights.collector.segment import Call, mapping, misfits, with_rest
from footlights.foreign import Unreadable, clock_ms, identifier

_NAMES: Final = {
    "$pageview": "page_view", "$screen": "screen", "$pageleave": "page_left", "$identify": "profile_updated",
    "$set": "profile_updated", "$groupidentify": "group", "$create_alias": "identity_linked", "$exception": "crash",
    "$web_vitals": "web_vitals", "$rageclick": "rage_click", "$dead_click": "dead_click",
}  # fmt: skip
#: What autocapture saw, by its `$event_type`.
_SEEN: Final = {"click": "element_clicked", "submit": "form_submitted", "change": "element_changed"}
#: Events that say something of a person, and nothing without one.
_OF_A_PERSON: Final = frozenset({"$identify", "$create_alias"})
_FIELDS: Final = {
    "$current_url": "url", "$pathname": "path", "$referrer": "referrer", "title": "title", "$screen_name": "name",
    "$group_key": "group_id", "$group_type": "group_type",
}  # fmt: skip
_CONTEXT: Final = {
    "$browser": "browser", "$os": "os", "$device_type": "device", "$app_version": "app_version", "utm_campaign": "campaign",
}  # fmt: skip
#: Of events of performance: how the browser measured it, and the names that the snippet gives it too.
_VITALS: Final = {
    "$web_vitals_LCP_value": "response_time_ms",
    "$web_vitals_INP_value": "inp_ms",
    "$web_vitals_CLS_value": "cls",
}
#: How each vital was measured; a raw session id stands in it.
_DETAILS: Final = re.compile(r"\$web_vitals_.*_event")
#: Properties that are ids.
_IDS: Final = ("distinct_id", "$anon_distinct_id", "$session_id")
_AGENTS: Final = ("$raw_user_agent", "$user_agent")
_TRAITS: Final = ("$set", "$set_once", "$group_set")
#: What the client says of itself or of the person's connection and nobody asks for; further ids, which leave as pseudonyms only.
_DROPPED: Final = frozenset(
    {"$ip", "$geoip_disable", "token", "$user_id", "$device_id", "$lib_rate_limit_remaining_tokens",
     "$configured_session_timeout_ms", "$initialization_time"}
)  # fmt: skip
_DEBUG: Final = "$sdk_debug_"
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
    properties = _asked_for(properties) if isinstance(properties, dict) else {}
    name = _SEEN.get(str(properties.get("$event_type")), told) if told == "$autocapture" else _NAMES.get(told, told)
    given = {"distinct_id": event.get("distinct_id"), "uuid": event.get("uuid")}
    for theirs in _IDS if told != "$create_alias" else (*_IDS, "alias"):
        given[f"properties.{theirs}"] = properties.pop(theirs, None)
    who = identifier(given["distinct_id"]) or identifier(given["properties.distinct_id"])
    if who is None and told in _OF_A_PERSON:
        raise Unreadable("no distinct_id")
    known = properties.get("$is_identified") is not False and properties.get("$process_person_profile") is not False
    user, anonymous = (who, identifier(given["properties.$anon_distinct_id"])) if known else (None, who)
    if alias := identifier(given.get("properties.alias")):
        # The alias is who the sender will be called; a browser that knows its user already gives that one a second name.
        user, anonymous = (who, alias) if properties.get("$is_identified") is True else (alias, who)
    agents = [properties.pop(name) for name in _AGENTS if isinstance(properties.get(name), str)]
    agent = read_agent(next(filter(None, agents), ""))
    context = {
        **agent.context,
        **{c: properties.pop(n) for n, c in _CONTEXT.items() if isinstance(properties.get(n), str)},
    }
    if "device" in context:
        context["device"] = context["device"].lower()
    if name in ("crash", "web_vitals"):
        properties = _performance(properties)
        if "response_time_ms" in properties:  # told when the page is left; what it tells earlier is no time of the page
            name = "page_loaded"
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
        name=name,
        occurred_ms=occurred,
        original_ms=occurred,
        original_id=identifier(given["uuid"]),
        user_id=user,
        anonymous_id=anonymous,
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
            left: Any = traits
            if isinstance(traits, dict):  # where a page was stands in the event itself
                said = {n: v for n, v in traits.items() if v is not None and not (n in _FIELDS and n[0] == "$")}
                left = {n: v for n, v in said.items() if properties.setdefault(n, v) is not v}
                if left and isinstance(known := properties.get(key), dict):
                    left = {**left, **known}
            if left not in (None, {}):
                properties[key] = left


def _asked_for(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties without what the client says of itself."""
    return {n: v for n, v in properties.items() if v is not None and n not in _DROPPED and not n.startswith(_DEBUG)}


def _performance(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a crash or a page's vitals, with what fills their columns."""
    out = {n: v for n, v in properties.items() if not _DETAILS.fullmatch(n)}
    out |= {"component": "browser", "operation": properties.get("$pathname")}
    for theirs, ours in _VITALS.items():
        value = properties.get(theirs)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 86_400_000:
            out[ours] = value if ours == "cls" else round(value)
            del out[theirs]
    thrown = properties.get("$exception_list")
    told = mapping(thrown[0]).get("type") if isinstance(thrown, list) and thrown else properties.get("$exception_type")
    return {n: v for n, v in (out | {"error": told}).items() if v is not None}
