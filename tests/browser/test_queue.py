"""What the snippet took is sent once, in pieces that a browser allows, whichever page closes and whatever is offline."""

import json
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.site import Site, Visit, chromium, context, site, visit, waiting
from tests.producers.test_integrations import until

__all__ = ["chromium", "context", "site", "visit"]
pytestmark = pytest.mark.browser


def track(page: Page, name: str, number: int = 1, size: int = 10) -> None:
    """Track so many events in one task, of about so many bytes each."""
    page.evaluate(
        """([name, number, size]) => {
            for (let i = 0; i < number; i++) footlights.track(name, {i, text: 'x'.repeat(size)})}""",
        [name, number, size],
    )


def is_empty(page: Page) -> bool:
    return waiting(page) == 0


def warned(page: Page) -> list[str]:
    found = list[str]()
    page.on("console", lambda message: found.append(message.text) if message.type == "warning" else None)
    return found


@pytest.mark.parametrize(("number", "size"), [(40, 2_000), (400, 100), (7, 20_000), (3, 58_000)])
def test_more_than_a_browser_sends_at_once_arrives(site: Site, visit: Visit, number: int, size: int) -> None:
    page = visit()
    track(page, "song_requested", number, size)
    track(page, "ticket_purchased")
    until(lambda: len(site.named("song_requested")) == number and bool(site.named("ticket_purchased")))
    until(lambda: is_empty(page))
    assert set(site.times().values()) == {1}
    assert {e["properties"]["i"] for e in site.named("song_requested")} == set(range(number))


def test_a_large_event_goes_alone_and_a_too_large_one_holds_up_nothing(site: Site, visit: Visit) -> None:
    page = visit()
    seen = warned(page)
    for size in (64_500, 70_000, 2_000_000):
        track(page, f"of {size}", 1, size)
    page.evaluate("footlights.track('of emoji', {text: '🎷'.repeat(20000)})")  # 80 kB in UTF-8, 40,000 units
    page.evaluate("const ring = {}; ring.ring = ring; footlights.track('no JSON', ring)")
    track(page, "ticket_purchased")
    until(lambda: bool(site.named("ticket_purchased")) and is_empty(page))
    assert {e.get("event") for e in site.events()} == {None, "of 64500", "ticket_purchased"}
    assert len(seen) == 4 and all("dropped" in text for text in seen)


def test_other_requests_of_the_page_may_take_the_room(site: Site, visit: Visit) -> None:
    """A page's own keepalive requests share the 64 KiB: the browser refuses ours, and they go without."""
    page = visit()
    until(lambda: is_empty(page))
    page.evaluate(
        """() => {
            const own = window.fetch
            window.tried = []
            window.fetch = (what, how) => {
                tried.push(how.keepalive)
                return how.keepalive ? Promise.reject(new TypeError('over the limit')) : own(what, how)
            }}"""
    )
    track(page, "ticket_purchased", 3, 2_000)
    until(lambda: len(site.named("ticket_purchased")) == 3 and is_empty(page))
    assert page.evaluate("tried") == [True, False]


def test_two_tabs_keep_their_own(site: Site, visit: Visit, context: BrowserContext) -> None:
    site.status = 503
    tabs = [visit(f"/{number}") for number in range(3)]
    for number, page in enumerate(tabs):
        track(page, f"tab {number}", 5)
    until(lambda: waiting(tabs[0]) >= 18)
    for page in tabs[1:]:
        page.close()
    tabs[0].wait_for_timeout(500)  # what they said last is refused too
    site.status = 202
    tabs[0].evaluate("dispatchEvent(new Event('online'))")
    until(lambda: is_empty(tabs[0]), 20)
    for number in range(3):
        assert len(site.named(f"tab {number}")) == 5
    assert len(site.named("page")) == 3
    assert set(site.times().values()) == {1}


def test_living_tabs_leave_each_other_alone(site: Site, visit: Visit) -> None:
    site.status = 503
    one, other = visit("/1"), visit("/2")
    track(one, "mine", 5)
    until(lambda: bool(site.refused))
    other.evaluate("dispatchEvent(new Event('online'))")
    visit("/3").wait_for_timeout(500)
    site.status = 202
    for page in (one, other):
        page.evaluate("dispatchEvent(new Event('online'))")
    until(lambda: is_empty(one), 20)
    assert len(site.named("mine")) == 5 and len(site.named("page")) == 3
    assert set(site.times().values()) == {1}


def test_a_tab_that_crashes_leaves_its_events(site: Site, visit: Visit, context: BrowserContext) -> None:
    site.status = 503
    living = visit("/living")
    dying = context.new_page()
    # It gets no chance to say good-bye, as a process that is killed.
    dying.add_init_script("""const add = window.addEventListener
        window.addEventListener = (kind, ...more) => kind == 'pagehide' || add.call(window, kind, ...more)
        document.addEventListener = () => {}""")
    dying.goto(f"{site.url}/dying")
    track(dying, "last words", 5)
    until(lambda: any(e.get("event") == "last words" for batch in site.refused for e in batch["batch"]))
    dying.close()
    living.wait_for_timeout(300)
    site.status = 202
    living.evaluate("dispatchEvent(new Event('online'))")
    until(lambda: len(site.named("last words")) == 5 and is_empty(living), 20)
    assert set(site.times().values()) == {1}


