"""The platform's own business events as typed calls: names, required fields and types of each, said once.

In: keyword arguments, which a type checker knows.
Out: a call of `track`, or a refusal that names the field.
Never: a misspelt field that becomes a property.
"""

import difflib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Required, TypedDict, Unpack

from footlights.outcome import Money, Outcome, Refusal


class Envelope(TypedDict, total=False):
    """What every event may carry."""

    user_id: str | int | None
    anonymous_id: str | int | None
    session_id: str | int | None
    occurred_at: datetime | int | None
    properties: Mapping[str, Any] | None
    context: Mapping[str, str | None] | None
    message_id: str | None
    automatic: bool


class Checkout(Envelope, total=False):
    """A checkout: `order_id` ties its steps together."""

    order_id: Required[str]
    hosted_event_id: str
    amount: Money
    quantity: int


class Payment(Envelope, total=False):
    """A payment of an order; `reason` says why it failed."""

    payment_id: Required[str]
    amount: Required[Money]
    order_id: str
    hosted_event_id: str
    reason: str


class Purchase(Envelope, total=False):
    """Tickets that were bought: `amount` for all `quantity` of them."""

    hosted_event_id: Required[str]
    amount: Required[Money]
    quantity: Required[int]
    order_id: str
    payment_id: str
    ticket_id: str


class Reversal(Envelope, total=False):
    """Money that goes back, as a positive amount."""

    amount: Required[Money]
    order_id: str
    payment_id: str
    ticket_id: str
    hosted_event_id: str
    quantity: int
    reason: str


class HostedEvent(Envelope, total=False):
    """A hosted event; `price` of a ticket, `starts_at_ms` and `ends_at_ms` in epoch milliseconds."""

    hosted_event_id: Required[str]
    host_id: str
    capacity: int
    price_minor: int
    currency: str
    category: str
    city: str
    starts_at_ms: int
    ends_at_ms: int


class Rsvp(Envelope, total=False):
    """An answer to an invitation."""

    hosted_event_id: Required[str]


class Gate(Envelope, total=False):
    """A ticket at a gate."""

    hosted_event_id: Required[str]
    ticket_id: Required[str]
    gate: str


class Feedback(Envelope, total=False):
    """A rating from 1 to 5, an answer from 0 to 10, a comment."""

    hosted_event_id: str
    rating: int
    nps: int
    text: str


class Account(Envelope, total=False):
    """A step of an account; how many fields of its profile there are and how many are filled."""

    required_fields: int
    filled_fields: int


class Consent(Envelope, total=False):
    """Whether the user allows analytics."""

    analytics_allowed: Required[bool]


SHAPES: dict[str, type] = {
    **dict.fromkeys(("checkout_started", "checkout_completed"), Checkout),
    **dict.fromkeys(("payment_attempted", "payment_authorised", "payment_failed"), Payment),
    "ticket_purchased": Purchase,
    **dict.fromkeys(("refund_issued", "chargeback_received"), Reversal),
    **dict.fromkeys(
        (
            "hosted_event_created", "hosted_event_published", "hosted_event_cancelled", "hosted_event_sold_out",
            "hosted_event_started", "hosted_event_ended",
        ),
        HostedEvent,
    ),
    **dict.fromkeys(("rsvp_given", "rsvp_withdrawn"), Rsvp),
    **dict.fromkeys(("ticket_checked_in", "ticket_checked_out"), Gate),
    "feedback_given": Feedback,
    **dict.fromkeys(("user_registered", "user_verified", "profile_updated", "user_logged_in", "user_logged_out"), Account),
    "consent_changed": Consent,
}  # fmt: skip


def problem_with(event_name: str, values: Mapping[str, Any]) -> Refusal | None:
    """What is wrong with the fields of a business event, None when nothing is.

    Examples
    --------
    >>> print(problem_with("rsvp_given", {"hosted_evnt_id": "e1"}))
    INVALID_FIELD: rsvp_given has no field hosted_evnt_id; did you mean hosted_event_id?
    """
    shape: Any = SHAPES[event_name]
    known, required = shape.__annotations__.keys() | Envelope.__annotations__.keys(), shape.__required_keys__
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else "; give it in properties={…}"
            return Refusal("INVALID_FIELD", f"{event_name} has no field {name}{hint}")
    for name in sorted(required):
        if values.get(name) is None:
            return Refusal("INVALID_FIELD", f"{event_name} needs {name}")
    return None


