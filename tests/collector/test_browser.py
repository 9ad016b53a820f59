"""A real browser with the snippet, before a real collector: what a visitor does is on the broker, with the visitor's device."""

import time

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.site import Site, chromium, context, site
from tests.collector.conftest import Served
from tests.producers.reading import Read, read

__all__ = ["chromium", "context", "site"]
pytestmark = [pytest.mark.kafka, pytest.mark.browser]


def test_a_visit_arrives(shared: Served, site: Site, context: BrowserContext) -> None:
    site.endpoint, site.attributes = shared.url, f'data-key="{shared.token("snippet")}"'
    page = context.new_page()
    page.goto(f"{site.url}/events/1")
    page.click("#inner")
    page.goto("about:blank")
    deadline = time.monotonic() + 30
    wanted = {"page_view", "ticket_chosen", "page_loaded"}
    while True:
        found: dict[str, Read] = {}
        for one in read(shared.kafka, ["events.interaction", "events.performance"], "snippet"):
            found.setdefault(
                one.record["event_name"], one
            )  # the beacon repeats them, and headless Chromium names itself there
        if wanted <= found.keys():
            break
        assert time.monotonic() < deadline, found.keys()
        time.sleep(0.2)
    view = found["page_view"].record
    assert (view["path"], view["title"], view["device"], view["os"]) == ("/events/1", "Shop", "desktop", "Linux")
    assert view["anonymous_id"] and view["session_id"] and view["user_id"] is None
    assert found["page_loaded"].record["response_time_ms"] > 0
