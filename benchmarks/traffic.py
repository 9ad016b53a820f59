"""Encoded records of a busy ticketing platform, seeded.

In: a family, a seed, a count. Out: (key, framed payload) pairs in time order, 1 % of them late and 0.1 % repeated.
Never: a record that the platform would refuse.
"""

import io
from collections.abc import Iterator
from typing import Any

import fastavro
import numpy as np

from schemas.avro_batch import frame_header
from schemas.families import FAMILIES

START_MS = 1_760_000_000_000
PER_SECOND = 1_000
_NAMES = {
    "interaction": ("page_view", "page_view", "page_view", "page_view", "search", "api_call", "share"),
    "commerce": (
        "checkout_started", "checkout_completed", "payment_attempted", "payment_authorised", "payment_failed",
        "ticket_purchased", "refund_issued",
    ),
    "performance": ("operation_timed", "operation_timed", "operation_timed", "page_loaded", "crash"),
}  # fmt: skip
_OPERATIONS = [("api", f"GET /events/{n}") for n in range(20)] + [("web", f"GET /page/{n}") for n in range(20)]


def records(
    family: str, count: int, *, users: int = 100_000, seed: int = 1, in_turn: bool = False
) -> Iterator[dict[str, Any]]:
    """Records of a family; users are drawn by Zipf's law, or come one after the other."""
    rng = np.random.default_rng(seed)
    names = rng.choice(_NAMES[family], count).tolist()
    drawn = np.arange(count) % users + 1 if in_turn else np.minimum(rng.zipf(1.3, count), users)
    who = drawn.tolist()
    late = np.where(rng.random(count) < 0.01, rng.integers(60_000, 5_400_000, count), 0).tolist()
    bits = rng.integers(0, 1 << 62, (count, 2)).tolist()
    again = (rng.random(count) < 0.001).tolist()
    amounts = rng.integers(500, 50_000, count).tolist()
    times = rng.gamma(2.0, 60.0, count).astype(int).tolist()
    blank = {f.name: None for f in FAMILIES[family].fields}
    last: dict[str, Any] = {}
    for i in range(count):
        if again[i] and last:
            yield last
            continue
        received = START_MS + i * 1000 // PER_SECOND
        user = f"{who[i] * 2_654_435_761 % (1 << 64):032x}"
        record = blank | {
            "tenant_id": "default", "message_id": _uuid7(received - late[i], *bits[i]), "event_name": names[i],
            "occurred_at_ms": received - late[i], "sent_at_ms": received, "received_at_ms": received, "user_id": user,
            "pseudonym_version": 1, "session_id": user[-12:] + str(i // 50_000), "source": "bench", "producer_id": "b" * 32,
            "sequence": i + 1, "automatic": who[i] % 50 == 0, "device": "mobile" if who[i] % 3 else "desktop",
            "browser": "safari", "os": "ios", "city": f"city-{who[i] % 50}", "country": "DE", "properties": "{}",
        }  # fmt: skip
        if family == "commerce":
            record |= {"order_id": f"o{i // 5}", "hosted_event_id": f"e{who[i] % 500}", "amount_minor": amounts[i],
                       "currency": ("USD", "EUR", "INR")[i % 3], "quantity": 1 + i % 3}  # fmt: skip
        elif family == "interaction":
            record |= {
                "path": f"/events/{who[i] % 200}",
                "url": f"https://tickets.example/events/{who[i] % 200}",
                "status": 200,
            }
        else:
            component, operation = _OPERATIONS[amounts[i] % 40]
            record |= {"component": component, "operation": operation, "response_time_ms": times[i],
                       "status": 500 if amounts[i] % 97 == 0 else 200}  # fmt: skip
        last = record
        yield record


def encoded(
    family: str, count: int, schema_id: int, *, users: int = 100_000, seed: int = 1, in_turn: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    """(key, Confluent-framed payload) of each record."""
    schema, header = fastavro.parse_schema(FAMILIES[family].schema), frame_header(schema_id)
    for record in records(family, count, users=users, seed=seed, in_turn=in_turn):
        out = io.BytesIO()
        out.write(header)
        fastavro.schemaless_writer(out, schema, record)
        yield f"default\x1f{record['user_id']}".encode(), out.getvalue()


def _uuid7(ms: int, high: int, low: int) -> str:
    time, a, b = f"{ms:012x}", f"{high & 0xFFF:03x}", f"{low & (1 << 60) - 1:015x}"
    return f"{time[:8]}-{time[8:]}-7{a}-8{b[:3]}-{b[3:]}"
