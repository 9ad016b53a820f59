"""Forwarding on the real broker to a server that speaks PostHog's protocol: everything arrives, whatever happens on the way."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from footlights import Client, Money

from infra.migrate import migrate_schemas, migrate_topics
from tests.producers.test_integrations import until

pytestmark = pytest.mark.kafka


class Receiver(ThreadingHTTPServer):
    """PostHog's batch API: takes at most `most` events, refuses those named `poison`, and answers `status` while it is set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.most, self.poison = 0, 10_000, ""
        self.taken: list[dict[str, Any]] = []
        self.asked: list[int] = []

    def answer(self, body: dict[str, Any]) -> int:
        batch = body["batch"]
        if self.status:
            return self.status
        if len(batch) > self.most:
            return 413
        if any(event["event"] == self.poison for event in batch):
            return 400
        self.taken += batch
        return 200

    def ids(self, source: str) -> list[str]:
        return [event["uuid"] for event in self.taken if event["properties"]["source"] == source]


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/batch/" and body["api_key"] == "phc_test"
        status = self.server.answer(body)
        self.server.asked.append(status)
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def platform(kafka: str, registry_url: str) -> tuple[str, str]:
    migrate_topics(kafka)
    migrate_schemas(registry_url)
    return kafka, registry_url


Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(platform: tuple[str, str], receiver: Receiver, tmp_path: Path) -> Iterator[Start]:
    made: list[subprocess.Popen[bytes]] = []
    environment = {
        **os.environ, "FOOTLIGHTS_DATA_DIR": str(tmp_path), "FOOTLIGHTS_KAFKA": platform[0],
        "FOOTLIGHTS_SCHEMA_REGISTRY": platform[1], "FOOTLIGHTS_CLICKHOUSE": "http://127.0.0.1:1",
        "FOOTLIGHTS_FORWARD_POSTHOG": f"http://localhost:{receiver.server_address[1]}",
        "FOOTLIGHTS_FORWARD_POSTHOG_KEY": "phc_test", "FOOTLIGHTS_FORWARD_TRUSTED_HOSTS": "localhost",
    }  # fmt: skip

    def begin() -> subprocess.Popen[bytes]:
        made.append(subprocess.Popen([sys.executable, "-m", "infra.cli.main", "forward", "posthog"], env=environment))
        return made[-1]

    yield begin
    for one in made:
        one.terminate()
        assert one.wait(20) in (0, -signal.SIGKILL)


def publish(platform: tuple[str, str], source: str, folder: Path, count: int, **more: Any) -> set[str]:
    with Client(
        bootstrap_servers=platform[0],
        schema_registry=platform[1],
        source=source,
        pseudonym_key="k" * 32,
        cache_dir=folder,
    ) as client:
        taken = [
            client.track("ticket_purchased", user_id=f"u{n}", amount=Money(500, "USD"), quantity=1, **more)
            for n in range(count)
        ]
        client.track("feedback_given", user_id="u1", rating=5, text="a person's words")
        assert client.flush(30) == 0
    return {str(outcome.message_id) for outcome in taken}


def test_everything_arrives_through_outages_limits_poison_and_a_kill(
    platform: tuple[str, str], receiver: Receiver, start: Start, tmp_path: Path
) -> None:
    wanted = publish(platform, "forwarded", tmp_path, 2_000)
    receiver.status, receiver.most = 503, 100
    process = start()
    until(lambda: receiver.asked.count(503) >= 2)
    receiver.status = 0
    until(lambda: len(receiver.ids("forwarded")) > 500)
    process.kill()
    process.wait()
    receiver.most = 10_000
    start()
    until(lambda: wanted <= set(receiver.ids("forwarded")), 120)
    assert 413 in receiver.asked
    bought = next(
        e for e in receiver.taken if e["event"] == "ticket_purchased" and e["properties"]["source"] == "forwarded"
    )
    assert len(bought["distinct_id"]) == 32 and bought["properties"]["amount_minor"] == 500 and bought["timestamp"]
    assert "a person's words" not in json.dumps(receiver.taken)

    receiver.poison = "poisoned"
    with Client(
        bootstrap_servers=platform[0],
        schema_registry=platform[1],
        source="poison",
        pseudonym_key="k" * 32,
        cache_dir=tmp_path,
    ) as client:
        outcomes = [client.track("poisoned" if n == 25 else "search", user_id="u1") for n in range(50)]
        client.flush(30)
    good = {str(o.message_id) for n, o in enumerate(outcomes) if n != 25}
    until(lambda: good <= set(receiver.ids("poison")), 60)
    (line,) = (tmp_path / "forward" / "posthog.refused.jsonl").read_text().splitlines()
    assert json.loads(line)["message_id"] == outcomes[25].message_id and json.loads(line)["status"] == 400
