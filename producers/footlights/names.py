"""The names of the platform's own events and the family that each belongs to.

In: an event name.
Out: its family.
Never: a refusal of a custom name; those are interactions.
"""

FAMILIES = ("interaction", "commerce", "listing", "attendance", "feedback", "performance", "account")

_NAMES = {
    "commerce": (
        "checkout_started", "checkout_completed", "payment_attempted", "payment_authorised", "payment_failed",
        "ticket_purchased", "refund_issued", "chargeback_received",
    ),
    "listing": (
        "hosted_event_created", "hosted_event_published", "hosted_event_cancelled", "hosted_event_sold_out",
        "hosted_event_started", "hosted_event_ended",
    ),
    "attendance": ("rsvp_given", "rsvp_withdrawn", "ticket_checked_in", "ticket_checked_out"),
    "feedback": ("feedback_given",),
    "performance": ("operation_timed", "page_loaded", "crash"),
    "account": (
        "user_registered", "user_verified", "profile_updated", "user_logged_in", "user_logged_out", "consent_changed",
    ),
}  # fmt: skip

#: Families whose records have a currency.
FAMILIES_WITH_MONEY = frozenset({"commerce", "listing"})
FAMILY_OF: dict[str, str] = {name: family for family, names in _NAMES.items() for name in names}


def family_of(event_name: str) -> str:
    """Family of an event name.

    Examples
    --------
    >>> family_of("ticket_purchased"), family_of("waved_at_the_band")
    ('commerce', 'interaction')
    """
    return FAMILY_OF.get(event_name, "interaction")


def topic_of(family: str) -> str:
    """Kafka topic of a family."""
    return f"events.{family}"


#: Header of a record that says whose it is: source, producer and sequence with KEY_SEPARATOR between them.
ORIGIN_HEADER = "origin"
REPORTS_TOPIC, CONSENTS_TOPIC, DEAD_LETTERS_TOPIC = "producer-reports", "consents", "dead-letters"
