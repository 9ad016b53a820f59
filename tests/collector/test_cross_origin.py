"""What pages of other sites may send and read: any header, any beacon, on every route; never more than their write key allows."""

import base64
import gzip
import json
import time
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from footlights.collector.app import ROUTES
from playwright.sync_api import BrowserContext

from tests.browser.site import Site, chromium, context, site
from tests.collector.conftest import Served
from tests.producers.reading import Read, read

__all__ = ["chromium", "context", "site"]
pytestmark = pytest.mark.kafka
SHOP = "https://shop.example"
TOPICS = ["events.interaction"]


def arrived(served: Served, source: str, number: int) -> list[Read]:
    deadline = time.monotonic() + 20
    while len(found := read(served.kafka, TOPICS, source)) < number:
        assert time.monotonic() < deadline, f"{len(found)} of {number}"
        time.sleep(0.1)
    assert len(found) == number
    return found


def event(vendor: str, name: str = "waved") -> dict[str, Any]:
    return {
        "segment": {"type": "track", "event": name, "anonymousId": "v1"},
        "posthog": {"event": name, "distinct_id": "v1"},
        "own": {"event_name": name, "anonymous_id": "v1"},
    }[vendor]


@pytest.mark.parametrize("path", [*sorted(ROUTES), "/flags", "/no/such/route"])
def test_a_preflight_allows_whatever_is_asked(shared: Served, path: str) -> None:
    answer = shared.ask(
        "OPTIONS", path, origin=SHOP, access_control_request_method="POST",
        access_control_request_headers="sentry-trace, baggage, traceparent, x-request-id",
        access_control_request_private_network="true",
    )  # fmt: skip
    assert answer.status == 204
    names = {name.strip() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert {"sentry-trace", "baggage", "traceparent", "x-request-id", "authorization", "content-type"} <= names
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-private-network"] == "true"
    assert int(answer.headers["access-control-max-age"]) > 0
    assert_readable(answer.headers)


def assert_readable(headers: dict[str, str]) -> None:
    assert headers["access-control-allow-origin"] == SHOP and headers["access-control-allow-credentials"] == "true"
    assert "Origin" in headers["vary"] and headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/v1/batch", b"{}", {}, 401),
        ("POST", "/v1/batch", b"{", {"authorization": "Bearer x"}, 400),
        ("POST", "/v1/batch", b"{}", {"content_type": "application/xml"}, 415),
        ("POST", "/v1/batch", b" " * ((1 << 20) + 1), {}, 413),
        ("GET", "/v1/batch", None, {}, 405),
        ("GET", "/no/such/route", None, {}, 404),
        ("GET", "/static/array.js", None, {}, 404),
        ("GET", "/health", None, {}, 200),
    ],
)
def test_every_answer_can_be_read(
    shared: Served, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    answer = shared.ask(method, path, body, origin=SHOP, **headers)
    assert answer.status == status
    assert_readable(answer.headers)


def test_a_page_can_read_when_to_come_back(shared: Served) -> None:
    token = shared.token("slow", rate_per_s=0.1)
    answers = [shared.post("/v1/track", event("segment"), token, origin=SHOP) for _ in range(2)]
    assert [answer.status for answer in answers] == [202, 429]
    assert "Retry-After" in answers[1].headers["access-control-expose-headers"] and answers[1].headers["retry-after"]
    assert_readable(answers[1].headers)


def test_a_client_without_origin_is_told_so(shared: Served) -> None:
    headers = shared.ask("GET", "/health").headers
    assert headers["access-control-allow-origin"] == "*" and "access-control-allow-credentials" not in headers


@pytest.mark.parametrize("origin", ["x\tset-cookie: a=b", "javascript:alert(1)", "https://a b", '"'])
def test_an_origin_that_is_none_is_not_repeated(shared: Served, origin: str) -> None:
    assert shared.ask("GET", "/health", origin=origin).headers["access-control-allow-origin"] == "*"


def wrapped(text: str) -> dict[str, tuple[bytes, str | None]]:
    """A JSON text in every wrapping: (body, content type)."""
    raw, form = text.encode(), "application/x-www-form-urlencoded"
    coded = base64.b64encode(raw).decode()
    parts = f'--b\r\nContent-Disposition: form-data; name="data"\r\n\r\n{text}\r\n--b--\r\n'.encode()
    return {
        "a text": (raw, "text/plain;charset=UTF-8"),
        "a blob": (raw, "application/json"),
        "bytes": (raw, None),
        "curl": (raw, form),
        "a form": (urlencode({"data": text}).encode(), form),
        "a form of base64": (urlencode({"data": coded}).encode(), form),
        "a form of base64, not escaped": (f"data={coded}".encode(), form),
        "form data": (parts, "multipart/form-data; boundary=b"),
        "base64": (coded.encode(), "text/plain"),
        "gzip that no header names": (gzip.compress(raw, mtime=0), "text/plain"),
        "base64 of gzip": (quote(base64.b64encode(gzip.compress(raw, mtime=0))).join(("data=", "")).encode(), form),
    }


@pytest.mark.parametrize("path", ["/api/analytics/events/track", "/v1/batch", "/v1/t", "/e/", "/batch/", "/i/v0/e/"])
def test_beacons_of_every_kind_are_taken_on_every_route(shared: Served, path: str) -> None:
    source = f"beacon{path.replace('/', '-')}"
    token, vendor = shared.token(source), ROUTES[path.rstrip("/")].vendor
    ways = wrapped("")
    for number, way in enumerate(ways):
        one = event(vendor, f"waved ü>?{number}")
        whole = {"batch": [one]} if path in ("/v1/batch", "/batch/") else one
        body, kind = wrapped(json.dumps(whole, ensure_ascii=False))[way]
        headers = {"content_type": kind} if kind else {}
        answer = shared.ask("POST", f"{path}?api_key={token}", body, origin=SHOP, **headers)
        assert answer.status == (200 if vendor == "posthog" else 202), (way, answer)
    names = {one.record["event_name"] for one in arrived(shared, source, len(ways))}
    assert names == {f"waved ü>?{number}" for number in range(len(ways))}


@pytest.mark.parametrize("name", ["api_key", "write_key", "writeKey", "token"])
def test_a_key_may_stand_in_the_query_or_the_form(shared: Served, name: str) -> None:
    token = shared.token(f"key-{name}")
    assert shared.ask("POST", f"/v1/t?{name}={token}", json.dumps(event("segment")).encode()).status == 202
    form = urlencode({"data": json.dumps(event("segment")), name: token}).encode()
    answer = shared.ask("POST", "/v1/t", form, content_type="application/x-www-form-urlencoded")
    assert answer.status == 202
    arrived(shared, f"key-{name}", 2)


def test_a_key_of_ours_is_found_behind_an_authorization_of_the_page(shared: Served) -> None:
    token = shared.token("interceptor")
    body = {"writeKey": token, "batch": [event("segment")]}
    assert shared.post("/v1/batch", body, "eyJhbGciOiJub25lIn0.e30.").status == 202
    arrived(shared, "interceptor", 1)


def test_events_that_name_their_key_themselves(shared: Served) -> None:
    mine, other = shared.token("mine"), shared.token("other")
    named = [{**event("posthog"), "properties": {"token": token}} for token in (mine, mine, other)]
    assert shared.ask("POST", "/e/", json.dumps(named[:2]).encode()).status == 200
    # Of two keys neither can be meant for all.
    assert shared.ask("POST", "/e/", json.dumps(named).encode()).status == 401
    arrived(shared, "mine", 2)


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"x=1", "application/x-www-form-urlencoded", 400, "INVALID_JSON"),
        (b"data=", "application/x-www-form-urlencoded", 400, "INVALID_JSON"),
        (b"data=%ff", "application/x-www-form-urlencoded", 400, "INVALID_JSON"),
        (b"&".join(b"%d=1" % number for number in range(99)), "application/x-www-form-urlencoded", 400, "INVALID_JSON"),
        (b"data=bm8=", "application/x-www-form-urlencoded", 400, "INVALID_JSON"),
        (b"--x", "multipart/form-data", 400, "INVALID_JSON"),
        (b"\x1f\x8b\x08 not gzip", "text/plain", 400, "BAD_ENCODING"),
        (gzip.compress(b"0" * (11 << 20), mtime=0), "text/plain", 413, "DECOMPRESSED_TOO_LARGE"),
        (base64.b64encode(gzip.compress(b"0" * (11 << 20), mtime=0)), "text/plain", 413, "DECOMPRESSED_TOO_LARGE"),
    ],
)
def test_a_broken_wrapping_is_told(shared: Served, body: bytes, kind: str, status: int, code: str) -> None:
    answer = shared.ask("POST", f"/v1/t?api_key={shared.token()}", body, content_type=kind, origin=SHOP)
    assert (answer.status, answer.body["error_code"]) == (status, code)


