"""@segment/analytics-next, unmodified, in Chromium: page, track, identify, group and alias, one by one and in batches."""

import json
from typing import Any

import pytest

from tests.clients.browser.arriving import arrived, is_recent, pseudonym, told
from tests.clients.browser.conftest import Open
from tests.collector.conftest import Served

pytestmark = [pytest.mark.kafka, pytest.mark.browser]
LIBRARY = '<script src="/node_modules/@segment/analytics-next/dist/umd/index.js"></script>'
NAMES = {"page_view", "song_requested", "profile_updated", "group", "identity_linked", "left_early"}


def page_of(settings: dict[str, Any], options: dict[str, Any]) -> str:
    return f"""{LIBRARY}<script>
      window.a = AnalyticsNext.AnalyticsBrowser.load({json.dumps(settings)}, {json.dumps(options)})
      a.page()
    </script>"""


def own_settings(served: Served, key: str) -> dict[str, Any]:
    """Without a request for settings: the collector is named in the page."""
    host = served.url.removeprefix("http://")
    return {
        "writeKey": key,
        "cdnSettings": {"integrations": {"Segment.io": {"apiKey": key, "apiHost": f"{host}/v1", "protocol": "http"}}},
    }


@pytest.mark.parametrize("asks", [True, False], ids=["settings-asked", "settings-given"])
@pytest.mark.parametrize("strategy", ["standard", "batching"])
def test_everything_it_sends_arrives(shared: Served, open_page: Open, asks: bool, strategy: str) -> None:
    source = f"next-{strategy}-{asks}"
    key = shared.token(source)
    settings = {"writeKey": key, "cdnURL": shared.url} if asks else own_settings(shared, key)
    options = {"integrations": {"Segment.io": {"deliveryStrategy": {"strategy": strategy}}}}
    address = "/events/1?utm_campaign=spring&utm_source=news"
    page, complaints = open_page(address, page_of(settings, options))
    page.evaluate("() => { a.track('song_requested', {song: 'Imagine', n: 2}) }")
    visitor = page.evaluate("a.user().then((user) => user.anonymousId())")
    page.wait_for_timeout(500)  # it names a user in what it has not sent yet
    page.evaluate("() => { a.alias('u-1'); a.identify('u-1', {plan: 'gold'}); a.group('g-1', {size: 3}) }")
    page.wait_for_timeout(500)
    page.evaluate("() => { a.track('left_early') }")
    page.wait_for_timeout(200)
    page.goto("about:blank")
    found = arrived(shared, source, NAMES)
    assert not complaints
    view, song, who = found["page_view"], found["song_requested"], found["profile_updated"]
    assert (view["path"], view["title"], view["referrer"]) == ("/events/1", "Shop", "https://search.example/x")
    assert view["url"].endswith(address) and song["path"] == "/events/1"
    assert (view["device"], view["os"], view["browser"]) == ("desktop", "Linux", "Chrome")
    assert view["campaign"] == "spring" and told(view)["utm_source"] == "news"
    assert (view["user_id"], view["anonymous_id"]) == (None, pseudonym(visitor))
    assert told(song)["song"] == "Imagine" and told(song)["n"] == 2
    assert (who["user_id"], who["anonymous_id"]) == (pseudonym("u-1"), pseudonym(visitor))
    assert told(who) == {"plan": "gold"}
    assert told(found["group"]) == {"size": 3, "group_id": "g-1"}
    linked = found["identity_linked"]
    assert (linked["user_id"], linked["anonymous_id"]) == (pseudonym("u-1"), pseudonym(visitor))
    assert found["left_early"]["user_id"] == pseudonym("u-1")
    assert all(is_recent(record) and (record["automatic"] is (record is linked)) for record in found.values())


def test_an_alias_of_two_names_links_these_two(shared: Served, open_page: Open) -> None:
    page, _ = open_page("/", page_of({"writeKey": shared.token("next-alias"), "cdnURL": shared.url}, {}))
    page.evaluate("() => { a.alias('u-2', 'old-2') }")
    linked = arrived(shared, "next-alias", {"identity_linked"})["identity_linked"]
    assert (linked["user_id"], linked["anonymous_id"]) == (pseudonym("u-2"), pseudonym("old-2"))
