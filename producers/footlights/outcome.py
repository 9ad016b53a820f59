"""What a call answers, and why an event was refused.

In: nothing.
Out: Outcome, Refusal, Money.
Never: an exception in the host, unless it asked for strictness.
"""

from dataclasses import dataclass

QUEUED = "queued"
DISABLED = "disabled"


@dataclass(frozen=True)
class Outcome:
    """Answer of a call: true when the event was taken.

    `status` is "queued" (waits in memory for Kafka's acknowledgement), "disabled" or "refused"; `reason` says why it was refused.
    """

    status: str
    reason: str = ""
    detail: str = ""
    message_id: str | None = None

    def __bool__(self) -> bool:
        """Whether the event was taken."""
        return self.status == QUEUED


class Refusal(ValueError):
    """An event that cannot be taken: a reason for programs and a sentence for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Money:
    """An amount in minor units of an ISO 4217 currency: `Money(5000, "USD")` is fifty dollars."""

    amount_minor: int
    currency: str
