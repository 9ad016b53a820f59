"""What arrives on a real broker: every record once, in order, numbered, pseudonymised, reported."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from footlights import Client, HmacPseudonymiser, Money
from footlights.names import FAMILY_OF, REPORTS_TOPIC, family_of, topic_of
from footlights.registry import copies_of

from infra.embedded.kafka import KafkaServer
from infra.migrate import migrate_topics
from schemas.families import FAMILIES
from tests.producers.reading import read
from tests.producers.test_client_unit import cached

__all__ = ["cached"]
pytestmark = pytest.mark.kafka
Make = Callable[..., Client]
EVENTS = [f.topic for f in FAMILIES.values()]
CHILDREN, EACH = 8, 1_000


def test_every_event_name_arrives_in_its_family_as_it_was_said(client: Make, platform: tuple[str, str]) -> None:
    held = client(source="families")
    names = [*FAMILY_OF, "waved_at_the_band"]
    for name in names:
        assert held.track(
            name, user_id="rosa@example.org", session_id="s-1", amount=Money(500, "USD"), quantity=2, rating=5, shoe="red",
            occurred_at=1_760_000_000_000, context={"city": "Köln", "device": "mobile"},
        )  # fmt: skip
    assert held.flush(30) == 0
    found = read(platform[0], EVENTS, "families")
    assert sorted(f.record["event_name"] for f in found) == sorted(names)
    pseudonym = HmacPseudonymiser(b"k" * 32)("default", "rosa@example.org")
    for one in found:
        record = one.record
        assert one.topic == topic_of(family_of(record["event_name"]))
        assert (record["user_id"], record["city"], record["device"]) == (pseudonym, "Köln", "mobile")
        assert record["occurred_at_ms"] == 1_760_000_000_000
        assert one.key == f"default\x1f{pseudonym}".encode()
        assert one.origin == (record["source"], record["producer_id"], record["sequence"])
        assert b"rosa" not in one.payload and b"s-1" not in one.payload
        properties = json.loads(record["properties"])
        assert properties["shoe"] == "red"
        if "quantity" in FAMILIES[one.topic.removeprefix("events.")].kinds:
            assert (record["amount_minor"], record["currency"], record["quantity"]) == (500, "USD", 2)
        else:
            assert properties["quantity"] == 2
    assert sorted(f.record["sequence"] for f in found) == list(range(1, len(names) + 1))


def test_the_helpers(client: Make, platform: tuple[str, str]) -> None:
    held = client(source="helpers")
    assert held.page("/events/1", title="Concert", anonymous_id="a1")
    assert held.feedback(rating=4, text="good", user_id="u1", hosted_event_id="e1")
    assert held.performance("api", "GET /", 12, status=200, memory_mb=1.5)
    assert held.identify("u1", {"plan": "gold"})
    held.flush(30)
    found = {f.record["event_name"]: f.record for f in read(platform[0], EVENTS, "helpers")}
    assert found["page_view"]["path"] == "/events/1"
    assert found["feedback_given"]["rating"] == 4
    assert found["operation_timed"]["response_time_ms"] == 12
    assert json.loads(found["profile_updated"]["properties"]) == {"plan": "gold"}


def test_reports_say_what_was_accepted_and_refused(client: Make, platform: tuple[str, str]) -> None:
    held = client(source="reports")
    for i in range(25):
        held.track("page_view", user_id=f"u{i}")
    held.track("page_view", user_id="null")
    producer = held.producer_id
    held.close()
    reports = [r.record for r in read(platform[0], [REPORTS_TOPIC], "reports") if r.record["producer_id"] == producer]
    assert reports[-1]["closing"]
    assert (reports[-1]["last_sequence"], reports[-1]["acked"], reports[-1]["failed"]) == (25, 25, 0)
    assert json.loads(reports[-1]["refused"]) == {"INVALID_ID": 1}


def test_callbacks_come_for_each_record(client: Make) -> None:
    told: list[tuple[str, str | None]] = []
    held = client(source="callbacks", on_delivery=lambda record, error: told.append((record["event_name"], error)))
    for _ in range(50):
        held.track("search")
    assert held.flush(30) == 0
    assert told == [("search", None)] * 50


def test_each_fork_is_a_producer_of_its_own(platform: tuple[str, str], tmp_path: Path) -> None:
    words = ["-m", "tests.producers.forking_app", *platform, str(tmp_path), str(CHILDREN), str(EACH)]
    assert subprocess.run([sys.executable, *words], check=False, timeout=200).returncode == 0
    by_producer: dict[str, list[int]] = {}
    for one in read(platform[0], [topic_of("interaction")], "forks"):
        by_producer.setdefault(one.record["producer_id"], []).append(one.record["sequence"])
    assert sorted(map(len, by_producer.values())) == [2, *[EACH] * CHILDREN]
    assert all(sorted(held) == list(range(1, len(held) + 1)) for held in by_producer.values())


def test_a_service_starts_while_the_registry_is_away(platform: tuple[str, str], tmp_path: Path) -> None:
    options = {"bootstrap_servers": platform[0], "source": "away", "cache_dir": tmp_path, "pseudonym_key": "k" * 32}
    with Client(schema_registry=platform[1], **options) as first:  # type: ignore[arg-type]
        assert first.track("page_view")
    away = "http://127.0.0.1:1"  # as if the registry had been here
    copies_of(tmp_path, platform[1]).rename(copies_of(tmp_path, away))
    with Client(schema_registry=away, **options) as second:  # type: ignore[arg-type]
        assert second.track("page_view")
        assert second.flush(30) == 0


@pytest.mark.slow
def test_a_broker_that_is_killed_loses_nothing_accepted(
    client: Make, kafka_server: KafkaServer, platform: tuple[str, str]
) -> None:
    held = client(source="killed")
    for i in range(2_000):
        assert held.track("page_view", user_id=f"u{i}")
        if i == 1_000:
            kafka_server.kill()
    kafka_server.start(timeout=60)
    assert held.flush(60) == 0
    found = [f.record["message_id"] for f in read(platform[0], [topic_of("interaction")], "killed")]
    assert len(found) == len(set(found)) == 2_000


def test_a_client_that_scrubs(client: Make, platform: tuple[str, str]) -> None:
    held = client(source="scrubs", scrub=True)
    assert held.track(
        "payment_failed", user_id="rosa@example.org", payment_id="p1", reason="card 4111 1111 1111 1111 refused",
        properties={"note": "write to rosa@example.org", "password": "hunter2", "seat": "A1"}, apiKey="xyz",
    )  # fmt: skip
    assert held.flush(30) == 0
    (found,) = read(platform[0], EVENTS, "scrubs")
    assert found.record["reason"] == "card [card] refused"
    assert json.loads(found.record["properties"]) == {
        "apiKey": "[secret]", "note": "write to [email]", "password": "[secret]", "seat": "A1",
    }  # fmt: skip
    assert held.redacted == {"card": 1, "email": 1, "secret": 2}
    assert found.record["user_id"] == HmacPseudonymiser(b"k" * 32)("default", "rosa@example.org")


@pytest.mark.slow
def test_topics_that_are_missing_make_events_wait(
    kafka_jars: list[Path], cached: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = KafkaServer(tmp_path / "kafka", kafka_jars)
    server.start(timeout=120)
    try:
        with Client(
            bootstrap_servers=server.bootstrap, schema_registry="http://127.0.0.1:1", source="early", pseudonym_key="k" * 32,
            cache_dir=cached, kafka_config={"topic.metadata.propagation.max.ms": 500},
        ) as early:  # fmt: skip
            assert all(early.track("search", user_id=f"u{n}") for n in range(20))
            deadline = time.monotonic() + 60
            while "they wait in the spool" not in caplog.text:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            migrate_topics(server.bootstrap)
            assert early.flush(60) == 0
        assert len(read(server.bootstrap, [topic_of("interaction")], "early")) == 20
    finally:
        server.stop()
