"""The balance of every source: published against what became of it.

In: the store's ledger view and positions, Kafka's ends.
Out: rows with in_flight and gap.
Never: a gap that is only on its way: it is looked at again before it is believed; balanced books of a broker that lost records.
"""

import time
from typing import Any

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from infra import broker
from infra.query import json_rows
from schemas.families import BY_TOPIC
from sinks.config import TOPICS_TO_STORE

COLUMNS = (
    "source", "published", "stored", "dead_lettered", "dropped", "duplicates", "in_flight", "unconfirmed", "gap", "collisions",
    "refused",
)  # fmt: skip
#: Producers report every 5 s; the sink stores a second later.
REPORTED_S = 7.0
POSITIONS = "SELECT topic, partition, max(last) + 1 AS next FROM footlights.batches GROUP BY topic, partition"


def ends(consumer: Consumer, topics: list[str], timeout_s: float = 10) -> dict[tuple[str, int], int]:
    """End offset of each partition that the broker has, however many are declared."""
    return {place: end for place, (_, end) in broker.ranges(consumer, topics, timeout_s).items()}


def positions(client: Any) -> dict[tuple[str, int], int]:
    """Next offset of each partition that the store has not recorded yet."""
    return {(r["topic"], r["partition"]): r["next"] for r in json_rows(client, POSITIONS)[1]}


def probe(bootstrap: str) -> Consumer:
    """A consumer that reads nothing: it asks for offsets."""
    return Consumer({"bootstrap.servers": bootstrap, "group.id": "footlights-probe", "log_level": 2})


def balance(client: Any, consumer: Consumer) -> list[dict[str, Any]]:
    """Rows of the ledger at this moment."""
    stored = positions(client)
    held = broker.ranges(consumer, list(BY_TOPIC))
    flying = sum(max(0, end - max(low, stored.get(place, 0))) for place, (low, end) in held.items())
    out = []
    for row in json_rows(client, "SELECT * FROM footlights.ledger ORDER BY source")[1]:
        mine = min(max(0, row["missing"]), flying)
        flying -= mine
        row |= {"in_flight": mine, "gap": row["missing"] - mine}
        out.append({name: row[name] for name in COLUMNS})
    return out


def gaps(client: Any, consumer: Consumer) -> dict[str, int]:
    """Gap of each source at this moment, for gauges and alerts; every source is there, 0 when its books balance.

    Counts records that left without a trace (published, not on their way, in no table) and rows that were stored and are there
    no more. A figure other than 0 may be a movement that two reads fell apart in: page when it stays for 60 s. The cost is that of
    the `ledger` view: it reads `batches` and small counts of each batch, not the rows.

    Raises
    ------
    confluent_kafka.KafkaException, clickhouse_connect.driver.exceptions.Error
        When a service does not answer; no gap is known then, which is not a gap of 0.
    """
    return {row["source"]: row["gap"] for row in balance(client, consumer)}


def problems(client: Any, bootstrap: str) -> list[str]:
    """Sentences about topics that are not as declared, not those that were read, or cut before: no books can tell then."""
    consumer, admin = probe(bootstrap), AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    try:
        stored = broker.taken(client)  # first: an end that is read later is never behind it
        seen = broker.look(admin, consumer)
    finally:
        consumer.close()
    return broker.problems(seen, stored) + broker.cut(seen, stored, list(TOPICS_TO_STORE))


def conservation(client: Any) -> list[dict[str, Any]]:
    """What became of the records of each producer process, with the first sequences that are missing; reads every row's number."""
    return json_rows(client, "SELECT * FROM footlights.conservation ORDER BY missing DESC, source, producer_id")[1]


def settled(client: Any, bootstrap: str, patience_s: float) -> list[dict[str, Any]]:
    """Rows of the ledger once no gap or movement is left, or when patience ends.

    What no producer reported is waited for only as long as it may still be reported.
    """
    consumer, deadline = probe(bootstrap), time.monotonic() + patience_s
    before: list[dict[str, Any]] = []
    since = time.monotonic()
    try:
        while True:
            rows, now = balance(client, consumer), time.monotonic()
            if rows != before:
                before, since = rows, now
            moving = any(row["gap"] or row["in_flight"] for row in rows)
            awaited = any(row["unconfirmed"] for row in rows) and now - since < REPORTED_S
            if not (moving or awaited) or now > deadline:
                return rows
            time.sleep(0.5)
    finally:
        consumer.close()
