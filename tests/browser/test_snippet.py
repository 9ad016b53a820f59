"""What the snippet records in headless Chromium, and what it never does."""

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.producers.test_integrations import until

ROOT = Path(__file__).parents[2] / "producers"
BUILT, SOURCE = ROOT / "footlights" / "browser" / "footlights.min.js", ROOT / "browser" / "src" / "footlights.ts"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
PAGE = """<!doctype html><title>Shop</title><script src="/footlights.min.js" data-endpoint="{0}" {1}></script>
<h1>Shop</h1><button data-track="ticket_chosen" data-track-seat-row="A"><b id=inner>choose</b></button>
<input id=name value=secret data-x=1><button id=throws onclick="throw new TypeError('rosa@example.org')">x</button>"""


class Site(ThreadingHTTPServer):
    """Serves a page and the snippet, and is its collector; `status` is what it answers to batches, after `delay_s`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.delay_s = 202, 0.0
        self.attributes, self.endpoint = 'data-key="flk_test"', self.url
        self.batches: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def events(self) -> list[dict[str, Any]]:
        """What was taken, once for each id."""
        return list({event["messageId"]: event for batch in self.batches for event in batch["batch"]}.values())

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events() if name in (event["type"], event.get("event"))]


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        text = (
            BUILT.read_text()
            if self.path.endswith(".js")
            else PAGE.format(self.server.endpoint, self.server.attributes)
        )
        self._answer(200, text.encode(), "text/javascript" if self.path.endswith(".js") else "text/html")

    def do_POST(self) -> None:
        batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(self.server.delay_s)
        assert self.headers["Content-Type"].startswith("text/plain") and batch["writeKey"] == "flk_test"
        (self.server.batches if self.server.status == 202 else self.server.refused).append(batch)
        self._answer(self.server.status, b"{}", "application/json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Access-Control-Allow-Origin", "*"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        (pytest.fail if os.environ.get("REQUIRE_SERVICES") == "1" else pytest.skip)("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    made = chromium.new_context(user_agent=AGENT)  # headless ones call themselves so, and count as bots
    yield made
    made.close()


Visit = Callable[..., Page]


@pytest.fixture
def visit(context: BrowserContext, site: Site) -> Visit:
    def go(path: str = "/") -> Page:
        page = context.new_page()
        page.goto(site.url + path)
        return page

    return go


def test_it_is_small_and_current() -> None:
    assert len(BUILT.read_bytes()) <= 3_072
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    assert BUILT.read_text().startswith(f"/*{digest}*/"), "run `npm run build` in producers/browser"


@pytest.mark.browser
def test_views_clicks_errors_and_no_secrets(site: Site, visit: Visit) -> None:
    page = visit("/events/1?utm_campaign=spring&email=rosa@example.org#top")
    page.click("#inner")
    page.fill("#name", "hunter2")
    page.click("#throws")
    page.evaluate("() => { setTimeout(() => Promise.reject(new RangeError('rosa@example.org'))) }")
    page.evaluate("history.pushState({}, '', '/events/2?x=1')")
    page.go_back()
    until(lambda: len(site.named("page")) == 3 and len(site.named("crash")) == 2)
    assert [e["context"]["page"]["path"] for e in site.named("page")] == ["/events/1", "/events/2", "/events/1"]
    (chosen,) = site.named("ticket_chosen")
    assert chosen["properties"] == {"seatRow": "A"} and chosen["context"]["campaign"] == {"name": "spring"}
    assert {e["properties"]["error"] for e in site.named("crash")} == {"TypeError", "RangeError"}
    assert len({e["anonymousId"] for e in site.events()}) == 1
    assert not any(word in json.dumps(site.batches) for word in ("rosa", "hunter2", "email"))


@pytest.mark.browser
def test_vitals_leave_with_the_page(site: Site, visit: Visit) -> None:
    page = visit()
    page.click("#inner")
    page.goto("about:blank")
    until(lambda: site.named("page_loaded"))
    vitals = site.named("page_loaded")[0]["properties"]
    assert vitals["component"] == "browser" and vitals["operation"] == "/" and vitals["response_time_ms"] > 0


@pytest.mark.browser
def test_leaving_sends_nothing_twice(site: Site, visit: Visit) -> None:
    page = visit()
    # The view is sent; what comes now goes with the beacon.
    until(lambda: page.evaluate("localStorage.fl_queue") == "[]")
    page.click("#inner")
    page.goto("about:blank")  # tells both pagehide and visibilitychange
    until(lambda: site.named("ticket_chosen") and site.named("page_loaded"))
    page.wait_for_timeout(600)
    sent = [event["messageId"] for batch in site.batches for event in batch["batch"]]
    assert len(sent) == len(set(sent)) == 3
    visit("/next")
    until(lambda: len(site.named("page")) == 2)
    # What the beacon carried is sent again under the same ids, since nobody said that it arrived.
    assert len(site.events()) == 4


@pytest.mark.browser
def test_a_batch_on_its_way_is_not_in_the_beacon(site: Site, visit: Visit) -> None:
    site.delay_s = 1.0
    page = visit()
    page.wait_for_timeout(500)  # the view is on its way
    page.click("#inner")
    page.goto("about:blank")
    until(lambda: site.named("page") and site.named("ticket_chosen"))
    page.wait_for_timeout(1_500)
    sent = [event["messageId"] for batch in site.batches for event in batch["batch"]]
    assert len(sent) == len(set(sent)) == 3


@pytest.mark.browser
def test_what_could_not_be_sent_is_kept_and_sent_once(site: Site, visit: Visit, context: BrowserContext) -> None:
    site.status = 503
    page = visit()
    page.click("#inner")
    until(lambda: site.refused)
    page.close()
    site.status = 202
    visit("/later")
    until(lambda: site.named("ticket_chosen") and len(site.named("page")) == 2)
    first = next(e["messageId"] for batch in site.refused for e in batch["batch"] if e["type"] == "page")
    assert first in {e["messageId"] for e in site.events()}
    context.set_offline(True)
    page = context.pages[-1]
    page.click("#inner")
    page.wait_for_timeout(600)
    assert len(site.named("ticket_chosen")) == 1
    context.set_offline(False)
    until(lambda: len(site.named("ticket_chosen")) == 2)


@pytest.mark.browser
def test_a_refused_batch_is_not_sent_for_ever(site: Site, visit: Visit) -> None:
    site.status = 401
    page = visit()
    until(lambda: site.refused)
    until(lambda: page.evaluate("localStorage.fl_queue") == "[]")


@pytest.mark.browser
def test_nothing_is_kept_or_sent_before_consent(site: Site, visit: Visit) -> None:
    site.attributes += ' data-consent="required"'
    page = visit()
    page.click("#inner")
    page.wait_for_timeout(600)
    assert not site.batches and page.evaluate("localStorage.length") == 0
    page.evaluate("footlights.consent(true)")
    page.click("#inner")
    until(lambda: site.named("ticket_chosen") and site.named("page"))
    page.evaluate("footlights.consent(false)")
    seen = len(site.events())
    page.click("#inner")
    page.wait_for_timeout(600)
    assert len(site.events()) == seen
    assert page.evaluate("Object.keys(localStorage)") == ["fl_ok"]


@pytest.mark.browser
@pytest.mark.parametrize("signal", ["globalPrivacyControl: true", "doNotTrack: '1'"])
def test_signals_of_the_browser_are_obeyed(site: Site, context: BrowserContext, signal: str) -> None:
    name, value = signal.split(": ")
    context.add_init_script(f"Object.defineProperty(navigator, '{name}', {{value: {value}}})")
    page = context.new_page()
    page.goto(site.url)
    page.evaluate("footlights.consent(true)")
    page.click("#inner")
    page.wait_for_timeout(600)
    assert not site.batches
