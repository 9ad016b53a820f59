"""A site with the snippet on its page, and Chromium that visits it.

In: what a test wants the site to answer. Out: fixtures, and what the site's own small collector was sent.
Never: a browser that takes itself for a robot: headless ones are told apart by their agent.
"""

import json
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).parents[2] / "producers"
BUILT, SOURCE = ROOT / "footlights" / "browser" / "footlights.min.js", ROOT / "browser" / "src" / "footlights.ts"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    f"--user-agent={AGENT}",  # headless ones call themselves so, and count as bots; beacons of a page that is gone too
]  # fmt: skip
PAGE = """<!doctype html><title>Shop</title><script src="/footlights.min.js" data-endpoint="{0}" {1}></script>
<h1>Shop</h1><button data-track="ticket_chosen" data-track-seat-row="A"><b id=inner>choose</b></button>
<input id=name value=secret data-x=1><button id=throws onclick="throw new TypeError('rosa@example.org')">x</button>"""


class Site(ThreadingHTTPServer):
    """Serves a page and the snippet, and is its collector.

    `status` is what it answers to batches after `delay_s`; or what `judge` says of one.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.delay_s = 202, 0.0
        self.judge: Callable[[dict[str, Any]], int] = lambda _: self.status
        self.attributes, self.endpoint = 'data-key="flk_test"', self.url
        self.batches: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def events(self) -> list[dict[str, Any]]:
        """What was taken, once for each id."""
        return list({event["messageId"]: event for batch in self.batches for event in batch["batch"]}.values())

    def times(self) -> Counter[str]:
        """How often each id was taken."""
        return Counter(event["messageId"] for batch in self.batches for event in batch["batch"])

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
        status = self.server.judge(batch)
        (self.server.batches if status == 202 else self.server.refused).append(batch)
        self._answer(status, b"{}", "application/json")

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
    made = chromium.new_context()
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


def waiting(page: Page) -> int:
    """How many events wait in the store, of all pages."""
    return int(page.evaluate("Object.keys(localStorage).filter((name) => name.startsWith('fl_q')).length"))
