"""Seeded records of any family: a few people, bursts, late and repeated ones.

In: a seed and shares.
Out: rows as dictionaries, frames, and Confluent-framed payloads.
Never: the clock.
"""

import io
import random
from typing import Any

import fastavro
import polars as pl

from schemas.avro_batch import DTYPES, OFFSET, frame_header
from schemas.families import FAMILIES, Field

START_MS = 1_760_000_000_000
NAMES = {
    "interaction": ("page_view", "page_view", "search", "api_call", "share"),
    "commerce": (
        "checkout_started", "payment_attempted", "payment_authorised", "payment_failed", "ticket_purchased",
        "ticket_purchased", "refund_issued", "chargeback_received",
    ),
    "listing": ("hosted_event_created", "hosted_event_published"),
    "attendance": ("rsvp_given", "ticket_checked_in"),
    "feedback": ("feedback_given",),
    "performance": ("operation_timed", "operation_timed", "page_loaded", "crash"),
    "account": ("user_registered", "user_logged_in"),
}  # fmt: skip


def message_id(ms: int, number: int) -> str:
    """A UUIDv7 of the time and a number."""
    text = f"{ms:012x}7{number & 0xFFF:03x}8{number:015x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"


def _value(field: Field, r: random.Random) -> Any:
    if field.nullable and r.random() < 0.2:
        return None
    if field.kind == "long":
        return r.randrange(1, 5)
    if field.kind == "boolean":
        return r.random() < 0.1
    if field.kind == "double":
        return r.random()
    return f"{field.name}-{r.randrange(3)}"


def _special(name: str, r: random.Random, users: int) -> Any:
    choices = {
        "user_id": lambda: None if r.random() < 0.3 else f"{r.randrange(users):032x}",
        "anonymous_id": lambda: None if r.random() < 0.1 else f"{r.randrange(users):031x}a",
        "session_id": lambda: None if r.random() < 0.1 else f"s{r.randrange(users * 2)}",
        "ticket_id": lambda: None if r.random() < 0.1 else f"t{r.randrange(users * 3)}",
        "tenant_id": lambda: r.choice(("default", "default", "acme")),
        "status": lambda: None if r.random() < 0.2 else r.choice((200, 404, 500, 503)),
        "error": lambda: "Timeout" if r.random() < 0.05 else None,
        "response_time_ms": lambda: None if r.random() < 0.1 else int(r.lognormvariate(4, 1.5)),
        "amount_minor": lambda: None if r.random() < 0.05 else r.randrange(1, 2_000_000),
        "currency": lambda: r.choice(("INR", "USD", "EUR", "XXX", None)),
        "quantity": lambda: None if r.random() < 0.1 else r.randrange(1, 9),
        "rating": lambda: None if r.random() < 0.1 else r.randrange(1, 6),
        "operation": lambda: f"GET /{r.randrange(6)}",
        "component": lambda: r.choice(("api", "web", None)),
        "text": lambda: r.choice(
            (None, "Wonderful night!", "Awful queue, never again.", "Gate B.", "Not bad at all :)")
        ),
        "properties": lambda: "{}",
    }
    return choices[name]() if name in choices else choices


def rows(
    family: str,
    count: int,
    seed: int = 1,
    *,
    per_second: float = 2.0,
    late: float = 0.1,
    repeated: float = 0.05,
    excluded: float = 0.01,
    users: int = 60,
    start_ms: int = START_MS,
) -> list[dict[str, Any]]:
    """Records in log order; shares are of all records."""
    r, out = random.Random(seed), list[dict[str, Any]]()
    for number in range(count):
        if out and r.random() < repeated:
            out.append(dict(r.choice(out[-200:])))
            continue
        received = start_ms + int(number * 1000 / per_second)
        lateness = r.randrange(0, 2_000)
        if r.random() < late:
            lateness = r.choice((31_000, 600_000, 7_200_000, 200_000_000))
        if r.random() < excluded:
            lateness = r.choice((36 * 86_400_000, -2 * 86_400_000))
        row: dict[str, Any] = {}
        for field in FAMILIES[family].fields:
            value = _special(field.name, r, users)
            row[field.name] = _value(field, r) if isinstance(value, dict) else value
        row |= {
            "message_id": message_id(received - lateness, seed << 24 | number),
            "event_name": r.choice(NAMES[family]),
            "occurred_at_ms": received - lateness,
            "sent_at_ms": received,
            "received_at_ms": received,
            "pseudonym_version": 1,
            "source": "test",
            "producer_id": "p1",
            "sequence": number + 1,
        }
        out.append(row)
    return out


def frame(family: str, records: list[dict[str, Any]], first_offset: int = 0) -> pl.DataFrame:
    """The decoded frame of records."""
    kinds = {f.name: DTYPES[f.kind] for f in FAMILIES[family].fields}
    offsets = pl.Series(OFFSET, range(first_offset, first_offset + len(records)), dtype=pl.Int64)
    return pl.DataFrame(records, schema=kinds).with_columns(offsets)


def payload(family: str, record: dict[str, Any], schema_id: int) -> bytes:
    """A record as it lies in Kafka."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(FAMILIES[family].schema), record)
    return frame_header(schema_id) + buffer.getvalue()
