"""KPIs: formulas over measures, from whose one declaration stream, SQL, gauges, rules, tiles and pages are made.

In: the measures.
Out: KPIS.
Never: a KPI that is declared twice.
"""

from dataclasses import dataclass, field

from schemas.catalogue import APDEX_MS, MEASURES
from schemas.formulas import BadFormula, Formula, compile_formula
from schemas.metric import COUNT, KR, KRI, MILLISECONDS, MONEY, RATING, RATIO, ROLLING, SCORE, USERS, Alert, Metric
from schemas.windows import WINDOWS


@dataclass(frozen=True)
class Kpi(Metric):
    """A figure of the stream; its definition is a formula over measures, and `by` must be dimensions of all of these."""

    compiled: Formula = field(init=False, compare=False)

    def __post_init__(self) -> None:
        compiled = compile_formula(self.definition)
        for operand in compiled.operands:
            if operand.measure not in MEASURES:
                raise BadFormula(f"KPI {self.name}: no measure {operand.measure!r}")
            for dimensions in self.by:
                if tuple(sorted(dimensions)) != MEASURES[operand.measure].by:
                    raise BadFormula(
                        f"KPI {self.name}: measure {operand.measure} does not have the dimensions {dimensions}"
                    )
        if unknown := set(self.windows) - set(WINDOWS):
            raise BadFormula(f"KPI {self.name}: no window {sorted(unknown)[0]!r}")
        object.__setattr__(self, "compiled", compiled)
        families = dict.fromkeys(f for o in compiled.operands for f in MEASURES[o.measure].families)
        object.__setattr__(self, "families", tuple(families))
        object.__setattr__(self, "by", tuple(tuple(sorted(d)) for d in self.by))


