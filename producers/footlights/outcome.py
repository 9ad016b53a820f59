"""What a call answers, and why an event was refused.

In: nothing.
Out: Outcome, Refusal, Money.
Never: an exception in the host, unless it asked for strictness.
"""

import logging
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

#: Where the SDK says what its host should know; the host decides whether and where it is shown.
LOG = logging.getLogger("footlights")
SPOOLED = "spooled"
QUEUED = "queued"
DISABLED = "disabled"
OPTED_OUT = "opted_out"


class Outcome(NamedTuple):
    """Answer of a call: true when the event was taken.

    `status` is "spooled" (on the disk, survives the process), "queued" (waits in memory, without a spool), "disabled", "opted_out"
    (its person refused analytics: nothing was kept) or "refused"; `reason` says why. A tuple, since a frozen dataclass costs a
    microsecond more.
    """

    status: str
    reason: str = ""
    detail: str = ""
    message_id: str | None = None

    def __bool__(self) -> bool:
        """Whether the event was taken."""
        return self.status in (SPOOLED, QUEUED)


class Refusal(ValueError):
    """An event that cannot be taken: a reason for programs and a sentence for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Money:
    """An amount in minor units of an ISO 4217 currency: `Money(5000, "USD")` is fifty dollars, `Money(5000, "JPY")` 5,000 yen."""

    amount_minor: int
    currency: str
    #: Why it is none; whoever is given it refuses with this.
    problem: Refusal | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, amount: str | int | float | Decimal, currency: str) -> "Money":
        """An amount in major units: `Money.of("50.00", "USD")`, `Money.of(5000, "JPY")`, `Money.of("12.500", "KWD")`.

        Never raises: what is no amount of that currency is refused by the call that it is given to, which says why.
        """
        from footlights.currencies import minor_units, normalised  # they know refusals

        try:
            return cls(minor_units(amount, currency), normalised(currency))
        except Refusal as problem:
            return cls(0, "", problem)
