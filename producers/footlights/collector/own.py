"""The platform's own shape: the arguments of `Client.track` as a JSON object.

In: `{"event_name", "user_id", "properties", …}`.
Out: Call.
Never: a column of the envelope that only the platform may set, nor a value that is dropped without a word.
"""

from collections.abc import Mapping
from typing import Any, Final

from footlights.collector.segment import NOTHING, Call, misfits
from footlights.foreign import Unreadable, clock_ms, fitted, identifier
from footlights.records import CONTEXT

#: Read as they stand; of what remains the second names, times and parts are taken out below, and the rest becomes properties.
_READ: Final = frozenset({"event_name", "user_id", "anonymous_id", "session_id", "message_id", "sent_at", "properties"})
_IDS: Final = frozenset({"message_id", "user_id", "anonymous_id", "session_id"})
_TIMES: Final = ("occurred_at_ms", "occurred_at", "timestamp")
_MONEY: Final = ("amount_minor", "currency")


def call_of(event: Mapping[str, Any]) -> Call:
    """What an event says.

    Raises
    ------
    Unreadable
        Without a name, or with a time that is none.
    """
    rest = {n: v for n, v in event.items() if n not in _READ and v is not None}
    name = event.get("event_name") or rest.pop("event", None) or rest.pop("event_type", None)
    if not isinstance(name, str):
        raise Unreadable("no event_name")
    told = None
    for time in _TIMES:
        if time in rest:
            told = rest.pop(time)
            break
    occurred = None if told is None else clock_ms(told)
    user, anonymous = identifier(event.get("user_id")), identifier(event.get("anonymous_id"))
    own_id, session = identifier(event.get("message_id")), identifier(event.get("session_id"))
    unfit: list[str] = []
    if (user, anonymous, own_id, session).count(None) != 4 - len(_IDS & event.keys()):
        unfit = misfits({n: event[n] for n in sorted(_IDS & event.keys())})
    automatic = rest.get("automatic")
    if isinstance(automatic, bool):
        del rest["automatic"]
    context, around = rest.get("context"), NOTHING
    if isinstance(context, dict):
        around = {n: kept for n in CONTEXT if (kept := fitted(context.get(n), "string"))}
        _leave(rest, "context", {n: v for n, v in context.items() if n not in around and v not in (None, "")})
    amount = rest.get("amount")
    if isinstance(amount, dict):
        _leave(rest, "amount", {n: v for n, v in amount.items() if n not in _MONEY})
        rest |= {n: amount[n] for n in _MONEY if amount.get(n) is not None}
    inner: Any = event.get("properties")
    if not isinstance(inner, dict):
        if inner is not None:
            rest["properties"] = inner
        inner = NOTHING
    if rest:
        unfit += [f"properties.{n}" for n in rest.keys() & inner.keys() if inner[n] is not None]
        inner = {**inner, **rest}
    return Call(
        name=name,
        occurred_ms=occurred,
        original_ms=occurred,
        original_id=own_id,
        user_id=user,
        anonymous_id=anonymous,
        session_id=session,
        automatic=automatic is True,
        context=around,
        properties=inner,
        ignored=tuple(unfit),
    )


def _leave(rest: dict[str, Any], name: str, unfit: dict[str, Any]) -> None:
    """Keep of a part what was not read."""
    if unfit:
        rest[name] = unfit
    else:
        del rest[name]
