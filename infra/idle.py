"""When nothing is left to do: all that was published is stored, counted, and has its points.

In: Kafka's ends, committed offsets, the store's positions.
Out: what is still waited for.
Never: "idle" by a pause; each stage's own record of its progress decides. Nor a wait for topics that are not as declared.
"""

import time
from collections.abc import Callable

from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from infra import broker
from infra.addresses import resolve
from infra.ledger import positions, probe
from infra.settings import Settings
from infra.store import connect
from schemas.families import BY_TOPIC
from schemas.topics import TOPICS, TopicsDiffer
from sinks.config import TOPICS_TO_STORE

STREAM_GROUP = "footlights-stream"
POLL_S = 0.25
ANSWER_S = 3.0
STORED = list(TOPICS_TO_STORE)
Offsets = dict[tuple[str, int], int]
#: A topic that is not as declared is looked at again so much later before it is believed: a broker may just have started.
AGAIN_S = 1.0


def waiting_for(settings: Settings, deadline: float) -> list[str]:
    """Wait until idle or the deadline (monotonic seconds); returns what is missing then, nothing when idle.

    In steps, each against the ends at its begin: the events are counted (the stream's commits), every window that they changed
    has its point (the KPI stage commits `measures` only behind that), and all is stored (the sink's positions). A part that
    does not answer is waited for as well: it may be on its way back.

    Raises
    ------
    schemas.topics.TopicsDiffer
        A topic is not as declared, or not the one that was read before.
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
        if missing := _fitting(settings, consumer, admin, deadline):
            return missing
        for topics, reached, words in steps:
            missing = _reach(lambda topics=topics: _waiting(consumer, topics), reached, words, deadline)  # type: ignore[misc]
            if missing:
                return missing
        return _fitting(settings, consumer, admin, deadline)  # partitions that came meanwhile were in no goal
    finally:
        consumer.close()


def misfits(settings: Settings, consumer: Consumer, admin: AdminClient, timeout_s: float = ANSWER_S) -> list[str]:
    """What stands in the way of every process: topics not as declared, or not those that store and stream have read.

    Raises
    ------
    confluent_kafka.KafkaException, clickhouse_connect.driver.exceptions.OperationalError
        A service does not answer.
    """
    consumer.list_topics(timeout=timeout_s)  # a broker that is away is told as such, whatever else is
    with connect(settings, resolve(settings)) as client:
        stored = broker.taken(client)  # before the ends: an end that is read later is never behind it
    counted = committed(admin, list(TOPICS))
    return broker.problems(broker.look(admin, consumer, timeout_s), stored, counted)


def _fitting(settings: Settings, consumer: Consumer, admin: AdminClient, deadline: float) -> list[str]:
    """Nothing when the topics are what they should be; what does not answer or is not there yet at the deadline."""
    before: list[str] = []
    while True:
        try:
            found, away = misfits(settings, consumer, admin), ""
        except KafkaException:
            found, away = [], "Kafka does not answer"
        except OperationalError:
            found, away = [], "ClickHouse does not answer"
        except DatabaseError as problem:  # tables that the migration has yet to make
            found, away = [], f"ClickHouse refuses: {problem}".splitlines()[0]
        if found == [broker.NOTHING]:  # so has a broker before its first migration
            found, away = [], broker.NOTHING
        if found and found == before:
            raise TopicsDiffer("; ".join(found))
        if not (found or away):
            return []
        if away and time.monotonic() > deadline:
            return [away]
        before = found
        time.sleep(AGAIN_S if found else POLL_S)


def _waiting(consumer: Consumer, topics: list[str]) -> Offsets:
    """Ends of all partitions that the broker has, but for those that hold nothing: what was deleted comes to nobody any more."""
    return {place: end for place, (low, end) in broker.ranges(consumer, topics, ANSWER_S).items() if end > low}


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
