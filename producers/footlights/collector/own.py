"""The platform's own shape: the arguments of `Client.track` as a JSON object.

In: `{"event_name", "user_id", "properties", …}`.
Out: Call.
Never: a column of the envelope that only the platform may set, nor a value that is dropped without a word.
"""

from collections.abc import Mapping
from typing import Any, Final

from footlights.collector.segment import NOTHING, Call, Ids, mapping
from footlights.foreign import Unreadable, clock_ms, fitted
from footlights.records import CONTEXT

_NAMES: Final = ("event_name", "event", "event_type")
_TIMES: Final = ("occurred_at_ms", "occurred_at", "timestamp")
_MONEY: Final = ("amount_minor", "currency")


def call_of(event: Mapping[str, Any]) -> Call:
    """What an event says.

    Raises
    ------
    Unreadable
        Without a name, or with a time that is none.
    """
    rest = {name: value for name, value in event.items() if value is not None}
    name = next((rest.pop(key) for key in _NAMES if rest.get(key)), None)
    if not isinstance(name, str):
        raise Unreadable("no event_name")
    rest.pop("sent_at", None)  # of the request, which is judged before
    told = next((rest.pop(key) for key in _TIMES if key in rest), None)
    occurred = None if told is None else clock_ms(told)
    ids = Ids()
    own_id, user, anonymous, session = (
        ids.of(key, rest.pop(key, None)) for key in ("message_id", "user_id", "anonymous_id", "session_id")
    )
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
    inner = mapping(rest.get("properties"))
    if inner is not NOTHING:
        del rest["properties"]
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
        properties={**inner, **rest} if rest else inner,
        ignored=(*ids.unfit, *(f"properties.{n}" for n in rest.keys() & inner.keys() if inner[n] is not None)),
    )


def _leave(rest: dict[str, Any], name: str, unfit: dict[str, Any]) -> None:
    """Keep of a part what was not read."""
    if unfit:
        rest[name] = unfit
    else:
        del rest[name]
