"""What an independent count of a run must find, counted in plain Python while the records pass.

In: records.
Out: the truth as a JSON object.
Never: the product's own measures or engines: this is what they are checked against. Money alone shares the dated rates.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from footlights.names import family_of

from infra.replay.event import Event
from infra.simulate.config import Script
from infra.simulate.incidents import SCRIPTED, Incident
from schemas.money import reporting_minor

_DAY_MS: Final = 86_400_000
_ACTIVE: Final = frozenset({"interaction", "commerce", "attendance", "feedback"})
_REPEATS_KEPT: Final = 200_000


@dataclass
class Tally:
    """Sums over records; ratios and quantiles are made of them at the end."""

    counts: Counter[str] = field(default_factory=Counter)
    page_loads: Counter[int] = field(default_factory=Counter)
    latencies: Counter[int] = field(default_factory=Counter)

    def add(self, event: Event) -> None:
        """Count a record that is no repeat."""
        add, fields = self.counts, event.fields
        name = event.name
        if name == "page_view":
            add["bot_records" if event.automatic else "page_views"] += 1
        elif name == "operation_timed":
            add["api_requests"] += 1
            self.latencies[fields["response_time_ms"]] += 1
            add["api_errors"] += int(fields["status"] >= 500 or "error" in fields)
        elif name in {"crash", "payment_attempted", "payment_authorised", "payment_failed", "checkout_started"}:
            add[name] += 1
        elif name == "ticket_purchased":
            add["orders"] += 1
            add["tickets_sold"] += fields["quantity"]
            self._money("revenue_gross", event)
        elif name == "refund_issued":
            self._money("revenue_refunded", event)
        elif name == "feedback_given":
            add["ratings"] += 1
            add["ratings_satisfied"] += int(fields["rating"] >= 4)
        elif name == "page_loaded":
            self.page_loads[fields["response_time_ms"]] += 1

    def _money(self, name: str, event: Event) -> None:
        amount = reporting_minor(event.fields["amount_minor"], event.fields["currency"], event.occurred_at_ms)
        if amount is None:
            self.counts[f"{name}_without_rate"] += 1
        else:
            self.counts[name] += amount

    def figures(self) -> dict[str, float | int | None]:
        """The figures by the names of the KPIs; null where nothing happened."""
        of = self.counts
        net = of["revenue_gross"] - of["revenue_refunded"]
        return {
            "page_views": of["page_views"],
            "bot_records": of["bot_records"],
            "orders": of["orders"],
            "tickets_sold": of["tickets_sold"],
            "revenue_gross_minor": of["revenue_gross"],
            "revenue_refunded_minor": of["revenue_refunded"],
            "revenue_net_minor": net,
            "amounts_without_rate": of["revenue_gross_without_rate"] + of["revenue_refunded_without_rate"],
            "refund_ratio": _ratio(min(of["revenue_refunded"], of["revenue_gross"]), of["revenue_gross"]),
            "payments_attempted": of["payment_attempted"],
            "payments_authorised": of["payment_authorised"],
            "payments_failed": of["payment_failed"],
            "payment_failure_ratio": _ratio(of["payment_failed"], of["payment_authorised"] + of["payment_failed"]),
            "ratings": of["ratings"],
            "csat_ratio": _ratio(of["ratings_satisfied"], of["ratings"]),
            "api_requests": of["api_requests"],
            "api_errors": of["api_errors"],
            "error_ratio": _ratio(of["api_errors"], of["api_requests"]),
            "crashes": of["crash"],
            "api_latency_p50_ms": _quantile(self.latencies, 0.5),
            "api_latency_p95_ms": _quantile(self.latencies, 0.95),
            "page_load_p95_ms": _quantile(self.page_loads, 0.95),
        }


class Truth:
    """Counts a run as its records pass, each once, whatever is sent again."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._whole = Tally()
        self._incidents = [(i, Tally()) for i in SCRIPTED] if script.incidents else []
        self._by_name: Counter[str] = Counter()
        self._days: dict[int, set[str]] = {}
        self._active: set[str] = set()
        self._buyers: set[str] = set()
        self._late = self._events = 0
        self._recent: dict[str, None] = {}

    def add(self, event: Event) -> None:
        """Count a record that the SDK has accepted."""
        self._events += 1
        if self._script.repeat_share and self._repeated(event.message_id):
            return
        self._by_name[event.name] += 1
        self._whole.add(event)
        self._late += int(event.received_at_ms > event.occurred_at_ms)
        share = (event.occurred_at_ms - self._script.start_ms) / self._script.span_ms
        for incident, tally in self._incidents:
            if incident.at(share):
                tally.add(event)
        actor = event.user_id or event.anonymous_id
        if actor is not None and not event.automatic and family_of(event.name) in _ACTIVE:
            self._days.setdefault(event.occurred_at_ms // _DAY_MS, set()).add(actor)
            self._active.add(actor)
            if event.name == "ticket_purchased":
                self._buyers.add(actor)

    def _repeated(self, message_id: str) -> bool:
        """Whether the id was seen lately: a repeat follows within half a minute of event time."""
        if message_id in self._recent:
            return True
        self._recent[message_id] = None
        if len(self._recent) > _REPEATS_KEPT:
            del self._recent[next(iter(self._recent))]
        return False

    def as_json(self) -> dict[str, object]:
        """The truth: `events` accepted, `distinct` of them, the latter by name; figures of the whole run; incidents."""
        active = len(self._active)
        figures: dict[str, Any] = self._whole.figures()
        figures |= {
            "active_users": active,
            "daily_active_users": {_day(day): len(people) for day, people in sorted(self._days.items())},
            "conversion_ratio": _ratio(len(self._buyers), active),
            "revenue_per_active_user_minor": _ratio(figures["revenue_net_minor"], active),
        }
        start = self._script.start_ms
        return {
            "events": self._events,
            "distinct": sum(self._by_name.values()),
            "late": self._late,
            "by_name": dict(sorted(self._by_name.items())),
            "kpis": figures,
            "incidents": [self._incident(incident, tally) for incident, tally in self._incidents],
            "start": iso(start),
            "start_ms": start,
            "end_ms": start + self._script.span_ms,
        }

    def _incident(self, incident: Incident, tally: Tally) -> dict[str, object]:
        start, span = self._script.start_ms, self._script.span_ms
        begin, end = start + round(incident.begin * span), start + round(incident.end * span)
        return {
            "name": incident.kind,
            "start": iso(begin),
            "end": iso(end),
            "start_ms": begin,
            "end_ms": end,
            "kpi": incident.figure,
            "direction": incident.direction,
            "text": incident.text,
            "during": tally.figures(),
        }


def _ratio(part: int | float | None, whole: int) -> float | None:
    return None if not whole or part is None else part / whole


def _quantile(values: Counter[int], q: float) -> int | None:
    """The nearest-rank quantile: the least value that a share q of all does not exceed."""
    left = q * values.total()
    for value, count in sorted(values.items()):
        left -= count
        if left <= 0:
            return value
    return None


def _day(number: int) -> str:
    return iso(number * _DAY_MS)[:10]


def iso(ms: int) -> str:
    """A time in UTC as ISO 8601 with milliseconds."""
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
