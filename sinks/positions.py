"""Who may write a partition, and where its writing goes on.

In: the store, the partitions given to this process.
Out: a lease on each, its next offset, and the batch that a predecessor may have left half-written.
Never: a position that was read while a predecessor's insert was still running.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import structlog

from schemas.families import BY_TOPIC
from schemas.topics import REMEDY
from sinks.errors import Transient, WrongTopics
from sinks.patience import Patience
from sinks.statements import table_of
from sinks.store import Store
from sinks.table import DATABASE, quoted

log = structlog.get_logger(__name__)

Place = tuple[str, int]
QUERY_PREFIX = "footlights-sink:"
#: A predecessor's insert that still runs then, is killed; it can only be one that waits for a stopped process.
WAIT_S = 10.0
_POLL_S = 0.05
_ID = "if(query_id LIKE {p}, query_id, Settings['log_comment'])".format(p=quoted(QUERY_PREFIX + "%"))


@dataclass(frozen=True)
class Position:
    """`start`: next offset, None when nothing of the partition was ever taken. `plan`: range to be rebuilt exactly."""

    start: int | None
    plan: tuple[int, int] | None = None


@dataclass(frozen=True)
class LogRange:
    """Offsets that Kafka holds of a partition: [low, end)."""

    low: int
    end: int


def take_leases(store: Store, places: Iterable[Place], owner: str, patience: Patience) -> None:
    """Become the owner of the partitions, and wait until no insert of an earlier owner runs any more."""
    listed = ", ".join(f"({quoted(t)}, {p})" for t, p in places)
    sql = f"""
INSERT INTO {DATABASE}.leases (topic, partition, lease, owner)
SELECT topic, partition, greatest(toUInt64(toUnixTimestamp64Nano(now64(9))), greatest_lease + 1), {quoted(owner)}
FROM (SELECT tupleElement(place, 1) AS topic, toUInt16(tupleElement(place, 2)) AS partition
      FROM (SELECT arrayJoin([{listed}]) AS place)) AS wanted
LEFT JOIN (
    SELECT toString(topic) AS topic, partition, max(lease) AS greatest_lease FROM {DATABASE}.leases GROUP BY topic, partition
) AS held USING (topic, partition)
"""
    patience("take leases", lambda: store.command(sql))
    running = patience("look for running inserts", lambda: _running(store, owner))
    deadline = time.monotonic() + WAIT_S
    while running:
        if time.monotonic() > deadline:
            log.warning("sink_kills_inserts_of_predecessor", count=len(running))
            ids = ", ".join(quoted(i) for i in running)
            patience("kill inserts", partial(store.command, f"KILL QUERY WHERE query_id IN ({ids}) ASYNC"))
            deadline = time.monotonic() + WAIT_S
        time.sleep(_POLL_S)
        running &= patience("look for running inserts", lambda: _running(store, owner))


def _running(store: Store, owner: str) -> set[str]:
    """Ids of other owners' inserts that run now."""
    sql = f"SELECT {_ID} AS id FROM system.processes WHERE startsWith(id, {quoted(QUERY_PREFIX)})"
    return {row[0] for row in store.rows(sql) if f":{owner}:" not in row[0]}


def read_positions(store: Store, places: list[Place]) -> dict[Place, Position]:
    """What the store holds of each partition, whatever Kafka's committed offsets say."""
    done = {
        (t, p): last
        for t, p, last in store.rows(f"SELECT topic, partition, max(last) FROM {DATABASE}.batches GROUP BY 1, 2")
    }
    begun: dict[Place, tuple[int, int]] = {}
    for topic in sorted({t for t, _ in places if t in BY_TOPIC}):
        found = store.rows(
            f"SELECT _partition, max((_batch_first, _batch_last)) FROM {DATABASE}.{table_of(topic)} "
            f"WHERE _topic = {quoted(topic)} GROUP BY _partition"
        )
        found += store.rows(
            f"SELECT partition, max((_batch_first, _batch_last)) FROM {DATABASE}.duplicates "
            f"WHERE topic = {quoted(topic)} GROUP BY partition"
        )
        for partition, (first, last) in found:
            begun[topic, partition] = max(begun.get((topic, partition), (0, 0)), (first, last))
    return {place: _position(done.get(place), begun.get(place)) for place in places}


def _position(done: int | None, begun: tuple[int, int] | None) -> Position:
    """Rows beyond the last recorded range are of a batch that was interrupted: it is rebuilt, byte for byte.

    Examples
    --------
    >>> _position(99, (100, 149))
    Position(start=100, plan=(100, 149))
    >>> _position(149, (100, 149))
    Position(start=150, plan=None)
    """
    if begun is not None and (done is None or begun[0] > done):
        return Position(begun[0], begun)
    return Position(None if done is None else done + 1)


def start_of(place: Place, position: Position, held: LogRange) -> int:
    """Offset at which to read on.

    Raises
    ------
    WrongTopics
        The store is ahead of the topic: the topic was made anew, or the store belongs to another Kafka.
    """
    reached = position.plan[1] + 1 if position.plan else position.start
    if reached is not None and reached > held.end:
        raise WrongTopics(
            f"The store has {place[0]} partition {place[1]} up to offset {reached}, but the topic ends at {held.end}: it was made "
            f"anew, or the store belongs to another Kafka. Point the sink at the right Kafka, or start with an empty store. "
            f"{REMEDY}."
        )
    start = held.low if position.start is None else position.start
    if start < held.low:
        log.error("sink_found_truncated_log", topic=place[0], partition=place[1], lost=held.low - start)
    return max(start, held.low)


def shards_of(store: Store, topic: str, partition: int) -> list[int]:
    """Shards of which the store holds rows of the partition."""
    sql = f"SELECT DISTINCT _shard FROM {DATABASE}.{table_of(topic)} WHERE _topic = {quoted(topic)} AND _partition = {partition}"
    return [row[0] for row in store.rows(sql)]


def kafka_says(problem: Exception) -> Transient:
    """Kafka's admin answers fail for now, never for good: a topic may still come."""
    return Transient(f"Kafka does not answer ({type(problem).__name__})")
