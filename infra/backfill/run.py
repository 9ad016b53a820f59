"""`footlights backfill`: recompute a KPI from the raw events and have what differs published as revisions.

In: settings, a KPI, a span of time.
Out: requests on `measures`, which the owner of the revisions answers on `kpi-points`; what became of each window.
Never: a point written beside its owner, a value overwritten.
"""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from infra.addresses import Addresses, resolve
from infra.backfill.plan import REASONS, Plan, Span, plan, requests
from infra.idle import waiting_for
from infra.settings import Settings
from infra.store import connect, zone_of
from infra.verify.run import DAY_MS, ClientStore
from schemas.kpis import KPIS, Kpi
from schemas.metric_catalogue import METRICS
from schemas.partials import Restatement
from schemas.topics import TOPICS
from stream_apps.partials_topic import Partials

#: A window that something newer came into in the meantime is asked for again.
TRIES = 3
MEASURES = TOPICS["measures"]


class CannotBackfill(ValueError):
    """The metric does not exist, is none of the stream, or its answer did not come in time."""


@dataclass
class Result:
    """What a backfill did: windows compared, left out since retention may have taken rows of theirs, restated, still different, and
    different but not closed."""

    kpi: str
    request: str
    dry_run: bool
    compared: int = 0
    expired: int = 0
    restated: list[dict[str, Any]] = field(default_factory=list)
    remaining: list[dict[str, Any]] = field(default_factory=list)
    open: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The result as one JSON object."""
        return dict(vars(self))


def backfill(
    settings: Settings,
    name: str,
    *,
    from_ms: int | None,
    to_ms: int | None,
    reason: str | None = None,
    dry_run: bool = False,
    timeout_s: float = 120.0,
) -> Result:
    """Restate the windows of a KPI whose published bits are not those of the raw events, or that are missing.

    A dry run publishes nothing; what it would restate stands in `remaining`. Windows that are not closed are the stream's: they are
    named in `open`, and are a backfill's once they have closed. Repeated, it finds nothing to do.

    Raises
    ------
    CannotBackfill
        For a name that is no KPI of the stream, an unknown reason, or a stack that does not become idle in time.
    """
    kpi = _kpi(name)
    if reason is not None and reason not in REASONS:
        raise CannotBackfill(f"--reason must be one of {', '.join(REASONS)}")
    addresses, deadline = resolve(settings), time.monotonic() + timeout_s
    result = Result(name, str(uuid.uuid4()), dry_run)
    asked: dict[tuple[Any, ...], dict[str, Any]] = {}

    def look() -> Plan:
        with connect(settings, addresses) as client:
            cutoff_ms = int(time.time() * 1000) - settings["ANALYTICS_RETENTION_DAYS"] * DAY_MS
            span = Span(from_ms, to_ms, zone_of(client))
            return plan(ClientStore(client), kpi, span, reason=reason, cutoff_ms=cutoff_ms)

    _await_idle(settings, deadline)
    made = look()
    for _ in range(TRIES):
        if dry_run or all(d.open for d in made.differences):
            break
        asked |= {_place(row): row for row in (d.as_json() for d in made.differences if not d.open)}
        publish(addresses, list(requests(kpi, made, result.request)))
        _await_idle(settings, deadline)
        made = look()
    result.compared, result.expired = made.compared, made.expired
    result.remaining = [d.as_json() for d in made.differences if not d.open]
    result.open = [d.as_json() for d in made.differences if d.open]
    left = {_place(row) for row in result.remaining}
    result.restated = [row for place, row in asked.items() if place not in left]
    return result


def _kpi(name: str) -> Kpi:
    if name not in METRICS:
        raise CannotBackfill(f"there is no metric {name}; `footlights metrics` lists them")
    if name not in KPIS:
        raise CannotBackfill(f"{name} is a cohort metric: its schedule computes it from the raw events anyway")
    return KPIS[name]


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["tenant_id"], row["window"], row["by"], row["window_start"]


def _await_idle(settings: Settings, deadline: float) -> None:
    if missing := waiting_for(settings, deadline):
        raise CannotBackfill(f"the stack is not idle: {missing[0]}; see `footlights status`, then try again")


def publish(addresses: Addresses, restatements: list[Restatement]) -> None:
    """Put requests on the topic `measures`; returns when Kafka has them."""
    registry = SchemaRegistryClient({"url": addresses.schema_registry, "timeout": 10})
    found = registry.lookup_schema(MEASURES.subject, Schema(MEASURES.record.text, "AVRO"))
    partials = Partials(int(found.schema_id or 0))
    producer = Producer({
        "bootstrap.servers": addresses.kafka, "enable.idempotence": True, "acks": "all", "log_level": 2,
    })  # fmt: skip
    failures: list[str] = []

    def delivered(error: object, message: object) -> None:
        if error is not None:
            failures.append(str(error))

    for restatement in restatements:
        out = partials.restatement(restatement)
        producer.produce(out.topic, out.value, out.key, out.partition, on_delivery=delivered)
        producer.poll(0)
    left = producer.flush(60)
    if left or failures:
        raise CannotBackfill(f"Kafka did not take {left + len(failures)} requests; nothing is lost, run it again")
