"""The least that a Python producer does for an event: what the SDK and the collector cost is read beside it, in one run.

In: a broker, the schema registry.
Out: microseconds of CPU an event, all threads, of fastavro and Kafka's client on the same events; from JSON too.
Never: a check, a pseudonym, a number, a file: a crash loses what is in the queue, and nobody would know.
"""

import io
import json
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import fastavro
import orjson
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from footlights.wires import producer_config

from benchmarks.collector import event

MANY, BATCH, WARM, ROUNDS = 100_000, 100, 10_000, 5
TOPIC = "events.commerce"


def _record(number: int, told: dict[str, Any], now: int) -> dict[str, Any]:
    """A purchase with everything that every record must have; ids as they came."""
    user, properties = told["userId"], told["properties"]
    return {
        "tenant_id": "default", "message_id": told["messageId"], "original_id": told["messageId"], "event_name": "ticket_purchased",
        "occurred_at_ms": now, "sent_at_ms": now, "received_at_ms": now, "user_id": user, "pseudonym_version": 1, "source": "bare",
        "producer_id": "bare", "sequence": number, "automatic": False, "properties": "{}", **properties,
    }  # fmt: skip


def _at_hand() -> Iterable[dict[str, Any]]:
    return [event(number) for number in range(MANY + WARM)]


def _from_json() -> Iterable[dict[str, Any]]:
    bodies = [
        json.dumps({"batch": [event(start + number) for number in range(BATCH)]}).encode()
        for start in range(0, MANY + WARM, BATCH)
    ]
    return (told for body in bodies for told in orjson.loads(body)["batch"])


def _cpu_us(bootstrap: str, schema: Any, schema_id: int, events: Iterable[dict[str, Any]]) -> float:
    producer, head = Producer(producer_config(bootstrap, MANY + WARM, None)), b"\0" + schema_id.to_bytes(4, "big")
    began = 0.0
    for number, told in enumerate(events):
        if number == WARM:
            producer.flush(60)
            began = time.process_time()
        out = io.BytesIO()
        out.write(head)
        fastavro.schemaless_writer(out, schema, _record(number, told, int(time.time() * 1000)))
        producer.produce(TOPIC, out.getvalue(), told["userId"])
        if number % BATCH == 0:
            producer.poll(0)
    assert producer.flush(60) == 0
    return (time.process_time() - began) / MANY * 1e6


def measure(bootstrap: str, registry: str) -> dict[str, float]:
    """Microseconds of CPU an event: of one that is at hand, and of one that comes as JSON, a hundred together."""
    with SchemaRegistryClient({"url": registry}) as client:
        found = client.get_latest_version(f"{TOPIC}-value")
    schema = fastavro.parse_schema(json.loads(found.schema.schema_str or ""))

    def cost(way: Callable[[], Iterable[dict[str, Any]]]) -> float:
        rounds = [_cpu_us(bootstrap, schema, found.schema_id or 0, way()) for _ in range(ROUNDS)]
        return round(statistics.median(rounds), 1)

    return {"bare_us": cost(_at_hand), "bare_json_us": cost(_from_json)}
