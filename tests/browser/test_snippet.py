"""What the snippet records in headless Chromium, and what it never does."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.site import BUILT, ROOT, SOURCE, Site, Visit, chromium, context, site, visit, waiting
from tests.producers.test_integrations import until

__all__ = ["chromium", "context", "site", "visit"]


def test_it_is_small_and_current() -> None:
    assert len(BUILT.read_bytes()) <= 4_608 and len(gzip.compress(BUILT.read_bytes(), mtime=0)) <= 2_560
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    assert BUILT.read_text().startswith(f"/*{digest}*/"), "run `npm run build` in producers/browser"


@pytest.mark.browser
def test_it_is_what_its_source_builds(tmp_path: Path) -> None:
    """Linted, checked and built anew, at the versions of the lock file."""
    npm = shutil.which("npm")
    if npm is None:
        (pytest.fail if os.environ.get("REQUIRE_SERVICES") == "1" else pytest.skip)("npm is not installed")
    folder = shutil.copytree(ROOT / "browser", tmp_path / "browser", ignore=shutil.ignore_patterns("node_modules"))
    built = tmp_path / "footlights" / "browser" / BUILT.name
    for words in (("ci", "--ignore-scripts", "--no-audit", "--no-fund"), ("run", "build")):
        told = subprocess.run([npm, *words], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        assert told.returncode == 0, told.stdout + told.stderr
    assert built.read_bytes() == BUILT.read_bytes()


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
    until(lambda: waiting(page) == 0)
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
    until(lambda: waiting(page) == 0)


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
