"""A golden log: half an hour of a small platform, and what every KPI of the stream must say about it, worked out by hand.

In: nothing.
Out: RECORDS by family; EXPECTED values of the whole, in the first window of each KPI that holds the log.
Never: a value that was computed by the code under test.
"""

from typing import Any

import polars as pl

from schemas.avro_batch import DTYPES
from schemas.families import FAMILIES

#: 2026-03-02 09:30:00 UTC; everything happens within the half hour that follows.
START_MS = 1_772_443_800_000
Row = dict[str, Any]


def _row(family: str, name: str, at_s: int, number: int, user: str | None, fields: Row) -> Row:
    zero = {"string": "", "long": 0, "double": 0.0, "boolean": False}
    out: Row = {f.name: None if f.nullable else zero[f.kind] for f in FAMILIES[family].fields}
    at = START_MS + 1_000 * at_s
    stamp = f"{at:012x}"
    return out | {
        "tenant_id": "default", "message_id": f"{stamp[:8]}-{stamp[8:]}-7000-8000-{number:012x}", "event_name": name,
        "occurred_at_ms": at, "sent_at_ms": at, "received_at_ms": at, "user_id": user, "source": "shop", "producer_id": "p",
        "sequence": number, "properties": "{}", **fields,
    }  # fmt: skip


_API = {"component": "api", "operation": "GET /"}
#: (seconds after the start, family, name, user, fields)
_LOG: list[tuple[int, str, str, str | None, Row]] = [
    # Six page views: four by people (ana twice, ben, a visitor), one by a bot; one search.
    (0, "interaction", "page_view", "ana", {}),
    (60, "interaction", "page_view", "ana", {}),
    (70, "interaction", "page_view", "ben", {}),
    (80, "interaction", "page_view", None, {"anonymous_id": "visitor"}),
    (90, "interaction", "page_view", "crawler", {"automatic": True}),
    (95, "interaction", "search", "ben", {}),
    # Two orders of 100.00 and 50.00 with two tickets and one; two payments authorised, two failed.
    (120, "commerce", "checkout_started", "ana", {"order_id": "o1"}),
    (130, "commerce", "payment_failed", "ana", {"order_id": "o1"}),
    (140, "commerce", "payment_authorised", "ana", {"order_id": "o1"}),
    (150, "commerce", "ticket_purchased", "ana", {"order_id": "o1", "quantity": 2, "amount_minor": 10_000, "currency": "USD"}),
    (160, "commerce", "checkout_completed", "ana", {"order_id": "o1"}),
    (200, "commerce", "payment_authorised", "cleo", {"order_id": "o2"}),
    (210, "commerce", "ticket_purchased", "cleo", {"order_id": "o2", "quantity": 1, "amount_minor": 5_000, "currency": "USD"}),
    (220, "commerce", "payment_failed", "dan", {"order_id": "o3"}),
    # 15.00 go back, 5.00 are charged back.
    (300, "commerce", "refund_issued", "cleo", {"order_id": "o2", "amount_minor": 1_500, "currency": "USD"}),
    (310, "commerce", "chargeback_received", "ana", {"order_id": "o1", "amount_minor": 500, "currency": "USD"}),
    # Two hosted events; one ticket checked in.
    (400, "listing", "hosted_event_created", "host", {"hosted_event_id": "e1", "host_id": "h"}),
    (410, "listing", "hosted_event_created", "host", {"hosted_event_id": "e2", "host_id": "h"}),
    (500, "attendance", "ticket_checked_in", "eve", {"hosted_event_id": "e1", "ticket_id": "t1"}),
    # Ratings 5, 4 and 2; VADER scores the texts 611, 0 and -459 thousandths.
    (600, "feedback", "feedback_given", "fay", {"rating": 5, "text": "Wonderful night!"}),
    (610, "feedback", "feedback_given", "fay", {"rating": 4, "text": "Gate B."}),
    (620, "feedback", "feedback_given", "fay", {"rating": 2, "text": "Awful queue, never again."}),
    # Four operations of 100, 200, 300 and 400 ms, one with status 500, one with an error.
    (700, "performance", "operation_timed", None, {**_API, "response_time_ms": 100, "status": 200}),
    (701, "performance", "operation_timed", None, {**_API, "response_time_ms": 200, "status": 200}),
    (702, "performance", "operation_timed", None, {**_API, "response_time_ms": 300, "status": 500}),
    (703, "performance", "operation_timed", None, {**_API, "response_time_ms": 400, "error": "Timeout"}),
    # Page loads: 400 ms satisfies (T = 500 ms), 900 ms is tolerated, 2,500 ms and a failed one frustrate.
    (800, "performance", "page_loaded", "ana", {"response_time_ms": 400, "status": 200}),
    (810, "performance", "page_loaded", "ana", {"response_time_ms": 900, "status": 200}),
    (820, "performance", "page_loaded", "ben", {"response_time_ms": 2_500, "status": 200}),
    (830, "performance", "page_loaded", "ben", {"response_time_ms": 300, "status": 503}),
]  # fmt: skip


def records() -> dict[str, pl.DataFrame]:
    """Frames by family. Each purchase comes twice; another one is older than the horizon: neither may count."""
    rows: dict[str, list[Row]] = {}
    for number, (at_s, family, name, user, fields) in enumerate(_LOG):
        rows.setdefault(family, []).append(_row(family, name, at_s, number, user, fields))
    bought = [r for r in rows["commerce"] if r["event_name"] == "ticket_purchased"]
    stale = bought[0] | {"message_id": bought[0]["message_id"][:-12] + "f" * 12}
    stale["received_at_ms"] += 40 * 86_400_000
    rows["commerce"] += [*bought, stale]
    return {
        family: pl.DataFrame(held, schema={f.name: DTYPES[f.kind] for f in FAMILIES[family].fields})
        for family, held in rows.items()
    }


#: ana, ben, the visitor, cleo, dan, eve and fay; the host only listed, and the bot is nobody.
ACTIVE = 7
NET = 15_000 - 1_500 - 500
EXPECTED: dict[str, float] = {
    "daily_active_users": ACTIVE,
    "weekly_active_users": ACTIVE,
    "monthly_active_users": ACTIVE,
    "page_views": 4,
    "conversion_ratio": 2 / ACTIVE,  # ana and cleo bought
    "orders": 2,
    "tickets_sold": 3,
    "revenue_gross_minor": 15_000,
    "revenue_net_minor": NET,
    "revenue_per_active_user_minor": NET / ACTIVE,
    "revenue_per_payer_minor": NET / 2,
    "average_order_minor": 7_500,
    "payment_failure_ratio": 0.5,
    "refund_ratio": 0.1,
    "hosted_events_created": 2,
    "csat_ratio": 2 / 3,
    "event_rating_mean": 11 / 3,
    "sentiment_mean": (611 + 0 - 459) / 3_000,
    "negative_feedback_ratio": 1 / 3,
    "error_ratio": 0.5,
    "apdex_ratio": (1 + 0.5) / 4,
    # Quantiles: the value of rank floor(q (n - 1)) from 0, as in DDSketch, of 100, 200, 300, 400 and of 300, 400, 900, 2,500;
    # bins are at most 1.9 % off.
    "api_latency_p50_ms": 200,
    "api_latency_p95_ms": 300,
    "page_load_p50_ms": 400,
    "page_load_p75_ms": 900,
    "page_load_p95_ms": 900,
}