def test_older_clients_tell_how_long_ago_it_was(shared: Served) -> None:
    """They have no time but an offset; a request that is repeated is sent later, and is the same event still."""
    token, now = shared.token("offset"), int(time.time() * 1000)
    told = {**event("posthog"), "uuid": "one", "offset": 90_000}
    ids = set()
    for later in (0, 5_000):
        answer = shared.ask("POST", f"/e/?_={now + later}&api_key={token}", json.dumps([told]).encode())
        ids.add(answer.body["results"][0]["message_id"])
    first = arrived(shared, "offset", 2)[0].record
    assert len(ids) == 1 and abs(first["received_at_ms"] - 90_000 - first["occurred_at_ms"]) < 10
    assert first["sent_at_ms"] in (now, now + 5_000)


@pytest.mark.browser
def test_a_traced_page_and_its_beacons(shared: Served, site: Site, context: BrowserContext) -> None:
    """In a real browser, across origins: what a tracing library does to `fetch`, and each thing that a beacon can carry."""
    token = shared.token("traced")
    site.endpoint, site.attributes = shared.url, f'data-key="{token}"'
    context.add_init_script("""
        const plain = window.plain = window.fetch
        window.fetch = (what, how = {}) => plain(what, {...how, headers:
            {...how.headers, 'sentry-trace': '0-0-1', baggage: 'a=b', traceparent: '00-0-0-01'}})""")
    page = context.new_page()
    page.goto(f"{site.url}/traced")
    own, query = f"{shared.url}/api/analytics/events/track", f"?write_key={token}"
    sent = page.evaluate(
        """([own, query]) => {
            const text = (name) => JSON.stringify({event_name: name, anonymous_id: 'v1'}), form = new FormData()
            form.set('data', text('by form'))
            const beacon = (body) => navigator.sendBeacon(own + query, body)
            plain(own + query, {method: 'POST', mode: 'no-cors', body: text('by no-cors')})
            return [
                beacon(text('by text')), beacon(new Blob([text('by blob')], {type: 'application/json'})),
                beacon(new URLSearchParams({data: text('by parameters')})), beacon(form),
                beacon(new TextEncoder().encode(text('by bytes'))),
            ]}""",
        [own, query],
    )
    assert sent == [True] * 5
    names = {one.record["event_name"] for one in arrived(shared, "traced", 7)}
    ways = ("text", "blob", "parameters", "form", "bytes", "no-cors")
    assert names == {"page_view", *(f"by {way}" for way in ways)}