def test_a_tab_that_is_closed_while_it_sends(site: Site, visit: Visit) -> None:
    site.delay_s = 1.0
    page = visit("/1")
    track(page, "song_requested", 3)
    page.wait_for_timeout(500)
    page.close()
    site.delay_s = 0.0
    page = visit("/2")
    until(lambda: len(site.named("song_requested")) == 3 and is_empty(page))
    # Nobody heard the first answer, so they may come twice: under the same ids.
    assert len(site.named("song_requested")) == 3


def test_back_from_the_browsers_cache(site: Site, visit: Visit) -> None:
    """What another page took over meanwhile is not sent by this one too."""
    site.status = 503
    first = visit("/1")
    track(first, "song_requested", 3)
    until(lambda: bool(site.refused))
    first.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    other = visit("/2")
    other.wait_for_timeout(300)
    site.delay_s, site.status = 0.5, 202
    other.evaluate("dispatchEvent(new Event('online'))")
    first.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    track(first, "ticket_purchased")
    until(lambda: is_empty(other), 20)
    assert [len(site.named(name)) for name in ("page", "song_requested", "ticket_purchased")] == [2, 3, 1]
    assert set(site.times().values()) == {1}


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_bad_event_takes_no_others_with_it(site: Site, visit: Visit, status: int) -> None:
    site.judge = lambda batch: status if any(e.get("event") == "bad" for e in batch["batch"]) else 202
    page = visit()
    seen = warned(page)
    for name in ("good", "bad", "good"):
        track(page, name, 7)
    until(lambda: len(site.named("good")) == 14 and is_empty(page), 20)
    assert set(site.times().values()) == {1} and len(seen) == 7


@pytest.mark.parametrize("status", [401, 403, 404, 415])
def test_a_refusal_that_will_not_change_ends_with_its_piece(site: Site, visit: Visit, status: int) -> None:
    site.status = status
    page = visit()
    seen = warned(page)
    track(page, "lost", 5)
    until(lambda: is_empty(page) and bool(seen))
    assert len(site.refused) <= 2
    site.status = 202
    track(page, "kept")
    until(lambda: bool(site.named("kept")))


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_refusal_for_now_is_repeated_with_the_time_of_each_attempt(site: Site, visit: Visit, status: int) -> None:
    site.status = status
    page = visit()
    until(lambda: bool(site.refused))
    site.status = 202
    until(lambda: len(site.events()) == 1 and is_empty(page), 20)
    first, last = site.refused[0], site.batches[0]
    assert first["batch"] == last["batch"] and first["sentAt"] < last["sentAt"]


BROKEN = {
    "denied": "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError') }})",
    "null": "Object.defineProperty(window, 'localStorage', {value: null})",
    "full": "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }",
    "nearly full": """const set = Storage.prototype.setItem; let room = 2
        Storage.prototype.setItem = function (...words) { if (!room--) throw new DOMException('full'); set.apply(this, words) }""",
    "no locks": "Object.defineProperty(navigator, 'locks', {value: undefined})",
    "locks that throw": "navigator.locks.request = () => Promise.reject(new DOMException('no', 'SecurityError'))",
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_a_browser_that_lacks_something(site: Site, context: BrowserContext, how: str) -> None:
    context.add_init_script(BROKEN[how])
    page = context.new_page()
    problems: list[Any] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(site.url)
    track(page, "song_requested", 40, 2_000)
    until(lambda: len(site.named("song_requested")) == 40 and bool(site.named("page")))
    track(page, "ticket_purchased")
    until(lambda: bool(site.named("ticket_purchased")))
    assert set(site.times().values()) == {1} and not problems


def test_a_store_with_rubbish_in_it(site: Site, context: BrowserContext) -> None:
    good = {"type": "track", "event": "left", "messageId": "m-1", "anonymousId": "v"}
    left = {
        "fl_q1.0": "{", "fl_q1.1": "null", "fl_q2.0": "5", "fl_q2.1": '{"a": 1}', "fl_q": "[1", "fl_q3.0": json.dumps(good),
        "fl_id": "{", "fl_ok": "7", "fl_queue": "[",
    }  # fmt: skip
    page = context.new_page()
    page.goto(f"{site.url}/nothing.js")  # the site's origin, without the snippet
    page.evaluate("(left) => Object.assign(localStorage, left)", left)
    page.goto(site.url)
    until(lambda: bool(site.named("left")) and bool(site.named("page")))
    page.wait_for_timeout(300)
    assert set(site.times().values()) == {1} and site.named("left") == [good]
    assert set(page.evaluate("Object.keys(localStorage)")) <= {"fl_id", "fl_ok", "fl_q", "fl_queue"}


def test_offline_and_online_again(site: Site, visit: Visit, context: BrowserContext) -> None:
    page = visit()
    until(lambda: is_empty(page))
    context.set_offline(True)
    track(page, "song_requested", 300, 500)
    page.wait_for_timeout(1_000)
    assert not site.named("song_requested")
    context.set_offline(False)
    until(lambda: len(site.named("song_requested")) == 300 and is_empty(page), 20)
    assert set(site.times().values()) == {1}


def test_consent_withdrawn_empties_what_waits(site: Site, visit: Visit) -> None:
    site.status = 503
    page = visit()
    track(page, "song_requested", 3)
    until(lambda: bool(site.refused))
    page.evaluate("footlights.consent(false)")
    site.status = 202
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_timeout(500)
    assert is_empty(page) and not site.batches
