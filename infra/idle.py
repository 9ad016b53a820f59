"""When nothing is left to do: all that was published is stored, counted, and has its points.

In: Kafka's ends, committed offsets, the store's positions.
Out: what is still waited for.
Never: "idle" by a pause; each stage's own record of its progress decides.
"""

import time

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from infra.addresses import resolve
from infra.ledger import ends, positions, probe
from infra.settings import Settings
from infra.store import connect
from schemas.families import BY_TOPIC
from schemas.topics import TOPICS

STREAM_GROUP = "footlights-stream"
POLL_S = 0.25
STORED = [name for name in TOPICS if name != "measures"]
Offsets = dict[tuple[str, int], int]


def waiting_for(settings: Settings, deadline: float) -> list[str]:
    """Wait until idle or the deadline (monotonic seconds); returns what is missing then, nothing when idle.

    In steps, each against the ends at its begin: the events are counted (the stream's commits), every window that they changed
    has its point (the KPI stage commits `measures` only behind that), and all is stored (the sink's positions).
    """
    addresses = resolve(settings)
    consumer, admin = probe(addresses.kafka), AdminClient({"bootstrap.servers": addresses.kafka, "log_level": 2})
    try:
        for topics in (list(BY_TOPIC), ["measures"]):
            goal = ends(consumer, topics)
            while missing := _behind(goal, committed(admin, topics)):
                if time.monotonic() > deadline:
                    return [f"the stream has not counted {m}" for m in missing]
                time.sleep(POLL_S)
        goal = ends(consumer, STORED)
        with connect(settings, addresses) as client:
            while missing := _behind(goal, positions(client)):
                if time.monotonic() > deadline:
                    return [f"the sink has not stored {m}" for m in missing]
                time.sleep(POLL_S)
    finally:
        consumer.close()
    return []


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
