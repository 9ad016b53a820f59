"""posthog-js, unmodified, in Chromium: what it captures arrives whole, and nothing that it asks for upsets it."""

import json
from typing import Any

import pytest

from tests.clients.browser.arriving import arrived, is_recent, pseudonym, told
from tests.clients.browser.conftest import Open
from tests.collector.conftest import Served

pytestmark = [pytest.mark.kafka, pytest.mark.browser]
#: Headless Chromium calls itself so in its client hints, and posthog-js would take it for a robot.
ALWAYS = {"opt_out_useragent_filter": True}


def page_of(served: Served, source: str, script: str = "dist/module.js", **options: Any) -> str:
    settings = json.dumps({"api_host": served.url, **ALWAYS, **options})
    return f"""<button id="b">x</button><script type="module">
      import posthog from '/node_modules/posthog-js/{script}'
      window.posthog = posthog
      posthog.init('{served.token(source)}', {settings})
    </script>"""


@pytest.mark.parametrize("options", [{}, {"disable_compression": True}, {"api_transport": "XHR"}], ids=str)
def test_everything_it_captures_arrives(shared: Served, open_page: Open, options: dict[str, Any]) -> None:
    source = "posthog-js" + "".join(options)
    address = "/events/1?utm_campaign=spring&utm_source=news"
    page, complaints = open_page(address, page_of(shared, source, **options))
    page.wait_for_function("window.posthog?.__loaded")
    visitor = page.evaluate("posthog.get_distinct_id()")
    page.evaluate("posthog.capture('song_requested', {song: 'Imagine', n: 2, gone: null})")
    page.evaluate("posthog.identify('u-1', {plan: 'gold'}, {first: 'x'})")
    page.evaluate("posthog.group('company', 'acme', {size: 3})")
    page.evaluate("posthog.captureException(new TypeError('no such seat'))")
    page.click("#b")
    page.wait_for_timeout(3_500)  # it sends every three seconds
    page.evaluate("posthog.capture('left_early')")
    page.goto("about:blank")  # the rest goes by a beacon
    names = {
        "page_view", "song_requested", "profile_updated", "group", "crash", "element_clicked", "left_early", "page_left",
    }  # fmt: skip
    found = arrived(shared, source, names)
    assert not complaints
    view, song, who = found["page_view"], found["song_requested"], found["profile_updated"]
    assert (view["path"], view["title"], view["referrer"]) == ("/events/1", "Shop", "https://search.example/x")
    assert view["url"].endswith(address) and (view["device"], view["os"], view["browser"]) == (
        "desktop",
        "Linux",
        "Chrome",
    )
    assert view["campaign"] == "spring" and told(view)["utm_source"] == "news"
    assert (view["user_id"], view["anonymous_id"]) == (None, pseudonym(visitor)) and view["session_id"]
    assert told(song)["song"] == "Imagine" and told(song)["n"] == 2 and "gone" not in told(song)
    assert (who["user_id"], who["anonymous_id"]) == (pseudonym("u-1"), pseudonym(visitor))
    assert told(who)["plan"] == "gold" and told(who)["first"] == "x"
    assert told(found["group"])["group_id"] == "acme" and told(found["group"])["size"] == 3
    assert (found["crash"]["error"], found["crash"]["component"]) == ("TypeError", "browser")
    assert found["left_early"]["user_id"] == found["page_left"]["user_id"] == pseudonym("u-1")
    assert not any(raw in record["properties"] for record in found.values() for raw in ('"u-1"', visitor, "flk_"))
    assert all(is_recent(record) and not record["automatic"] for record in found.values())


def test_an_alias_names_the_visitor(shared: Served, open_page: Open) -> None:
    page, _ = open_page("/", page_of(shared, "posthog-alias"))
    page.wait_for_function("window.posthog?.__loaded")
    visitor = page.evaluate("posthog.get_distinct_id()")
    page.evaluate("void posthog.alias('u-2')")
    linked = arrived(shared, "posthog-alias", {"identity_linked"})["identity_linked"]
    assert (linked["user_id"], linked["anonymous_id"]) == (pseudonym("u-2"), pseudonym(visitor))


def test_vitals_and_what_else_it_may_switch_on(shared: Served, open_page: Open) -> None:
    """With all that the client can do switched on: what needs no script of its vendor works, nothing else complains."""
    options = {
        "capture_performance": {"web_vitals": True, "network_timing": True}, "capture_dead_clicks": True,
        "person_profiles": "always", "session_recording": {"maskAllInputs": True}, "disable_session_recording": False,
        "capture_exceptions": True,
    }  # fmt: skip
    body = page_of(shared, "posthog-full", "dist/module.full.no-external.js", **options)
    page, complaints = open_page("/vitals", body)
    page.wait_for_function("window.posthog?.__loaded")
    page.evaluate("void posthog.reloadFeatureFlags()")
    page.evaluate("void posthog.getActiveMatchingSurveys(() => {})")
    page.evaluate("void setTimeout(() => { throw new RangeError('seat') })")
    page.click("#b")
    page.wait_for_timeout(500)
    page.goto("about:blank")
    found = arrived(shared, "posthog-full", {"page_view", "page_loaded", "crash"})
    loaded = found["page_loaded"]
    assert (loaded["operation"], loaded["component"]) == ("/vitals", "browser") and loaded["response_time_ms"] > 0
    assert "$session_id" not in loaded["properties"]
    assert found["crash"]["error"] == "RangeError"
    assert [text for text in complaints if "seat" not in text] == []


def test_events_wait_while_the_collector_is_away(shared: Served, open_page: Open) -> None:
    page, _ = open_page("/", page_of(shared, "posthog-offline"))
    page.wait_for_function("window.posthog?.__loaded")
    page.wait_for_timeout(3_500)
    page.context.set_offline(True)
    page.evaluate("posthog.capture('song_requested', {}, {send_instantly: true})")
    page.wait_for_timeout(2_500)
    page.context.set_offline(False)
    song = arrived(shared, "posthog-offline", {"page_view", "song_requested"})["song_requested"]
    assert song["sent_at_ms"] - song["occurred_at_ms"] > 1_500 and is_recent(song)
