"""The same replays and runs through the SDK on a real broker and registry.

In: the session's broker and registry. Out: what lies on the topics. Never: the topics of others: the source tells them apart.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from footlights import HmacPseudonymiser

from infra.replay.publishing import Connect, connect_to
from infra.replay.run import ReplayConfig, replay
from infra.simulate.config import SimulateConfig
from infra.simulate.run import simulate
from schemas.origin import origin_of
from schemas.topics import TOPICS
from tests.infra_collect.memory_client import Connector

pytestmark = pytest.mark.kafka
LOG = Path(__file__).parents[1] / "data" / "access.log.gz"
START = 1_790_000_000_000


@pytest.fixture(scope="module")
def topics(kafka: str, registry_url: str) -> list[str]:
    """The event topics and what the SDK needs beside them, made and registered."""
    needed = [t for t in TOPICS.values() if t.name.startswith("events.") or t.name == "producer-reports"]
    admin = AdminClient({"bootstrap.servers": kafka})  # its futures die with it
    made = admin.create_topics([NewTopic(t.name, t.partitions, 1) for t in needed])
    for future in made.values():
        if (error := future.exception(60)) is not None:
            assert error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    for topic in needed:
        body = {"schema": topic.record.text, "schemaType": "AVRO"}
        requests.post(f"{registry_url}/subjects/{topic.subject}/versions", json=body, timeout=30).raise_for_status()
    return [t.name for t in needed if t.name.startswith("events.")]


def connect(kafka: str, registry_url: str, folder: Path, source: str) -> Connect:
    key = HmacPseudonymiser(b"k" * 32)
    return connect_to(kafka, registry_url, source=source, pseudonymiser=key, cache_dir=folder)


def records_of(kafka: str, registry_url: str, topics: list[str], source: str) -> list[tuple[str, int, dict[str, Any]]]:
    """(topic, partition, record) of a source, in log order per partition."""
    reader = Consumer({"bootstrap.servers": kafka, "group.id": f"read-{source}", "enable.auto.commit": False})
    registry = SchemaRegistryClient({"url": registry_url})
    decode = AvroDeserializer(registry)
    ends: dict[tuple[str, int], int] = {}
    for topic in topics:
        for partition in range(TOPICS[topic].partitions):
            _, end = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
            if end:
                ends[topic, partition] = end
    reader.assign([TopicPartition(t, p, 0) for t, p in ends])
    found = []
    while ends:
        for message in reader.consume(1_000, timeout=5):
            assert message.error() is None
            place = (str(message.topic()), int(message.partition() or 0))
            if origin_of(message.headers()).source == source:
                record: Any = decode(message.value(), SerializationContext(place[0], MessageField.VALUE))
                found.append((*place, record))
            if int(message.offset() or 0) + 1 >= ends.get(place, 1 << 62):
                del ends[place]
    reader.close()
    registry.close()
    return found


def test_a_replay_repeated_gives_each_id_twice(
    kafka: str, registry_url: str, topics: list[str], tmp_path: Path
) -> None:
    config = ReplayConfig(LOG, "combined", source="log")
    for _ in range(2):
        result = replay(config, connect(kafka, registry_url, tmp_path, "log"))
        assert (result.failed, result.refused, result.exit_code) == (0, 3, 0)
    found = records_of(kafka, registry_url, topics, "log")
    assert len(found) == 2 * result.published
    places = Counter((topic, partition, r["message_id"]) for topic, partition, r in found)
    assert set(places.values()) == {2}  # the repeat lies in the partition of its first
    memory = Connector()
    assert replay(config, memory).published == result.published
    expected = Counter((c["event_name"], c["message_id"], c["automatic"], c["occurred_at"]) for c in memory.calls)
    assert expected == Counter({
        (r["event_name"], r["message_id"], r["automatic"], r["occurred_at_ms"]): 1 for _, _, r in found
    })  # fmt: skip
    assert all(r["anonymous_id"] and "203.0" not in json.dumps(r) for _, _, r in found)


def test_a_run_is_on_the_topics_as_its_truth_says(
    kafka: str, registry_url: str, topics: list[str], tmp_path: Path
) -> None:
    config = SimulateConfig(
        events=4_000,
        seed=11,
        speed=90,
        start_ms=START,
        incidents=True,
        repeat_share=0.005,
        source="play",
        truth=tmp_path / "t",
    )
    result = simulate(config, connect(kafka, registry_url, tmp_path, "play"))
    assert (result.acked, result.exit_code) == (4_000, 0)
    found = [r for _, _, r in records_of(kafka, registry_url, topics, "play")]
    truth = json.loads((tmp_path / "t").read_text())
    once = {r["message_id"]: r for r in found}
    assert (len(found), len(once)) == (truth["events"], truth["distinct"]) and truth["distinct"] < 4_000
    assert Counter(r["event_name"] for r in once.values()) == truth["by_name"]
    sold = sum(r["quantity"] for r in once.values() if r["event_name"] == "ticket_purchased")
    assert sold == truth["kpis"]["tickets_sold"]
    silent = {"page_loaded", "operation_timed", "crash"}
    active = {
        r["user_id"] or r["anonymous_id"]
        for r in once.values()
        if not r["automatic"]
        and r["event_name"] not in silent
        and not r["event_name"].startswith(("hosted_", "user_", "profile_", "consent_"))
    }
    assert len(active) == truth["kpis"]["active_users"]
