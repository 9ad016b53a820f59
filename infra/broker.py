"""What the broker has, held against what is declared and against what the store and the stream have read of it.

In: Kafka's topics, ranges and committed offsets; the store's positions and the topic ids that it recorded.
Out: sentences, one for each topic that is not what the platform relies on.
Never: a broker that does not answer taken for one that has nothing.
"""

from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from infra.query import json_rows
from schemas.topics import REMEDY, TOPICS, Found, differences

Place = tuple[str, int]
ANSWER_S = 10.0
NOTHING = "Kafka has none of the topics: run `footlights migrate`"
#: Next offset, and the id of the topic that the newest range came from, by partition.
TAKEN = """
SELECT topic, partition, max(last) + 1 AS next, argMax(epoch, (written_at, last)) AS epoch, max(written_at) AS at
FROM footlights.batches
GROUP BY topic, partition
"""


@dataclass(frozen=True)
class Broker:
    """One look at the declared topics of a broker that are there: their form, their ids, and [low, end) of each partition."""

    topics: dict[str, Found]
    ids: dict[str, str]
    ranges: dict[Place, tuple[int, int]]


@dataclass(frozen=True)
class Taken:
    """How far readers are: next offsets, and the id of the topic that the store read them from."""

    positions: dict[Place, int]
    ids: dict[str, str] = field(default_factory=dict)


def partitions(consumer: Consumer, topics: list[str], timeout_s: float = ANSWER_S) -> list[Place]:
    """Every partition of these topics that the broker has, however many are declared; a topic that is not there has none."""
    there = consumer.list_topics(timeout=timeout_s).topics
    return [(t, p) for t in topics if t in there and there[t].error is None for p in sorted(there[t].partitions)]


def ranges(consumer: Consumer, topics: list[str], timeout_s: float = ANSWER_S) -> dict[Place, tuple[int, int]]:
    """First offset that is still there, and end offset, of each partition that the broker has."""
    return {
        place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=timeout_s)
        for place in partitions(consumer, topics, timeout_s)
    }


def look(admin: AdminClient, consumer: Consumer, timeout_s: float = ANSWER_S) -> Broker:
    """Look at the declared topics.

    Raises
    ------
    confluent_kafka.KafkaException
        The broker does not answer.
    """
    return Broker(*forms(admin, timeout_s), ranges(consumer, list(TOPICS), timeout_s))


def forms(admin: AdminClient, timeout_s: float = ANSWER_S) -> tuple[dict[str, Found], dict[str, str]]:
    """Form and id of each declared topic that is there; raises KafkaException as `look`."""
    there = admin.list_topics(timeout=timeout_s).topics
    names = [name for name in TOPICS if name in there]
    if not names:
        return {}, {}
    asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    settings = {r.name: f.result(timeout_s) for r, f in admin.describe_configs(asked).items()}
    described = admin.describe_topics(TopicCollection(names), request_timeout=timeout_s)
    ids = {name: str(future.result(timeout_s).topic_id) for name, future in described.items()}
    cleanup = {name: str(settings[name]["cleanup.policy"].value) for name in names}
    return {n: Found(len(there[n].partitions), cleanup[n]) for n in names}, ids


def taken(client: Any) -> Taken:
    """How far the store is, and of which topics."""
    rows = json_rows(client, TAKEN)[1]
    newest = {r["topic"]: r["epoch"].rpartition("-")[0] for r in sorted(rows, key=lambda r: str(r["at"]))}
    return Taken({(r["topic"], r["partition"]): r["next"] for r in rows}, newest)


def problems(broker: Broker, stored: Taken, counted: dict[Place, int] | None = None) -> list[str]:
    """What stands in the way of every process: each topic that is not as declared, or not the one that was read before.

    Parameters
    ----------
    stored
        How far the store is.
    counted
        Committed offsets of the stream.

    Examples
    --------
    >>> there = {t.name: Found(t.partitions, t.cleanup) for t in TOPICS.values()}
    >>> ids, held = dict.fromkeys(there, "a"), {("sessions", 0): (0, 7)}
    >>> problems(Broker(there, ids, held), Taken({("sessions", 0): 7}, {"sessions": "a"}))
    []
    >>> problems(Broker(there, ids, held), Taken({("sessions", 0): 9}))
    ['the store has read sessions/0 up to 9, but it ends at 7: records of Kafka are gone; docs/topics.md tells the way back']
    >>> problems(Broker(there, ids, held), Taken({("sessions", 0): 5}, {"sessions": "b"}))
    ['topic sessions was deleted and made anew since the store read it; docs/topics.md tells the way back']
    """
    if not broker.topics and not stored.positions:
        return [NOTHING]
    out = differences(broker.topics)
    anew = [t for t, known in stored.ids.items() if known and broker.ids.get(t, known) != known]
    out += [f"topic {t} was deleted and made anew since the store read it; {REMEDY}" for t in anew]
    for who, reached in (("the store", stored.positions), ("the stream", counted or {})):
        out += [
            f"{who} has read {t}/{p} up to {at}, but it ends at {broker.ranges[t, p][1]}: records of Kafka are gone; {REMEDY}"
            for (t, p), at in sorted(reached.items())
            if t not in anew and (t, p) in broker.ranges and at > broker.ranges[t, p][1]
        ]
    return out


def cut(broker: Broker, stored: Taken, topics: list[str]) -> list[str]:
    """What Kafka deleted before the store had read it; nothing brings it back, and nothing has to stop for it.

    Examples
    --------
    >>> cut(Broker({}, {}, {("sessions", 0): (9, 12), ("kpi-points", 0): (3, 4)}), Taken({("sessions", 0): 5}), ["sessions"])
    ['Kafka deleted 4 records of sessions/0 (offsets 5 to 8) before the store had read them']
    """
    return [
        f"Kafka deleted {low - at:,} records of {t}/{p} (offsets {at} to {low - 1}) before the store had read them"
        for (t, p), (low, _) in sorted(broker.ranges.items())
        if t in topics and low > (at := stored.positions.get((t, p), 0))
    ]
