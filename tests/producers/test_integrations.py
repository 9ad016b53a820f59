"""Each framework's one line, in a server process of that framework with real requests: exactly these events and no others."""

import http.client
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from footlights import HmacPseudonymiser
from footlights.integrations.web import template_of, without_query

from infra.embedded.ports import free_port
from tests.producers.reading import Read, once, read

pytestmark = pytest.mark.kafka
TOPICS = ["events.interaction", "events.performance"]
AGENT = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
    "Referer": "http://ads.example/x?email=rosa@example.org",
}
SERVERS = {
    "fastapi-app": ["-m", "uvicorn", "--factory", "tests.producers.apps:fastapi_app", "--log-level", "warning", "--port"],
    "flask-app": ["-m", "gunicorn", "--workers", "2", "--preload", "tests.producers.apps:flask_app()", "-b"],
}  # fmt: skip
Environment = dict[str, str]


@pytest.fixture
def environment(platform: tuple[str, str], tmp_path: Path) -> Environment:
    return {**os.environ, "KAFKA": platform[0], "REGISTRY": platform[1], "FOLDER": str(tmp_path)}


@contextmanager
def serving(source: str, environment: Environment) -> Iterator[int]:
    port = free_port()
    place = str(port) if source == "fastapi-app" else f"127.0.0.1:{port}"
    with subprocess.Popen([sys.executable, *SERVERS[source], place], env=environment) as server:
        try:
            until(lambda: get(port, "/health") == 200)
            yield port
        finally:
            server.terminate()


def get(port: int, path: str, headers: dict[str, str] | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError:
        return 0
    finally:
        connection.close()


def until(what: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)
    return found


def arrived(platform: tuple[str, str], source: str, number: int) -> list[Read]:
    """The events of a source, once so many are there; more than that fail."""
    found = until(lambda: len(them := once(read(platform[0], TOPICS, source))) >= number and them)
    assert len(found) == number, [r.record["event_name"] for r in found]
    return list(found)


@pytest.mark.parametrize("source", SERVERS)
def test_requests_become_page_views_api_calls_and_timed_operations(
    source: str, environment: Environment, platform: tuple[str, str]
) -> None:
    asked = (
        "/?q=rosa@example.org",
        "/events/981",
        "/stream",
        "/missing/42",
        "/health",
        "/internal/queue",
        "/site.css",
        "/broken",
    )
    with serving(source, environment) as port:
        statuses = [get(port, path, AGENT) for path in asked]
    assert statuses[:4] == [200, 200, 200, 404] and statuses[-1] == 500
    found = arrived(platform, source, 11)
    by_name = Counter(r.record["event_name"] for r in found)
    assert by_name == {"page_view": 1, "api_call": 4, "operation_timed": 5, "crash": 1}
    pages = {r.record["path"]: r.record for r in found if r.record["event_name"] in ("page_view", "api_call")}
    assert {p: (r["event_name"], r["status"]) for p, r in pages.items()} == {
        "/": ("page_view", 200), "/events/981": ("api_call", 200), "/stream": ("api_call", 200),
        "/missing/42": ("api_call", 404), "/broken": ("api_call", 500),
    }  # fmt: skip
    assert pages["/"]["referrer"] == "http://ads.example/x"
    assert {r["user_id"] for r in pages.values()} == {HmacPseudonymiser(b"k" * 32)("default", "rosa")}
    timed = {r.record["operation"]: r.record for r in found if r.record["event_name"] == "operation_timed"}
    pattern = "GET /events/{event_id}" if source == "fastapi-app" else "GET /events/<event_id>"
    assert {pattern, "GET /missing/{id}", "GET /broken"} < timed.keys()
    assert all(
        r["component"] == source and 0 <= r["response_time_ms"] < 60_000 and r["memory_mb"] > 1 for r in timed.values()
    )
    assert (timed["GET /broken"]["error"], timed["GET /broken"]["status"]) == ("RuntimeError", 500)
    for one in found:
        assert not one.record["automatic"]
        assert b"rosa" not in one.payload and b"4111" not in one.payload


def test_tasks_of_a_forking_worker(environment: Environment, platform: tuple[str, str], tmp_path: Path) -> None:
    for folder in ("q", "c"):
        (tmp_path / folder).mkdir()
    send = (
        "from tests.producers.apps import celery_app; app = celery_app()\n"
        "for n in range(20): app.send_task('send_ticket', (n,))\n"
        "app.send_task('fails')"
    )
    subprocess.run([sys.executable, "-c", send], env=environment, check=True)
    words = ["worker", "--pool", "prefork", "-c", "2", "-l", "CRITICAL"]
    start = f"from tests.producers.apps import celery_app; celery_app().worker_main({words!r})"
    with subprocess.Popen([sys.executable, "-c", start], env=environment, stderr=subprocess.DEVNULL) as worker:
        try:
            found = arrived(platform, "celery-app", 22)
        finally:
            worker.terminate()
    timed = Counter(
        (r.record["operation"], r.record["status"]) for r in found if r.record["event_name"] == "operation_timed"
    )
    assert timed == {("task send_ticket", 200): 20, ("task fails", 500): 1}
    (crash,) = [r.record for r in found if r.record["event_name"] == "crash"]
    assert (crash["error"], crash["operation"]) == ("ValueError", "task fails")
    assert len({r.record["producer_id"] for r in found}) == 2, "both children record"


def test_crashes_of_processes_threads_and_logs(environment: Environment, platform: tuple[str, str]) -> None:
    script = (
        "import logging, threading\n"
        "from footlights.integrations import crashes\n"
        "from tests.producers.apps import client_of\n"
        "client = client_of('crashing')\n"
        "crashes.install(client)\n"
        "logging.getLogger().addHandler(crashes.CrashHandler(client))\n"
        "def fail(): raise KeyError('rosa@example.org')\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join()\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: logging.exception('rosa@example.org')\n"
        "raise LookupError('rosa@example.org')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "LookupError: rosa@example.org" in done.stderr and "KeyError" in done.stderr
    found = arrived(platform, "crashing", 3)
    assert Counter((r.record["error"], r.record["operation"]) for r in found) == {
        ("KeyError", "__main__.fail"): 1, ("ZeroDivisionError", "__main__.<module>"): 1, ("LookupError", "__main__.<module>"): 1,
    }  # fmt: skip
    assert not any(b"rosa" in r.payload for r in found)


def test_paths_without_ids_and_addresses_without_queries() -> None:
    assert template_of("/api/v1/events/e-77/tickets/0198c0de") == "/api/v1/events/{id}/tickets/{id}"
    assert template_of("/") == "/" and template_of("/about") == "/about"
    assert without_query("https://x.example/a?b=c#d") == "https://x.example/a" and without_query(None) is None
