"""The measures of the product.

In: the families.
Out: MEASURES.
Never: a measure declared anywhere else.
"""

from schemas.aggregates import ACTOR, Count, Quantile, Sum, Uniq
from schemas.measures import Measure
from schemas.sentiment import NEGATIVE_MILLI

INTERACTION, COMMERCE, LISTING = "interaction", "commerce", "listing"
ATTENDANCE, FEEDBACK, PERFORMANCE, ACCOUNT = "attendance", "feedback", "performance", "account"

_PEOPLE = "NOT automatic"
_BOUGHT = "event_name = 'ticket_purchased'"
_ERROR = "(status >= 500 OR error IS NOT NULL)"
_WELL = "coalesce(status, 200) < 500 AND error IS NULL"
_API = "event_name = 'operation_timed'"
_LOAD = "event_name = 'page_loaded'"
#: Threshold T of the Apdex: a load within T satisfies, within 4 T it is tolerated (Apdex Technical Specification 1.1).
APDEX_MS = 500

_DECLARED = (
    Measure("page_views", Count(), INTERACTION, f"event_name = 'page_view' AND {_PEOPLE}", help="Pages that people saw."),
    Measure("api_calls", Count(), INTERACTION, "event_name = 'api_call'", help="Calls of the API, machines included."),
    Measure("searches", Count(), INTERACTION, f"event_name = 'search' AND {_PEOPLE}", help="Searches by people."),
    Measure("bot_records", Count(), INTERACTION, "automatic", help="Interactions of bots and machines."),
    Measure(
        "active_users", Uniq(ACTOR), (INTERACTION, COMMERCE, ATTENDANCE, FEEDBACK), _PEOPLE,
        help="Distinct people with at least one interaction, commerce, attendance or feedback record.",
    ),
    Measure("sessions_seen", Uniq("session_id"), INTERACTION, _PEOPLE, help="Distinct sessions that the clients name."),
    Measure(
        "sessions_viewing", Uniq("session_id"), INTERACTION, f"event_name = 'page_view' AND {_PEOPLE}",
        help="Distinct sessions with at least one page view.",
    ),
    Measure("checkouts_started", Count(), COMMERCE, "event_name = 'checkout_started'", help="Checkouts begun."),
    Measure("checkouts_completed", Count(), COMMERCE, "event_name = 'checkout_completed'", help="Checkouts finished."),
    Measure("payments_attempted", Count(), COMMERCE, "event_name = 'payment_attempted'", help="Payment attempts."),
    Measure("payments_authorised", Count(), COMMERCE, "event_name = 'payment_authorised'", help="Attempts that went through."),
    Measure("payments_failed", Count(), COMMERCE, "event_name = 'payment_failed'", help="Attempts that failed."),
    Measure("orders", Count(), COMMERCE, _BOUGHT, help="Purchases."),
    Measure("tickets_sold", Sum("quantity"), COMMERCE, _BOUGHT, help="Tickets in purchases."),
    Measure("buyers", Uniq(ACTOR), COMMERCE, f"{_BOUGHT} AND {_PEOPLE}", help="Distinct people with a purchase."),
    Measure("revenue_gross", Sum("reporting_minor"), COMMERCE, _BOUGHT, help="Purchases in the reporting currency, minor units."),
    Measure(
        "revenue_refunded", Sum("reporting_minor"), COMMERCE, "event_name = 'refund_issued'",
        help="Refunds in the reporting currency, minor units.",
    ),
    Measure(
        "revenue_charged_back", Sum("reporting_minor"), COMMERCE, "event_name = 'chargeback_received'",
        help="Chargebacks in the reporting currency, minor units.",
    ),
    Measure(
        "amounts_without_rate", Count(), COMMERCE, "amount_minor IS NOT NULL AND reporting_minor IS NULL",
        help="Rows whose amount has no rate to the reporting currency; they are left out of revenue.",
    ),
    Measure("hosted_events_created", Count(), LISTING, "event_name = 'hosted_event_created'", help="Hosted events created."),
    Measure("tickets_checked_in", Uniq("ticket_id"), ATTENDANCE, "event_name = 'ticket_checked_in'", help="Tickets let in."),
    Measure("ratings", Count(), FEEDBACK, "rating IS NOT NULL", help="Ratings given."),
    Measure("ratings_satisfied", Count(), FEEDBACK, "rating >= 4", help="Ratings of 4 or 5."),
    Measure("ratings_sum", Sum("rating"), FEEDBACK, "rating IS NOT NULL", help="Sum of the ratings."),
    Measure("texts", Count(), FEEDBACK, "sentiment_milli IS NOT NULL", help="Texts given as feedback."),
    Measure(
        "texts_negative", Count(), FEEDBACK, f"sentiment_milli <= {NEGATIVE_MILLI}", help="Texts that sound negative.",
    ),
    Measure(
        "sentiment_milli", Sum("sentiment_milli"), FEEDBACK, "sentiment_milli IS NOT NULL",
        help="Sum of the texts' sentiment, -1000 to 1000 each.",
    ),
    Measure("api_requests", Count(), PERFORMANCE, _API, ("component", "operation"), "Timed operations."),
    Measure("api_errors", Count(), PERFORMANCE, f"{_API} AND {_ERROR}", ("component", "operation"), "Those that failed."),
    Measure(
        "api_latency_ms", Quantile("response_time_ms"), PERFORMANCE, _API, ("component", "operation"),
        "Duration of timed operations.",
    ),
    Measure("crashes", Count(), PERFORMANCE, "event_name = 'crash'", help="Crashes."),
    Measure("page_load_ms", Quantile("response_time_ms"), PERFORMANCE, _LOAD, help="Duration of page loads."),
    Measure("page_loads", Count(), PERFORMANCE, _LOAD, help="Pages that were loaded, or were not."),
    Measure(
        "page_loads_satisfied", Count(), PERFORMANCE, f"{_LOAD} AND {_WELL} AND response_time_ms <= {APDEX_MS}",
        help="Page loads within the Apdex threshold.",
    ),
    Measure(
        "page_loads_tolerated", Count(), PERFORMANCE,
        f"{_LOAD} AND {_WELL} AND response_time_ms > {APDEX_MS} AND response_time_ms <= {4 * APDEX_MS}",
        help="Page loads within four times the Apdex threshold, but not within it.",
    ),
    Measure("registrations", Count(), ACCOUNT, "event_name = 'user_registered'", help="Users registered."),
)  # fmt: skip

MEASURES: dict[str, Measure] = {m.name: m for m in _DECLARED}
