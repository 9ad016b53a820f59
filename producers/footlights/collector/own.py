"""The platform's own shape: the arguments of `Client.track` as a JSON object.

In: `{"event_name", "user_id", "properties", …}`.
Out: Call.
Never: a column of the envelope that only the platform may set.
"""

from collections.abc import Mapping
from typing import Any, Final

from footlights.collector.segment import Call, mapping
from footlights.foreign import Unreadable, fitted, identifier, in_range, iso_ms
from footlights.records import CONTEXT

_ENVELOPE: Final = frozenset(
    {"event_name", "event", "event_type", "user_id", "anonymous_id", "session_id", "occurred_at", "occurred_at_ms", "timestamp",
     "message_id", "context", "properties", "automatic", "amount", "sent_at"}
)  # fmt: skip


def call_of(event: Mapping[str, Any]) -> Call:
    """What an event says.

    Raises
    ------
    Unreadable
        Without a name, or with a wrong type where one is fixed.
    """
    name = event.get("event_name") or event.get("event") or event.get("event_type")
    if not isinstance(name, str):
        raise Unreadable("no event_name")
    values = {n: v for n, v in event.items() if n not in _ENVELOPE}
    amount = mapping(event.get("amount"))
    if amount:
        values |= {"amount_minor": amount.get("amount_minor"), "currency": amount.get("currency")}
    context = {n: fitted(v, "string") for n, v in mapping(event.get("context")).items() if n in CONTEXT}
    occurred = _moment(event)
    return Call(
        name=name,
        occurred_ms=occurred,
        original_ms=occurred,
        original_id=identifier(event.get("message_id")),
        user_id=_id(event, "user_id"),
        anonymous_id=_id(event, "anonymous_id"),
        session_id=_id(event, "session_id"),
        automatic=event.get("automatic") is True,
        context={n: v for n, v in context.items() if v},
        properties={**mapping(event.get("properties")), **values},
    )


def _id(event: Mapping[str, Any], name: str) -> str | None:
    told = event.get(name)
    if told is None:
        return None
    found = identifier(told)
    if found is None:
        raise Unreadable(f"{name} is a placeholder, not an id")
    return found


def _moment(event: Mapping[str, Any]) -> int | None:
    told = event.get("occurred_at_ms", event.get("occurred_at", event.get("timestamp")))
    if told is None:
        return None
    if isinstance(told, int) and not isinstance(told, bool):
        return in_range(told)
    return iso_ms(told)