def test_settings_tell_nothing_of_keys(shared: Served) -> None:
    known, unknown = shared.token("settings"), "flk_unknown"
    answers = [shared.ask("GET", f"/v1/projects/{key}/settings", origin=SHOP) for key in (known, unknown)]
    mine, other = (answer.body["integrations"]["Segment.io"] for answer in answers)
    assert mine["apiHost"] == f"127.0.0.1:{shared.port}/v1" and mine["protocol"] == "http"
    assert {**mine, "apiKey": ""} == {**other, "apiKey": ""}
    assert answers[0].headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "protocol"),
    [
        ({"x_forwarded_proto": "https"}, "https"),
        ({"origin": SHOP, "host": "collect.example"}, "https"),
        ({"origin": "http://shop.example", "host": "collect.example"}, "http"),
        ({"x_forwarded_proto": "javascript"}, "http"),
    ],
)
def test_settings_name_the_protocol_that_the_browser_used(
    shared: Served, headers: dict[str, str], protocol: str
) -> None:
    mine = shared.ask("GET", "/v1/projects/flk_x/settings", **headers).body["integrations"]["Segment.io"]
    assert mine["protocol"] == protocol


@pytest.mark.parametrize("path", ['/array/a"b/config', "/array/%3Cscript%3E/config", "/v1/projects/a.b/settings"])
def test_no_foreign_word_comes_into_a_script(shared: Served, path: str) -> None:
    assert shared.ask("GET", path).status == 404
