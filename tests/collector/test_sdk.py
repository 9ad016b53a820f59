"""The SDK over HTTP: the same calls through a real collector, each event once, whatever dies on the way."""

import gzip
import json
import logging
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from footlights import Client, HmacPseudonymiser, Money
from footlights.__main__ import main

from schemas.families import FAMILIES
from tests.collector.conftest import Served
from tests.producers.reading import Read, read

pytestmark = pytest.mark.kafka
Serve = Callable[..., Served]
TOPICS = [f.topic for f in FAMILIES.values()]
SERVICE = """
import sys, time
from footlights import Client
client = Client(collector=sys.argv[1], api_key=sys.argv[2], spool_dir=sys.argv[3])
for number in range(100_000):
    print(client.track("search", user_id=f"u{number % 7}", properties={"number": number}).message_id, flush=True)
"""


def arrived(served: Served, source: str, wanted: set[str | None]) -> list[Read]:
    deadline = time.monotonic() + 60
    while True:
        found = read(served.kafka, TOPICS, source)
        if not (missing := wanted - {r.record["original_id"] for r in found}):
            return found
        assert time.monotonic() < deadline, f"{len(missing)} of {len(wanted)} are lost"
        time.sleep(0.2)


def connected(served: Served, token: str, folder: Path, **more: Any) -> Client:
    return Client(collector=served.url, api_key=token, spool_dir=folder / "spool", **more)


def test_every_part_of_a_call_arrives_as_it_does_over_kafka(shared: Served, tmp_path: Path) -> None:
    told: list[tuple[dict[str, Any], str | None]] = []
    occurred = datetime(2026, 5, 1, 12, tzinfo=UTC)
    arguments: dict[str, Any] = {
        "user_id": 42, "anonymous_id": "visitor-1", "session_id": "s1", "amount": Money(5_000, "USD"), "quantity": 2,
        "hosted_event_id": "e1", "properties": {"seat": "A1", "deep": {"er": [1, None]}}, "context": {"city": "Pune"},
        "occurred_at": occurred, "colour": "red", "order_id": "o1",
    }  # fmt: skip
    with connected(shared, shared.token("over-http"), tmp_path, on_delivery=lambda *one: told.append(one)) as client:
        taken = client.track("ticket_purchased", **arguments)
        assert taken.status == "spooled"
        assert client.flush(20) == 0
    with Client(
        bootstrap_servers=shared.kafka, schema_registry=shared.registry, source="over-kafka", pseudonym_key="k" * 32,
        cache_dir=tmp_path,
    ) as client:  # fmt: skip
        direct = client.track("ticket_purchased", **arguments).message_id
        assert client.flush(20) == 0
    (one,) = arrived(shared, "over-http", {taken.message_id})
    (other,) = [r for r in read(shared.kafka, TOPICS, "over-kafka") if r.record["message_id"] == direct]
    of_the_way = {"message_id", "original_id", "source", "producer_id", "sequence", "sent_at_ms", "received_at_ms"}
    same = {n: v for n, v in one.record.items() if n not in of_the_way | {"properties", "occurred_at_ms"}}
    assert same == {n: other.record[n] for n in same} and one.key == other.key
    assert json.loads(one.record["properties"]) == json.loads(other.record["properties"])
    assert (
        abs(one.record["occurred_at_ms"] - occurred.timestamp() * 1000) < 2_000
    )  # corrected by the clocks' difference
    assert one.record["user_id"] == HmacPseudonymiser(b"k" * 32)("default", "42")
    assert [(record["properties"]["seat"], error) for record, error in told] == [("A1", None)]


def test_refused_for_good_is_told_and_kept_for_a_person_to_look_at(shared: Served, tmp_path: Path) -> None:
    told: list[tuple[dict[str, Any], str | None]] = []
    with connected(shared, shared.token("refused"), tmp_path, on_delivery=lambda *one: told.append(one)) as client:
        assert client.track("ticket_purchased", user_id="u1", quantity=-1).reason == "INVALID_FIELD"  # at the call
        zeros = client.track("search", user_id="u1", properties={"zeros": "0" * 60_000})  # as gzip more than 100:1
        assert client.track(
            "search", user_id="u2", occurred_at=4_102_444_799_999 + 1
        )  # the call's bound, past the route's
        assert client.flush(20) == 0
    assert sorted((record.get("user_id"), error) for record, error in told) == [
        ("u1", None),
        ("u2", "SCHEMA_VIOLATION"),
    ]
    assert len(arrived(shared, "refused", {zeros.message_id})) == 1
    (kept,) = (tmp_path / "spool" / "http" / "quarantine").iterdir()
    assert json.loads(kept.read_bytes())["user_id"] == "u2"