class BusinessEvents:
    """One method for each of the platform's own events. Each answers as `track` does."""

    def _business(self, event_name: str, values: Mapping[str, Any]) -> Outcome:
        raise NotImplementedError

    def checkout_started(self, **values: Unpack[Checkout]) -> Outcome:
        """A buyer begins to pay."""
        return self._business("checkout_started", values)

    def checkout_completed(self, **values: Unpack[Checkout]) -> Outcome:
        """An order is complete."""
        return self._business("checkout_completed", values)

    def payment_attempted(self, **values: Unpack[Payment]) -> Outcome:
        """A payment was sent to its provider."""
        return self._business("payment_attempted", values)

    def payment_authorised(self, **values: Unpack[Payment]) -> Outcome:
        """The provider authorised it."""
        return self._business("payment_authorised", values)

    def payment_failed(self, **values: Unpack[Payment]) -> Outcome:
        """The provider refused it."""
        return self._business("payment_failed", values)

    def ticket_purchased(self, **values: Unpack[Purchase]) -> Outcome:
        """Tickets were bought."""
        return self._business("ticket_purchased", values)

    def refund_issued(self, **values: Unpack[Reversal]) -> Outcome:
        """Money went back to the buyer."""
        return self._business("refund_issued", values)

    def chargeback_received(self, **values: Unpack[Reversal]) -> Outcome:
        """A bank took money back."""
        return self._business("chargeback_received", values)

    def hosted_event_created(self, **values: Unpack[HostedEvent]) -> Outcome:
        """A host made a hosted event."""
        return self._business("hosted_event_created", values)

    def hosted_event_published(self, **values: Unpack[HostedEvent]) -> Outcome:
        """It is on sale."""
        return self._business("hosted_event_published", values)

    def hosted_event_cancelled(self, **values: Unpack[HostedEvent]) -> Outcome:
        """It will not take place."""
        return self._business("hosted_event_cancelled", values)

    def hosted_event_sold_out(self, **values: Unpack[HostedEvent]) -> Outcome:
        """Its last ticket is sold."""
        return self._business("hosted_event_sold_out", values)

    def hosted_event_started(self, **values: Unpack[HostedEvent]) -> Outcome:
        """It began."""
        return self._business("hosted_event_started", values)

    def hosted_event_ended(self, **values: Unpack[HostedEvent]) -> Outcome:
        """It is over."""
        return self._business("hosted_event_ended", values)

    def rsvp_given(self, **values: Unpack[Rsvp]) -> Outcome:
        """A guest says yes."""
        return self._business("rsvp_given", values)

    def rsvp_withdrawn(self, **values: Unpack[Rsvp]) -> Outcome:
        """A guest takes it back."""
        return self._business("rsvp_withdrawn", values)

    def ticket_checked_in(self, **values: Unpack[Gate]) -> Outcome:
        """A ticket was scanned on the way in."""
        return self._business("ticket_checked_in", values)

    def ticket_checked_out(self, **values: Unpack[Gate]) -> Outcome:
        """A ticket was scanned on the way out."""
        return self._business("ticket_checked_out", values)

    def feedback_given(self, **values: Unpack[Feedback]) -> Outcome:
        """A guest rates or comments."""
        return self._business("feedback_given", values)

    def user_registered(self, **values: Unpack[Account]) -> Outcome:
        """An account was made."""
        return self._business("user_registered", values)

    def user_verified(self, **values: Unpack[Account]) -> Outcome:
        """Its address was verified."""
        return self._business("user_verified", values)

    def user_logged_in(self, **values: Unpack[Account]) -> Outcome:
        """A user signed in."""
        return self._business("user_logged_in", values)

    def user_logged_out(self, **values: Unpack[Account]) -> Outcome:
        """A user signed out."""
        return self._business("user_logged_out", values)

    def profile_updated(self, **values: Unpack[Account]) -> Outcome:
        """A profile changed."""
        return self._business("profile_updated", values)

    def consent_changed(self, **values: Unpack[Consent]) -> Outcome:
        """A user allows or forbids analytics."""
        return self._business("consent_changed", values)
