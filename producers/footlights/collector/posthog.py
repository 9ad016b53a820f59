"""PostHog's captured events.

In: one event as PostHog's batch and capture API take it.
Out: Call.
Never: an address of a person: `$ip` is left out.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from footlights.collector.agents import read_agent
from footlights.collector.segment import Call, mapping
from footlights.foreign import Unreadable, identifier, iso_ms

_NAMES: Final = {
    "$pageview": "page_view", "$screen": "screen", "$pageleave": "page_left", "$identify": "profile_updated",
    "$set": "profile_updated", "$groupidentify": "group", "$create_alias": "identity_linked", "$exception": "crash",
    "$web_vitals": "web_vitals", "$rageclick": "rage_click", "$dead_click": "dead_click",
}  # fmt: skip
#: What autocapture saw, by its `$event_type`.
_SEEN: Final = {"click": "element_clicked", "submit": "form_submitted", "change": "element_changed"}
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
#: What the client says of itself or of the person's connection and nobody asks for; ids, which leave as pseudonyms only.
_DROPPED: Final = frozenset(
    {"$ip", "$geoip_disable", "token", "distinct_id", "$session_id", "$user_agent", "$raw_user_agent", "$user_id", "$device_id",
     "$anon_distinct_id", "$lib_rate_limit_remaining_tokens", "$configured_session_timeout_ms", "$initialization_time"}
)  # fmt: skip
_DEBUG: Final = "$sdk_debug_"
_BODIES: Final = {"$set": True, "$set_once": False, "$group_set": True}
#: An older event than this was hardly held back by its client.
_LONGEST_MS: Final = 30 * 86_400_000


def ago_ms(event: Mapping[str, Any]) -> int | None:
    """How long before it was sent an event happened, as older clients say it in place of a time; milliseconds."""
    told = event.get("offset")
    if isinstance(told, int | float) and not isinstance(told, bool) and 0 <= told < _LONGEST_MS:
        return int(told)
    return None


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
    properties = {n: v for n, v in mapping(event.get("properties")).items() if v is not None}
    name = _SEEN.get(str(properties.get("$event_type")), told) if told == "$autocapture" else _NAMES.get(told, told)
    who = identifier(event.get("distinct_id") or properties.get("distinct_id"))
    if who is None:
        raise Unreadable("no distinct_id")
    known = properties.get("$is_identified") is not False and properties.get("$process_person_profile") is not False
    user, anonymous = (who, identifier(properties.get("$anon_distinct_id"))) if known else (None, who)
    if told == "$create_alias" and (alias := identifier(properties.pop("alias", None))):
        # The alias is who the sender will be called; a browser that knows its user already gives that one a second name.
        user, anonymous = (who, alias) if properties.get("$is_identified") is True else (alias, who)
    agent = read_agent(str(properties.get("$raw_user_agent") or properties.get("$user_agent") or ""))
    session = identifier(properties.get("$session_id"))
    context = {
        **agent.context,
        **{c: str(properties.pop(n)) for n, c in _CONTEXT.items() if isinstance(properties.get(n), str)},
    }
    if "device" in context:
        context["device"] = context["device"].lower()
    if name in ("crash", "web_vitals"):
        properties = _performance(properties)
        if "response_time_ms" in properties:  # told when the page is left; what it tells earlier is no time of the page
            name = "page_loaded"
    for theirs, ours in _FIELDS.items():
        if isinstance(properties.get(theirs), str):
            properties[ours] = properties.pop(theirs)
    for part, wins in _BODIES.items():
        for traits in (mapping(event.get(part)), mapping(properties.pop(part, None))):
            fresh = {n: v for n, v in traits.items() if v is not None and not (n in _FIELDS and n[0] == "$")}
            properties = {**properties, **fresh} if wins else {**fresh, **properties}
    occurred = iso_ms(event["timestamp"]) if event.get("timestamp") is not None else None
    return Call(
        name=name,
        occurred_ms=occurred,
        original_ms=occurred,
        original_id=identifier(event.get("uuid")),
        user_id=user,
        anonymous_id=anonymous,
        session_id=session,
        automatic=agent.automatic or told == "$create_alias",
        context=context,
        properties={n: v for n, v in properties.items() if n not in _DROPPED and not n.startswith(_DEBUG)},
    )


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
    out["error"] = (
        mapping(thrown[0]).get("type") if isinstance(thrown, list) and thrown else properties.get("$exception_type")
    )
    return {n: v for n, v in out.items() if v is not None}
