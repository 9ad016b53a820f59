"""What a request says of all its events: when it was sent, and the context that they share.

In: the JSON value of a body, its query or form.
Out: Envelope, which completes the events and their calls.
Never: a time judged before its clock is corrected, or a `sentAt` that is no time and left out without a word.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from footlights.collector.bodies import LISTS
from footlights.collector.segment import NOTHING, Call, mapping
from footlights.foreign import Unreadable, clock_ms

_SENT: Final = ("sentAt", "sent_at")
#: How PostHog's older browser clients tell their clock in the query, by the name `_`.
_CLOCK: Final = re.compile(r"[0-9]{12,14}")


class Envelope(NamedTuple):
    """`sent_ms` is the client's clock when it sent the request, None when it tells none; `ignored` names what is told in vain."""

    received_ms: int
    sent_ms: int | None
    ignored: tuple[str, ...]
    context: Mapping[str, Any]

    @property
    def clock_ms(self) -> int:
        """The client's clock; ours when it does not tell."""
        return self.received_ms if self.sent_ms is None else self.sent_ms

    def around(self, event: dict[str, Any]) -> dict[str, Any]:
        """An event of a batch with what its batch says of all."""
        own = event.get("context")
        return {**event, "context": {**self.context, **mapping(own)}} if own is None or isinstance(own, dict) else event

    def placed(self, call: Call, event: Mapping[str, Any]) -> Call:
        """The call in the request's clock; an event tells its own when the request tells none."""
        if self.ignored:
            call = call._replace(ignored=(*call.ignored, *self.ignored))
        if self.sent_ms is not None or call.occurred_ms is None:
            return call
        sent, ignored = _sent(event)
        if sent is not None:
            call = call._replace(occurred_ms=call.occurred_ms + self.received_ms - sent)
        return call if self.ignored or not ignored else call._replace(ignored=(*call.ignored, *ignored))


def envelope_of(value: Any, beside: Mapping[str, str], received_ms: int) -> Envelope:
    """What a body says, and the query or form beside it."""
    told = mapping(value)
    sent, ignored = _sent(told)
    if sent is None and not ignored and beside:
        sent, ignored = _sent(beside)
        if sent is None and _CLOCK.fullmatch(clock := beside.get("_", "")):
            sent = int(clock)
    shared = mapping(told.get("context")) if not told.keys().isdisjoint(LISTS) else NOTHING
    return Envelope(received_ms, sent, ignored, shared)


def _sent(value: Mapping[str, Any]) -> tuple[int | None, tuple[str, ...]]:
    for name in _SENT:
        if (told := value.get(name)) is not None and told != "":
            try:
                return clock_ms(told), ()
            except Unreadable:
                return None, (name,)
    return None, ()
