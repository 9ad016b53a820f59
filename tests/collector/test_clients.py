"""Unmodified clients of other vendors, and a browser's words: what they send arrives, once, under our names."""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mmdb_writer
import netaddr
import pytest
import segment.analytics
from footlights import HmacPseudonymiser, uuid7_of
from posthog import Posthog

from schemas.families import FAMILIES
from tests.collector.conftest import Served
from tests.producers.reading import Read, read

pytestmark = pytest.mark.kafka
TOPICS = [f.topic for f in FAMILIES.values()]
Serve = Callable[..., Served]


def arrived(served: Served, source: str, number: int) -> list[Read]:
    deadline = time.monotonic() + 30
    while len(found := read(served.kafka, TOPICS, source)) < number:
        assert time.monotonic() < deadline, f"{len(found)} of {number}"
        time.sleep(0.1)
    assert len(found) == number
    return found


def pseudonym(raw: str) -> str:
    return HmacPseudonymiser(b"k" * 32)("default", raw)


@pytest.mark.parametrize("gzip", [False, True])
def test_segments_analytics_python(shared: Served, gzip: bool) -> None:
    source, problems = f"segment-{gzip}", []
    client = segment.analytics.Client(
        shared.token(source), host=shared.url, gzip=gzip, on_error=lambda error, _: problems.append(error)
    )
    bought = {"amount_minor": 5_000, "currency": "USD", "quantity": "2", "hosted_event_id": "e1", "seat": "A1"}
    for number in range(150):
        client.track(user_id=f"u{number}", event="ticket_purchased", properties=bought)
    client.page(anonymous_id="v1", properties={"url": "https://shop.example/", "path": "/"})
    client.identify(user_id="u1", traits={"plan": "gold"})
    client.alias(previous_id="v1", user_id="u1")
    client.flush()
    client.join()
    found = arrived(shared, source, 153)
    assert not problems
    assert Counter(r.record["event_name"] for r in found) == {
        "ticket_purchased": 150, "page_view": 1, "profile_updated": 1, "identity_linked": 1,
    }  # fmt: skip
    one = next(r.record for r in found if r.record["event_name"] == "ticket_purchased")
    assert (one["amount_minor"], one["currency"], one["quantity"], one["properties"]) == (
        5_000,
        "USD",
        2,
        '{"seat":"A1"}',
    )
    assert one["original_id"] and {r.record["user_id"] for r in found} >= {pseudonym(f"u{n}") for n in range(150)}
    linked = next(r.record for r in found if r.record["event_name"] == "identity_linked")
    assert (linked["user_id"], linked["anonymous_id"]) == (pseudonym("u1"), pseudonym("v1"))


@pytest.mark.parametrize("gzip", [False, True])
def test_posthog_python(shared: Served, gzip: bool) -> None:
    source, problems = f"posthog-{gzip}", []
    client = Posthog(shared.token(source), host=shared.url, gzip=gzip, on_error=lambda error, _: problems.append(error))
    for number in range(120):
        client.capture("song_requested", distinct_id=f"p{number}", properties={"seat": number})
    view = {"$current_url": "https://shop.example/y", "$pathname": "/y", "$ip": "203.0.113.9", "$session_id": "s1"}
    client.capture("$pageview", distinct_id="p1", properties=view)
    client.shutdown()
    found = arrived(shared, source, 121)
    assert not problems
    page = next(r for r in found if r.record["event_name"] == "page_view")
    assert (page.record["path"], page.record["url"]) == ("/y", "https://shop.example/y")
    assert b"203.0.113.9" not in page.payload and page.record["user_id"] == pseudonym("p1")


def test_posthog_by_curl(shared: Served) -> None:
    token = shared.token("curl")
    body = '{"api_key": "%s", "event": "waved", "distinct_id": "p9", "properties": {"hand": "left"}}' % token  # noqa: UP031
    for path in ("/i/v0/e/", "/capture/"):
        words = [
            "curl",
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            "Content-Type: application/json",
            "-d",
            body,
        ]
        assert subprocess.run([*words, shared.url + path], capture_output=True, text=True, check=True).stdout == "200"
    assert {r.record["event_name"] for r in arrived(shared, "curl", 2)} == {"waved"}


def test_a_repeated_request_gives_the_same_ids(shared: Served) -> None:
    token = shared.token("repeats")
    at = datetime.now(UTC) - timedelta(hours=1)
    event = {"event": "search", "userId": "u1", "messageId": "m-1", "timestamp": at.isoformat()}
    ids = {shared.post("/v1/track", event, token).body["data"]["results"][0]["message_id"] for _ in range(3)}
    assert ids == {uuid7_of(int(at.timestamp() * 1000), "default", "repeats", "m-1")}
    assert {r.record["original_id"] for r in arrived(shared, "repeats", 3)} == {"m-1"}


@pytest.mark.parametrize("off", [timedelta(hours=-1), timedelta(days=1), timedelta(0)])
def test_a_clock_that_is_wrong_is_corrected(shared: Served, off: timedelta) -> None:
    source = f"clock-{off.total_seconds():.0f}"
    theirs = datetime.now(UTC) + off
    event = {
        "type": "track",
        "event": "search",
        "userId": "u1",
        "timestamp": (theirs - timedelta(minutes=5)).isoformat(),
    }
    assert (
        shared.post("/v1/batch", {"batch": [event], "sentAt": theirs.isoformat()}, shared.token(source)).status == 202
    )
    (one,) = arrived(shared, source, 1)
    true = (datetime.now(UTC) - timedelta(minutes=5)).timestamp() * 1000
    assert abs(one.record["occurred_at_ms"] - true) < 20_000
    assert abs(one.record["sent_at_ms"] - theirs.timestamp() * 1000) < 2


def test_browsers_bring_device_and_city_and_their_address_goes_no_further(serve: Serve, tmp_path: Path) -> None:
    writer = mmdb_writer.MMDBWriter(4, "GeoLite2-City", languages=["en"])
    place = {"city": {"names": {"en": "Köln"}}, "country": {"iso_code": "DE"}}
    writer.insert_network(netaddr.IPSet(["203.0.113.0/24"]), place)
    writer.to_db_file(str(tmp_path / "cities.mmdb"))
    served = serve(geo_database=str(tmp_path / "cities.mmdb"), geo_least_people=1, trust_forwarded=True)
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Version/17.0 Mobile/15E148 Safari/604.1"
    bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    token = served.token("browser")
    around = {"origin": "https://shop.example", "x_forwarded_for": "198.51.100.1, 203.0.113.9"}
    for agent in (phone, bot):
        event: dict[str, Any] = {"type": "page", "anonymousId": "v1", "properties": {"path": "/"}}
        answer = served.ask(
            "POST", "/v1/batch", f'{{"writeKey": "{token}", "batch": [{json.dumps(event)}]}}'.encode(),
            content_type="text/plain;charset=UTF-8", user_agent=agent, **around,
        )  # fmt: skip
        assert answer.status == 202 and answer.headers["access-control-allow-origin"] == "https://shop.example"
    seen, crawled = sorted(arrived(served, "browser", 2), key=lambda r: r.record["automatic"])
    record = seen.record
    assert (record["city"], record["country"], record["device"], record["os"]) == ("Köln", "DE", "mobile", "iOS")
    assert crawled.record["automatic"] and crawled.record["device"] == "bot"
    assert b"203.0.113.9" not in seen.payload
