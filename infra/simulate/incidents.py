"""Incidents with known truth: when they begin and end, what they do, and which figure shows it.

In: the span of a run.
Out: Incident.
Never: an incident that depends on a draw.
"""

from dataclasses import dataclass

PAYMENT_OUTAGE, CRASH_WAVE, SLOW_PAGE, BOT_FLOOD = "payment_outage", "crash_wave", "slow_page", "bot_flood"


@dataclass(frozen=True)
class Incident:
    """A scripted incident; `begin` and `end` are shares of the span, `strength` is what its kind makes of it."""

    kind: str
    begin: float
    end: float
    strength: float
    figure: str
    direction: str
    text: str

    def at(self, share: float) -> bool:
        """Whether it is on at a share of the span."""
        return self.begin <= share < self.end


SCRIPTED: tuple[Incident, ...] = (
    Incident(
        PAYMENT_OUTAGE, 0.25, 0.40, 0.75, "payment_failure_ratio", "up",
        "The payment provider refuses three payments of four.",
    ),
    Incident(
        CRASH_WAVE, 0.48, 0.56, 0.15, "error_ratio", "up",
        "A release of the app crashes after one record in seven, and the API answers with 500.",
    ),
    Incident(
        SLOW_PAGE, 0.62, 0.72, 8.0, "page_load_p95_ms", "up",
        "The event page takes eight times as long to load.",
    ),
    Incident(
        BOT_FLOOD, 0.80, 0.90, 0.50, "page_views", "flat",
        "Every second record is a bot's page view; page_views must not move.",
    ),
)  # fmt: skip


def strength(incidents: tuple[Incident, ...], kind: str, share: float) -> float:
    """Strength of a kind of incident at a share of the span; 0 when it is off."""
    return next((i.strength for i in incidents if i.kind == kind and i.begin <= share < i.end), 0.0)