def test_who_opted_out_is_dropped_and_leaves_nothing(shared: Served, tmp_path: Path) -> None:
    token = shared.token("refusing")
    with connected(shared, token, tmp_path) as client:
        said = client.consent_changed(user_id="tess", analytics_allowed=False)
        assert client.track("search", user_id="tess").status == "opted_out"
        assert client.flush(20) == 0
    other = tmp_path / "other"
    with connected(shared, token, other) as client:  # knows nothing of it, the collector does
        assert client.track("search", user_id="tess")
        max_searched = client.track("search", user_id="max")
        assert client.flush(20) == 0
    arrived(shared, "refusing", {said.message_id, max_searched.message_id})
    names = sorted(r.record["event_name"] for r in read(shared.kafka, TOPICS, "refusing"))
    assert names == ["consent_changed", "search"]
    assert not list(tmp_path.rglob("quarantine"))


def test_a_key_that_is_not_known_yet_costs_nothing_but_time(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve()
    with caplog.at_level(logging.ERROR, "footlights"), connected(served, "fw_wrong", tmp_path) as client:
        wanted = {client.track("search", user_id="u1").message_id}
        assert client.flush(1.5) == 1
        client.close(0.1)
    assert "the collector answers 401 INVALID_API_KEY: events wait in the spool" in caplog.text
    assert "fw_wrong" not in caplog.text
    with connected(served, served.token("late-key"), tmp_path) as client:
        assert client.take_over(20) == 0
    assert len(arrived(served, "late-key", wanted)) == 1


@pytest.mark.slow
def test_a_collector_that_dies_again_and_again_and_a_service_too(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, chance = serve(), random.Random(4)
    token, taken = served.token("deaths"), set[str | None]()
    for _ in range(4):
        words = [sys.executable, "-c", SERVICE, served.url, token, str(tmp_path / "spool")]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as service:
            assert service.stdout
            lines = [service.stdout.readline()]  # its start may take seconds
            time.sleep(chance.uniform(0.3, 1.1))
            served.kill()
            time.sleep(0.2)
            service.kill()
            lines += service.stdout.read().splitlines(keepends=True)
            taken |= {line.strip() for line in lines if line.endswith("\n")}
        served.start()
    assert len(taken) > 1_000 and main(["spool", str(tmp_path / "spool")]) == 1
    monkeypatch.setenv("ANALYTICS_API_KEY", token)
    assert main(["spool", str(tmp_path / "spool"), "--drain", "--collector", served.url]) == 0
    found = arrived(served, "deaths", taken)
    ids = {r.record["original_id"]: r.record["message_id"] for r in found}
    assert len(set(ids.values())) == len(ids) and {r.record["message_id"] for r in found} == set(ids.values())


class Picky(BaseHTTPRequestHandler):
    """Takes ten events at most, and at first talks like a captive portal; knows what it took, in order."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    taken: list[int]
    answers: list[int]

    def do_POST(self) -> None:
        events = json.loads(gzip.decompress(self.rfile.read(int(self.headers["content-length"]))))["events"]
        if len(self.answers) < 2:
            self._answer(200, b"<html>please log in</html>")
        elif len(events) > 10:
            self._answer(413, b'{"error_code": "BATCH_TOO_LARGE"}')
        else:
            self.taken.extend(event["properties"]["number"] for event in events)
            self._answer(202, json.dumps({"data": {"results": [{"status": "ok"} for _ in events]}}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.answers.append(status)
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_batches_are_halved_until_they_fit_and_a_portals_page_is_no_answer(tmp_path: Path) -> None:
    Picky.taken, Picky.answers = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Picky) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with Client(collector=url, api_key="fw_any", spool_dir=tmp_path) as client:
            for number in range(2_000):
                assert client.track("search", user_id="u1", properties={"number": number})
            assert client.flush(30) == 0
        server.shutdown()
    assert Picky.taken == list(range(2_000))  # in order, each once
    assert Picky.answers[:2] == [200, 200] and 413 in Picky.answers


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({}, "needs bootstrap_servers= and schema_registry=, or collector= and api_key="),
        ({"api_key": "x"}, "api_key belongs to collector="),
        ({"collector": "https://c", "bootstrap_servers": "k:9092"}, "not to both"),
        ({"collector": "c:80", "api_key": "x"}, "must be a URL"),
        ({"collector": "https://c"}, "api_key must be a write key"),
        ({"collector": "https://c", "api_key": "x", "pseudonym_key": "k" * 32}, "the collector makes the pseudonyms"),
    ],
)
def test_one_way_out_is_named(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Client(source="unit", **arguments)
