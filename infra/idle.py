"""When nothing is left to do: all that was published is stored, counted, and has its points.

In: Kafka's ends, committed offsets, the store's positions.
Out: what is still waited for.
Never: "idle" by a pause; each stage's own record of its progress decides.
"""

import time
from collections.abc import Callable

from clickhouse_connect.driver.exceptions import OperationalError
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from infra.addresses import resolve
from infra.ledger import ends, positions, probe
from infra.settings import Settings
from infra.store import connect
from schemas.families import BY_TOPIC
from schemas.topics import TOPICS
from sinks.config import TOPICS_TO_STORE

STREAM_GROUP = "footlights-stream"
POLL_S = 0.25
ANSWER_S = 3.0
STORED = list(TOPICS_TO_STORE)
Offsets = dict[tuple[str, int], int]


def waiting_for(settings: Settings, deadline: float) -> list[str]:
    """Wait until idle or the deadline (monotonic seconds); returns what is missing then, nothing when idle.

    In steps, each against the ends at its begin: the events are counted (the stream's commits), every window that they changed
    has its point (the KPI stage commits `measures` only behind that), and all is stored (the sink's positions). A part that
    does not answer is waited for as well: it may be on its way back.
    """
    addresses = resolve(settings)
    consumer, admin = probe(addresses.kafka), AdminClient({"bootstrap.servers": addresses.kafka, "log_level": 2})

    def stored() -> Offsets:
        with connect(settings, addresses) as client:
            return positions(client)

    def counted(topics: list[str]) -> Callable[[], Offsets]:
        return lambda: committed(admin, topics)

    steps = [(topics, counted(topics), "the stream has not counted") for topics in (list(BY_TOPIC), ["measures"])]
    steps.append((STORED, stored, "the sink has not stored"))
    try:
        for topics, reached, words in steps:
            missing = _reach(lambda topics=topics: ends(consumer, topics, ANSWER_S), reached, words, deadline)  # type: ignore[misc]
            if missing:
                return missing
    finally:
        consumer.close()
    return []


def _reach(goal_of: Callable[[], Offsets], reached: Callable[[], Offsets], words: str, deadline: float) -> list[str]:
    goal: Offsets | None = None
    while True:
        try:
            goal = goal_of() if goal is None else goal
            missing = [f"{words} {place}" for place in _behind(goal, reached())]
        except KafkaException:
            missing = ["Kafka does not answer"]
        except OperationalError:
            missing = ["ClickHouse does not answer"]
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(POLL_S)


def committed(admin: AdminClient, topics: list[str]) -> Offsets:
    """Committed offsets of the stream's group; partitions without a commit are left out."""
    wanted = [TopicPartition(t, p) for t in topics for p in range(TOPICS[t].partitions)]
    request = [ConsumerGroupTopicPartitions(STREAM_GROUP, wanted)]
    try:
        answer = admin.list_consumer_group_offsets(request)[STREAM_GROUP].result(10)
    except KafkaException:
        return {}
    return {(t.topic, t.partition): t.offset for t in answer.topic_partitions if t.offset >= 0}


def _behind(goal: Offsets, reached: Offsets) -> list[str]:
    """Partitions that have not reached their goal, in words; an empty partition needs nothing."""
    return [
        f"{topic}/{partition} ({reached.get((topic, partition), 0)} of {end})"
        for (topic, partition), end in goal.items()
        if end and reached.get((topic, partition), 0) < end
    ]
