"""Topics that an operator changed: told at once, by whoever is asked, and mended by one command.

In: a real stack for each test.
Out: what the commands say and end with; figures in plain numbers.
Never: a topic's state set in the product's memory.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewPartitions, NewTopic
from footlights.client import Client

from schemas.topics import EXIT_TOPICS, TOPICS
from tests.infra.test_real_stack import until
from tests.torture.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
TOPIC = "events.interaction"


@pytest.fixture
def stack(kafka_jars: list[Path], tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(tmp_path / "stack", {"FOOTLIGHTS_COLLECTOR": "true", "FOOTLIGHTS_WORKERS": "1"})
    platform.up()
    yield platform
    platform.down()
    assert not platform.survivors()


def admin(stack: Platform) -> AdminClient:
    return AdminClient({"bootstrap.servers": stack.json("status", check=False)["addresses"]["kafka"], "log_level": 2})


def send(stack: Platform, people: Iterable[int]) -> None:
    """A page view of each of these people, with an id of its own: who sends them twice repeats them."""
    at = stack.json("status", check=False)["addresses"]
    client = Client(
        bootstrap_servers=at["kafka"], schema_registry=at["schema_registry"], source="shop", pseudonym_key=b"k" * 32, strict=True,
        spool_dir=stack.folder.parent / f"spool-{time.time_ns()}", cache_dir=stack.folder.parent / "cache",
    )  # fmt: skip
    for number in people:
        client.page("/a", user_id=f"pp{number}", message_id=f"01940000-0000-7000-8000-{number:012x}")
    client.close(30)


def counted(stack: Platform) -> int:
    """Page views of this day, by the stream."""
    [row] = stack.json("metrics", "page_views", "--window", "1d")
    return int(row["value"])


def stored(stack: Platform) -> int:
    return int(stack.rows("SELECT count() AS n FROM events_interaction WHERE event_name = 'page_view'")[0]["n"])


def test_partitions_added_are_refused_at_once_and_mended(stack: Platform) -> None:
    send(stack, range(100))
    stack.run("wait", "--idle")
    broker = admin(stack)
    broker.create_partitions([NewPartitions(TOPIC, 6)])[TOPIC].result(30)
    send(stack, range(100, 300))
    began = time.monotonic()
    told = stack.run("wait", "--idle", "--timeout", "100", check=False)
    assert told.returncode == 1 and time.monotonic() - began < 30
    assert "topic events.interaction has 6 partitions, not 4" in told.stderr and "docs/topics.md" in told.stderr
    books = stack.run("ledger", "--patience", "1", check=False)
    assert books.returncode == 1 and "6 partitions, not 4" in books.stdout and "no gap" not in books.stdout
    assert "6 partitions" in stack.json("ledger", "--patience", "1", check=False)["problems"][0]

    names = ("worker-1", "sink-1", "collector")
    until(lambda: all(stack.processes()[name]["state"] == "stopped" for name in names), 40)
    restarts = {name: stack.processes()[name]["restarts"] for name in names}
    send(stack, range(100))  # repeats, most of which go to another partition than their first
    time.sleep(6)  # longer than any back-off
    assert {name: stack.processes()[name]["restarts"] for name in names} == restarts
    status = stack.json("status", check=False)
    assert not status["ready"] and status["problems"]
    assert all(line.startswith("topic events.interaction has 6 partitions") for line in status["problems"])
    doctor = {row["part"]: row for row in stack.json("doctor", check=False)}
    assert not doctor["topics"]["ok"] and "6 partitions" in doctor["topics"]["found"]
    for role in ("worker", "sink", "collector"):
        refused = stack.run(role, check=False, timeout=60)
        assert refused.returncode == EXIT_TOPICS and "6 partitions, not 4" in refused.stderr.splitlines()[-1]
    stack.down()
    refused = stack.run("up", "--detach", check=False)
    assert refused.returncode == 1 and "6 partitions, not 4" in refused.stderr

    stack.run("topics", "repair", "--yes")
    until(lambda: bool(stack.json("status", check=False)["ready"]), 60)
    stack.run("wait", "--idle")
    assert (counted(stack), stored(stack)) == (300, 300)
    assert stack.json("ledger")["gap"] == 0 and stack.json("ledger")["problems"] == []
    send(stack, [*range(50), *range(300, 350)])  # fifty repeats, fifty more people
    stack.run("wait", "--idle")
    assert (counted(stack), stored(stack)) == (350, 350)


def test_a_topic_made_anew_is_told_and_mended(stack: Platform) -> None:
    send(stack, range(60))
    stack.run("wait", "--idle")
    broker, topic = admin(stack), TOPICS[TOPIC]
    broker.delete_topics([TOPIC])[TOPIC].result(30)
    assert f"topic {TOPIC} is not there" in stack.run("wait", "--idle", check=False).stderr
    time.sleep(1)
    broker.create_topics([NewTopic(TOPIC, 4, 1, config=topic.config)])[TOPIC].result(30)
    until(lambda: all(stack.processes()[n]["state"] == "stopped" for n in ("worker-1", "sink-1", "collector")), 40)
    send(stack, range(60, 200))  # more than were read before: no position is beyond an end
    for words in (("wait", "--idle"), ("ledger", "--patience", "1")):
        done = stack.run(*words, check=False)
        assert done.returncode == 1 and "deleted and made anew" in done.stdout + done.stderr
        assert "no gap" not in done.stdout
    stack.run("topics", "repair", "--yes")
    until(lambda: bool(stack.json("status", check=False)["ready"]), 60)
    stack.run("wait", "--idle")
    assert (counted(stack), stored(stack)) == (200, 200)
    assert stack.json("ledger")["gap"] == 0


def test_a_compacted_topic_is_told_and_migrate_sets_it_back(stack: Platform) -> None:
    resource = ConfigResource(
        ConfigResource.Type.TOPIC,
        TOPIC,
        incremental_configs=[ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)],
    )
    broker = admin(stack)
    for future in broker.incremental_alter_configs([resource]).values():
        future.result(30)
    told = stack.run("wait", "--idle", check=False)
    assert told.returncode == 1 and "cleanup.policy compact, not delete" in told.stderr
    until(lambda: stack.processes()["sink-1"]["state"] == "stopped", 40)
    stack.run("topics", "repair", "--yes")
    until(lambda: bool(stack.json("status", check=False)["ready"]), 60)
    stack.run("wait", "--idle")


def test_the_ledger_tells_what_kafka_deleted_unread(stack: Platform) -> None:
    send(stack, range(40))
    stack.run("wait", "--idle")
    broker = admin(stack)
    stack.run("down")
    stack.settings |= {"FOOTLIGHTS_SINKS": "0"}
    stack.up()
    send(stack, range(40, 100))
    broker = admin(stack)
    ends = dict.fromkeys(range(4), -1)  # all there is
    for future in broker.delete_records([TopicPartition(TOPIC, p, end) for p, end in ends.items()]).values():
        future.result(30)
    books = stack.run("ledger", "--patience", "1", check=False)
    assert books.returncode == 1 and "before the store had read them" in books.stdout
    stack.down()
    stack.settings |= {"FOOTLIGHTS_SINKS": "1"}
    stack.up()
    stack.run("wait", "--idle")  # what is gone is waited for by nobody
    assert stack.json("ledger", "--patience", "10", check=False)["gap"] == 60


def test_a_broker_whose_data_is_gone_is_told(stack: Platform) -> None:
    send(stack, range(40))
    stack.run("wait", "--idle")
    stack.down()
    (stack.folder / "kafka").rename(stack.folder.parent / "kafka-lost")
    stack.run("up", "--detach", check=False)
    books = stack.run("ledger", "--patience", "1", check=False)
    assert books.returncode == 1 and "no gap" not in books.stdout and "deleted and made anew" in books.stdout
    assert stack.run("wait", "--idle", check=False).returncode == 1
    until(lambda: all(stack.processes()[n]["state"] == "stopped" for n in ("worker-1", "sink-1", "collector")), 40)
    refused = stack.run("topics", "repair", "--yes", check=False)
    assert refused.returncode == 1 and "Kafka's data is gone" in refused.stderr
    stack.down()
    (stack.folder / "kafka").rename(stack.folder.parent / "kafka-fresh")
    (stack.folder.parent / "kafka-lost").rename(stack.folder / "kafka")  # the way back that the sentence names
    stack.up()
    send(stack, range(40, 90))
    stack.run("wait", "--idle")
    assert (counted(stack), stored(stack)) == (90, 90)