_API = (("component", "operation"),)
#: Rolling windows, and the calendar day of the reporting zone.
_DAILY = (*ROLLING, "1d")
_NET = "(revenue_gross - revenue_refunded - revenue_charged_back)"
_ACTIVE = "Distinct people with at least one interaction, commerce, attendance or feedback record"
_DECLARED = (
    # Audience
    Kpi("daily_active_users", "active_users", USERS, f"{_ACTIVE} that day.", windows=("1d",), owner="growth"),
    Kpi(
        "weekly_active_users", "active_users", USERS,
        f"{_ACTIVE} in the seven days that end with the day; no sum of daily figures.", windows=("7d",), owner="growth",
    ),
    Kpi(
        "monthly_active_users", "active_users", USERS, f"{_ACTIVE} in the thirty days that end with the day.",
        kind=KR, windows=("30d",), owner="growth",
    ),
    Kpi("page_views", "page_views", COUNT, "Pages that people saw, bots left out.", windows=_DAILY),
    Kpi(
        "conversion_ratio", "buyers / active_users", RATIO, "Distinct people who bought ÷ distinct active people.",
        windows=_DAILY, owner="growth",
    ),
    # Sales
    Kpi("orders", "orders", COUNT, "Purchases.", windows=_DAILY, owner="sales"),
    Kpi("tickets_sold", "tickets_sold", COUNT, "Tickets in purchases.", windows=_DAILY, owner="sales"),
    Kpi(
        "revenue_gross_minor", "revenue_gross", MONEY, "Purchases in the reporting currency.", windows=_DAILY, owner="finance",
    ),
    Kpi(
        "revenue_net_minor", _NET, MONEY, "Purchases less refunds and chargebacks, in the reporting currency.",
        windows=_DAILY, owner="finance",
    ),
    Kpi(
        "revenue_per_active_user_minor", f"{_NET} / active_users", MONEY, "Net revenue ÷ distinct active people (ARPU).",
        windows=_DAILY, owner="finance",
    ),
    Kpi(
        "revenue_per_payer_minor", f"{_NET} / buyers", MONEY, "Net revenue ÷ distinct people who bought (ARPPU).",
        windows=_DAILY, owner="finance",
    ),
    Kpi(
        "average_order_minor", "revenue_gross / orders", MONEY, "Gross revenue ÷ purchases.", windows=_DAILY, owner="sales",
    ),
    Kpi(
        "payment_failure_ratio", "payments_failed / (payments_authorised + payments_failed)", RATIO,
        "Failed ÷ settled payment attempts.", kind=KRI, good="down", owner="payments",
        alert=Alert("5m", "5m", "page", above=0.10),
    ),
    Kpi(
        "refund_ratio", "share(revenue_refunded, revenue_gross)", RATIO,
        "Refunded ÷ gross amount, by refund date; 1 where more was refunded than was sold.", version=2, kind=KRI,
        windows=_DAILY, good="down", owner="finance", alert=Alert("1h", "1h", "ticket", above=0.05),
    ),
    # Hosts and hosted events
    Kpi(
        "hosted_events_created", "hosted_events_created", COUNT, "Hosted events created.",
        kind=KR, windows=(*_DAILY, "30d"), owner="hosts",
    ),
    # Satisfaction
    Kpi("csat_ratio", "ratings_satisfied / ratings", RATIO, "Share of ratings that are 4 or 5 of 5.", windows=_DAILY),
    Kpi(
        "event_rating_mean", "ratings_sum / ratings", RATING, "Mean rating, 1 to 5; its points carry the number of rows.",
        kind=KR, windows=_DAILY, owner="hosts",
    ),
    Kpi(
        "sentiment_mean", "sentiment_milli / (1000 * texts)", SCORE,
        "Mean sentiment of feedback texts, -1 to 1, by VADER.", windows=_DAILY,
    ),
    Kpi(
        "negative_feedback_ratio", "texts_negative / texts", RATIO, "Share of feedback texts that sound negative.",
        windows=_DAILY, good="down",
    ),
    # Quality of the service
    Kpi(
        "error_ratio", "api_errors / api_requests", RATIO, "Timed operations with status 500 or above, or an error ÷ all.",
        kind=KRI, by=_API, good="down", owner="platform", alert=Alert("5m", "5m", "page", above=0.02),
    ),
    Kpi(
        "api_latency_p50_ms", "quantile(api_latency_ms, 0.5)", MILLISECONDS, "Median duration of timed operations.",
        kind=KRI, by=_API, good="down", owner="platform",
    ),
    Kpi(
        "api_latency_p95_ms", "quantile(api_latency_ms, 0.95)", MILLISECONDS, "95th percentile of timed operations.",
        kind=KRI, by=_API, good="down", owner="platform",
    ),
    Kpi(
        "page_load_p50_ms", "quantile(page_load_ms, 0.5)", MILLISECONDS, "Median duration of page loads.",
        kind=KRI, good="down", owner="web",
    ),
    Kpi(
        "page_load_p75_ms", "quantile(page_load_ms, 0.75)", MILLISECONDS, "75th percentile of page loads.",
        kind=KRI, good="down", owner="web",
    ),
    Kpi(
        "page_load_p95_ms", "quantile(page_load_ms, 0.95)", MILLISECONDS, "95th percentile of page loads.",
        kind=KRI, good="down", owner="web", alert=Alert("5m", "10m", "ticket", above=3_000),
    ),
    Kpi(
        "apdex_ratio", "(page_loads_satisfied + 0.5 * page_loads_tolerated) / page_loads", RATIO,
        f"Apdex of page loads: within {APDEX_MS} ms counts 1, within {4 * APDEX_MS} ms one half; failures count 0.",
        kind=KRI, owner="web",
    ),
)  # fmt: skip

KPIS: dict[str, Kpi] = {k.name: k for k in _DECLARED}


def by_text(dimensions: tuple[str, ...], values: tuple[str | None, ...]) -> str:
    """The `by` of a point: sorted key=value pairs; an absent value is an empty one.

    Examples
    --------
    >>> by_text(("component", "operation"), ("api", "GET /"))
    'component=api,operation=GET /'
    """
    return ",".join(f"{k}={'' if v is None else v}" for k, v in zip(dimensions, values, strict=True))
