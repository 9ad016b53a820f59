"""The Django integration in servers of both kinds: requests, accounts, business signals, outbox, commands, the page for staff."""

import http.client
import http.cookiejar
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from footlights import HmacPseudonymiser

from infra.embedded.ports import free_port
from tests.producers.reading import Read, once, read
from tests.producers.test_integrations import AGENT, TOPICS, Environment, get, until

pytestmark = pytest.mark.kafka
SHOP = "tests.producers.django_shop"
SERVERS = {
    "wsgi": ["-m", "gunicorn", "--workers", "2", "--preload", f"{SHOP}.wsgi:application", "-b"],
    "asgi": ["-m", "uvicorn", "--lifespan", "off", f"{SHOP}.asgi:application", "--log-level", "warning", "--port"],
}
ALL = [*TOPICS, "events.commerce", "events.account"]
Ask = Callable[[str], tuple[int, str]]


@pytest.fixture
def environment(platform: tuple[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Environment:
    told = {"KAFKA": platform[0], "REGISTRY": platform[1], "FOLDER": str(tmp_path), "SOURCE": request.node.name}
    made = {**os.environ, **told, "DJANGO_SETTINGS_MODULE": f"{SHOP}.settings"}
    manage(made, "migrate", "--verbosity", "0")
    manage(made, "analytics_relay", "--once")  # makes its table
    return made


def manage(environment: Environment, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "django", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextmanager
def visiting(kind: str, environment: Environment) -> Iterator[Ask]:
    """A browser with cookies before a server."""
    port = free_port()
    command = [sys.executable, *SERVERS[kind], f"127.0.0.1:{port}" if kind == "wsgi" else str(port)]
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def ask(path: str) -> tuple[int, str]:
        asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=AGENT)
        try:
            with browser.open(asked, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: get(port, "/health") == 200)
            yield ask
        finally:
            server.terminate()


def arrived(platform: tuple[str, str], source: str, number: int) -> list[Read]:
    found = until(lambda: len(them := once(read(platform[0], ALL, source))) >= number and them)
    assert len(found) == number, sorted(r.record["event_name"] for r in found)
    return list(found)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_visit(kind: str, environment: Environment, platform: tuple[str, str]) -> None:
    pages = (
        "/?q=rosa@example.org",
        "/events/981/",
        "/static/x",
        "/internal/queue",
        "/health",
        "/register/",
        "/in/?password=no",
    )
    with visiting(kind, environment) as ask:
        assert [ask(path)[0] for path in pages] == [200, 200, 200, 200, 200, 200, 403]
        late = (
            "/in/?password=x",
            "/buy/",
            "/admin/footlights_analytics/status/",
            "/out/",
            "/broken/",
            "/stumble/",
            "/missing/",
        )
        assert [ask(path)[0] for path in late] == [200, 200, 200, 200, 500, 500, 404]
    manage(environment, "analytics_relay", "--once")
    found = arrived(platform, environment["SOURCE"], 30)
    by_name = Counter(r.record["event_name"] for r in found)
    assert by_name == {
        "page_view": 2, "api_call": 9, "operation_timed": 11, "user_logged_in": 1, "user_logged_out": 1,
        "login_failed": 1, "ticket_purchased": 1, "refund_issued": 1, "crash": 2, "user_registered": 1,
    }  # fmt: skip
    rosa = HmacPseudonymiser(b"k" * 32)("default", "1")
    who = {r.record["event_name"]: r.record["user_id"] for r in found}
    assert {who[n] for n in ("user_logged_in", "user_logged_out", "ticket_purchased", "refund_issued")} == {rosa}
    operations = {r.record["operation"] for r in found if r.record["event_name"] == "operation_timed"}
    assert {"GET /", "GET /events/<str:event_id>/", "GET /buy/", "GET /broken/"} < operations
    assert {r.record["error"] for r in found if r.record["event_name"] == "crash"} == {"RuntimeError", "LookupError"}
    (bought,) = [r.record for r in found if r.record["event_name"] == "ticket_purchased"]
    assert (bought["amount_minor"], bought["quantity"], bought["order_id"]) == (5_000, 2, "o1")
    assert not any(b"rosa" in r.payload or b"4111" in r.payload for r in found)


@pytest.mark.parametrize("kind", SERVERS)
def test_streams_and_rollbacks(kind: str, environment: Environment, platform: tuple[str, str]) -> None:
    with visiting(kind, environment) as ask:
        assert ask("/report/whole/") == (200, "row 0\nrow 1\n")
        with pytest.raises((http.client.HTTPException, OSError)):
            ask("/report/broken/")
        assert ask("/register-and-fail/")[0] == 402
    found = arrived(platform, environment["SOURCE"], 7)
    assert sorted((r.record["event_name"], r.record.get("status") or 0, r.record.get("error")) for r in found) == [
        ("api_call", 200, None), ("api_call", 402, None), ("api_call", 500, None), ("crash", 0, "RuntimeError"),
        ("operation_timed", 200, None), ("operation_timed", 402, None), ("operation_timed", 500, "RuntimeError"),
    ]  # fmt: skip
    took = {
        r.record["status"]: r.record["response_time_ms"] for r in found if r.record["event_name"] == "operation_timed"
    }
    assert took[200] >= 1_000 and took[500] >= 1_000


def test_the_page_is_for_staff_and_shows_what_was_refused(environment: Environment) -> None:
    with visiting("asgi", environment) as ask:
        place = "/admin/footlights_analytics/status/"
        assert "Log in" in ask(place)[1]
        ask("/register/")
        ask("/in/?password=x")
        ask("/buy/")
        assert f'href="{place}"' in ask("/admin/")[1]  # in the index, under Analytics
        status, page = ask(place)
        assert [ask(f"{place}{path}")[0] for path in ("add/", "1/change/", "1/delete/")] == [404, 404, 404]
    assert status == 200 and environment["SOURCE"] in page and "INVALID_FIELD 1" in page
    assert "<form" not in page.partition('id="content"')[2]  # but for the admin's own to log out


def test_commands_and_checks(environment: Environment) -> None:
    assert f"Kafka: answers at {environment['KAFKA']}" in manage(environment, "analytics_status")
    assert "acknowledged: 0" in manage(environment, "analytics_test_event")
    away = {**environment, "KAFKA": "127.0.0.1:1"}
    assert "does not answer" in manage(away, "analytics_status", code=1)
    assert "no issues" in manage({**environment, "MISSPELT": "ANALYTICS_RETENTION_DAYS"}, "check")
    wrong = manage({**environment, "MISSPELT": "ANALYTICS_SUORCE"}, "check", code=1)
    assert "ANALYTICS_SUORCE is no setting" in wrong and "did you mean ANALYTICS_SOURCE?" in wrong
