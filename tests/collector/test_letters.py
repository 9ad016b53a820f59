"""What the collector refuses for its content is kept as a dead letter that only the key opens."""

import io
import json
import time
from collections.abc import Callable
from typing import Any

import fastavro
import pytest
from confluent_kafka import Consumer, TopicPartition
from footlights.collector.letters import HTTP, MAX_PAYLOAD_BYTES, MAX_PER_SECOND, Letters

from schemas.families import INTERNAL
from stream_apps.dead_letters import decrypt
from tests.collector.conftest import Served

KEY = b"k" * 32


def letters_on(kafka: str, source: str, count: int) -> list[dict[str, Any]]:
    """Dead letters of a source, once there are so many."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": source, "log_level": 2})
    consumer.assign([TopicPartition("dead-letters", 0, 0)])
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            body = io.BytesIO((message.value() or b"")[5:])
            letter: Any = fastavro.schemaless_reader(body, INTERNAL["dead_letter"].schema, None)
            if letter["source"] == source:
                assert message.key() == f"{HTTP}|0|{letter['offset']}".encode()
                found.append(letter)
    consumer.close()
    return found


@pytest.mark.kafka
def test_refused_events_are_kept_and_others_are_not(serve: Callable[..., Served]) -> None:
    served = serve(dead_letter_key=KEY.hex())
    token = served.token("letters")
    good = {"type": "track", "event": "search", "userId": "u1"}
    nameless, unknown = {"type": "track", "userId": "rosa@example.org"}, {"type": "dance", "userId": "u1"}
    answer = served.post("/v1/batch", {"batch": [good, nameless, unknown, {**good, "timestamp": "null"}]}, token)
    assert answer.status == 202
    assert served.post("/v1/identify", {"traits": {}}, token).status == 422
    assert served.post("/v1/batch", {"batch": "x"}, token).status == 422
    # Neither JSON that cannot be read, nor an event that is too large, nor a request without a key is an event of somebody.
    assert served.ask("POST", "/v1/track", b"{", authorization=f"Bearer {token}").status in (400, 415)
    assert served.post("/v1/track", {**good, "properties": {"a": "x " * 40_000}}, token).status == 413
    assert served.post("/v1/track", nameless, "flk_wrong").status == 401

    found = letters_on(served.kafka, "letters", 5)
    assert [(letter["error_code"], json.loads(decrypt(KEY, letter))) for letter in found] == [
        ("SCHEMA_VIOLATION", nameless),
        ("UNKNOWN_SCHEMA", unknown),
        ("SCHEMA_VIOLATION", {**good, "timestamp": "null"}),
        ("SCHEMA_VIOLATION", {"traits": {}}),
        ("SCHEMA_VIOLATION", {"batch": "x"}),
    ]
    assert all(b"rosa" not in letter["payload"] and "rosa" not in letter["detail"] for letter in found)
    assert found[0]["detail"].endswith("refused by the collector on /v1/batch")
    assert not letters_on(served.kafka, "nobody", 0)


def test_a_flood_is_cut_off_each_second_and_a_payload_at_its_limit() -> None:
    told: list[tuple[dict[str, Any], bytes]] = []
    letters = Letters(KEY, lambda letter, place: told.append((letter, place)))
    for second in (5_000, 6_000):
        for number in range(MAX_PER_SECOND + 7):
            letters.keep("web", "/v1/track", {"n": number}, "SCHEMA_VIOLATION", second + number)
    assert (letters.kept, letters.left_out) == (2 * MAX_PER_SECOND, 14)
    assert len({place for _, place in told}) == len(told) == 2 * MAX_PER_SECOND
    letters.keep("web", "/v1/track", "x" * MAX_PAYLOAD_BYTES, "SCHEMA_VIOLATION", 7_000)
    assert len(decrypt(KEY, told[-1][0])) == MAX_PAYLOAD_BYTES and "are kept" in told[-1][0]["detail"]
