"""Decoded rows of a family, random but seeded, with what is hard on figures: late, future, repeated, null, automatic.

In: a family, a seed, a count.
Out: a frame as the decoder makes it.
Never: an invalid row.
"""

import random
from typing import Any

import polars as pl

from schemas.avro_batch import DTYPES
from schemas.families import FAMILIES
from schemas.identity import FUTURE_MS, HORIZON_MS

START_MS = 1_750_000_000_000
CHOICES: dict[str, list[Any]] = {
    "event_name": [
        "page_view", "api_call", "ticket_purchased", "payment_failed", "payment_authorised", "refund_issued",
        "chargeback_received", "operation_timed", "crash", "page_loaded", "ticket_checked_in", "feedback_given",
        "hosted_event_created", "user_registered", "checkout_started", "checkout_completed", "payment_attempted", "search",
    ],
    "tenant_id": ["default", "default", "other"],
    "automatic": [False, False, False, True],
    "currency": ["USD", "EUR", "INR", "XXX", None],
    "component": ["api", "web", None],
    "operation": ["GET /", "POST /pay", None],
    "error": [None, None, "Timeout"],
    "status": [None, 200, 404, 499, 500, 503],
    "rating": [None, 1, 3, 4, 5],
    "quantity": [None, 0, 1, 2, 7],
    "ticket_id": [None, "t1", "t2", "t3"],
}  # fmt: skip


def uuid7(ms: int, rnd: random.Random) -> str:
    """A UUIDv7 of a time."""
    stamp, bits = f"{ms:012x}", f"{rnd.getrandbits(74):019x}"
    return f"{stamp[:8]}-{stamp[8:]}-7{bits[:3]}-8{bits[3:6]}-{bits[6:18]}"


def row(family: str, rnd: random.Random, span_ms: int) -> dict[str, Any]:
    """One valid row."""
    occurred = START_MS + rnd.randrange(span_ms)
    delay = rnd.choice([0] * 8 + [20_000, 60_000, 7_200_000, HORIZON_MS + 1, -5_000, -FUTURE_MS - 1])
    out: dict[str, Any] = {}
    for field in FAMILIES[family].fields:
        if field.name in CHOICES:
            out[field.name] = rnd.choice(CHOICES[field.name])
        elif field.nullable:
            out[field.name] = None
        else:
            out[field.name] = {"string": "x", "long": 1, "double": 1.0, "boolean": False}[field.kind]
    out |= {
        "occurred_at_ms": occurred, "received_at_ms": occurred + delay, "sent_at_ms": occurred + delay,
        "message_id": uuid7(occurred + rnd.choice([0, 0, 0, 400_000, 90_000_000]), rnd), "properties": "{}",
        "user_id": rnd.choice([None, f"u{rnd.randrange(200)}"]), "anonymous_id": rnd.choice([None, f"a{rnd.randrange(50)}"]),
        "session_id": rnd.choice([None, f"s{rnd.randrange(99)}"]),
    }  # fmt: skip
    if family == "commerce":
        out["amount_minor"] = rnd.choice([None, 0, 1, 999, 50_000, 10**12])
    if family == "performance":
        out["response_time_ms"] = rnd.choice([None, 0, 1, 99, int(rnd.lognormvariate(5, 2)), 86_400_000])
    return out


def frame(family: str, count: int, seed: int = 1, span_ms: int = 5_400_000) -> pl.DataFrame:
    """Rows of a family over a span of event time."""
    rnd = random.Random(seed)
    kinds = {f.name: DTYPES[f.kind] for f in FAMILIES[family].fields}
    return pl.DataFrame([row(family, rnd, span_ms) for _ in range(count)], schema=kinds)
