"""What is no page: one list, obeyed by the middleware of each framework and by the replay of logs."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from footlights.integrations import asgi, wsgi
from footlights.integrations.web import Recording
from footlights.pages import ASSETS, FILES, HEALTH, names_page, page_address, page_path

from infra.replay.combined import CombinedParser
from infra.replay.event import Origin
from tests.producers.recorded import AGENT, Recorder, ask, call

NO_PAGES = (
    "/style.css", "/style.css;jsessionid=1A2B3C4D", "/logo.png;jsessionid=1A2B", "/app.wasm", "/live/seg1.ts", "/live/list.m3u8",
    "/live/seg.m4s", "/site.webmanifest", "/app.js.map", "/a.WOFF2", "/style%2Ecss", "/style%2ecss%3Bjsessionid=1", "/STYLE.CSS",
    "/style.css/", "/shop;jsessionid=1/style.css", "/a.css%3Fv=3", "/seg.ts;a=1;b=2", "/health", "/health/", "/healthz;x=1",
    "/favicon.ico", "/robots.txt", "/sitemap.xml", "/(S(lit3py55t21z5v55vlm25s55))/style.css", "/dir.d/logo.svg",
)  # fmt: skip
FILES_SHOWN = ("/orders.json", "/export.CSV;jsessionid=1", "/app%2Ezip", "/.well-known/security")
PAGES = {
    "/events/4;jsessionid=1A2B3C4D": "/events/4",
    "/shop;jsessionid=1A/events;v=2/4": "/shop/events/4",
    "/(S(lit3py55t21z5v55vlm25s55))/cart.aspx": "/cart.aspx",
    "/v1.2/page": "/v1.2/page",
    "/about.html": "/about.html",
    "/users/rosa.lux": "/users/rosa.lux",
    "/;jsessionid=1A": "/",
    "/css": "/css",
    "/a (b)/c": "/a (b)/c",
}
HTML: list[dict[str, Any]] = [
    {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]},
    {"type": "http.response.body", "body": b"<p>"},
]


async def page(scope: Any, receive: Any, send: Any) -> None:
    for message in HTML:
        await send(message)


def plain(environ: Any, start: Any) -> list[bytes]:
    start("200 OK", [("Content-Type", "text/html")])
    return [b"<p>"]


def through(path: str) -> list[list[tuple[str, Any]]]:
    """Events of both middlewares for a path, with the path that they name."""
    out = []
    for framework in ("asgi", "wsgi"):
        client = Recorder()
        if framework == "asgi":
            asyncio.run(ask(asgi.FootlightsMiddleware(page, client=client), path))
        else:
            call(wsgi.FootlightsMiddleware(plain, client=client), path)
        assert not any("1A" in repr(values) or "lit3py" in repr(values) for _, values in client.events)
        out.append([(name, values.get("path")) for name, values in client.events if name != "operation_timed"])
    return out


def replayed(path: str) -> tuple[str, Any]:
    line = f'192.0.2.30 - - [10/Jul/2026:10:00:01 +0000] "GET {path} HTTP/1.1" 200 512 "http://x.example/a;jsessionid=1A" "{AGENT}"'
    event, timed = CombinedParser(Origin("digest", "default", "replay")).parse(line.encode(), 1)
    assert "1A" not in repr((event.fields, timed.fields)) and event.fields["referrer"] == "http://x.example/a"
    return event.name, event.fields["path"]


@pytest.mark.parametrize("path", NO_PAGES)
def test_parts_of_pages_and_health_checks(path: str) -> None:
    assert through(path) == [[], []]
    assert replayed(path)[0] == "api_call"


@pytest.mark.parametrize("path", FILES_SHOWN)
def test_files_that_somebody_asks_for_are_calls(path: str) -> None:
    assert [[name for name, _ in events] for events in through(path)] == [["api_call"], ["api_call"]]
    assert replayed(path)[0] == "api_call"


@pytest.mark.parametrize("path", PAGES)
def test_pages_without_the_session_id(path: str) -> None:
    assert through(path) == [[("page_view", PAGES[path])]] * 2
    assert replayed(path) == ("page_view", PAGES[path])


def test_a_query_is_no_part_of_the_path() -> None:
    assert replayed("/style.css?v=3;x=1")[0] == "api_call"
    assert replayed("/events/4?from=/style.css") == ("page_view", "/events/4")
    assert page_address("/a;b=1?c;d#e;f") == "/a?c;d#e;f" and page_address("?c") == "?c"
    assert page_path(";x") == "/" and names_page("") and names_page("/")


def test_each_extension_of_the_list() -> None:
    recording = Recording(Recorder())
    for extension in ASSETS | FILES:
        assert not names_page(f"/a.{extension}") and recording.wanted(f"/a.{extension}") is (extension in FILES)
    assert not ASSETS & FILES and not any(map(names_page, HEALTH))


def test_the_list_stands_in_one_place() -> None:
    root = Path(__file__).parents[2]
    named = [p for room in ("producers", "infra") for p in (root / room).rglob("*.py") if "woff2" in p.read_text()]
    assert [p.name for p in named] == ["pages.py"]
