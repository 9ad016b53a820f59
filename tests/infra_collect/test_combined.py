"""Combined log lines: what they become, and that no line ends a replay.

In: the small log, the shared real log, hostile lines. Out: counts equal to a few lines of plain Python. Never: a crash.
"""

import gzip
import re
from collections import Counter
from pathlib import Path

import pytest
from crawlerdetect import CrawlerDetect
from hypothesis import given
from hypothesis import strategies as st

from infra.replay.combined import CombinedParser, is_page, log_time_ms
from infra.replay.event import EARLIEST_MS, LATEST_MS, Event, Origin, Refused

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "data" / "access.log"
REAL = ROOT.parent / "shared" / "data" / "apache-logs" / "apache_logs.log.gz"
ORIGIN = Origin("digest", "default", "replay")
AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)


def line(request: str = "GET / HTTP/1.1", status: int = 200, agent: str = AGENT, tail: str = "") -> bytes:
    return f'203.0.113.7 - - [14/Jun/2024:18:00:01 +0000] "{request}" {status} 12 "-" "{agent}"{tail}'.encode()


def parse(text: bytes, number: int = 1) -> list[Event]:
    return CombinedParser(ORIGIN).parse(text, number)


def test_a_page_becomes_a_view_and_a_timed_operation() -> None:
    view, timed = parse(line("GET /events/7?ref=x HTTP/1.1", tail=" 183500"))
    assert (view.name, view.fields["path"], view.fields["url"], view.fields["status"]) == (
        "page_view", "/events/7", "/events/7?ref=x", 200,
    )  # fmt: skip
    assert (timed.name, dict(timed.fields)) == (
        "operation_timed",
        {"component": "web", "operation": "GET /events", "status": 200, "response_time_ms": 183},
    )
    assert view.context == {"device": "desktop", "browser": "Chrome", "os": "Windows"}
    assert view.anonymous_id == f"203.0.113.7|{AGENT}" and view.user_id is None
    assert view.message_id != timed.message_id
    assert view.occurred_at_ms == view.received_at_ms == 1_718_388_001_000


@pytest.mark.parametrize(
    ("request_line", "status", "name"),
    [
        ("GET /a HTTP/1.1", 304, "page_view"),
        ("GET /a.css?v=1 HTTP/1.1", 200, "api_call"),
        ("GET /v1.2/page HTTP/1.1", 200, "page_view"),
        ("POST /a HTTP/1.1", 200, "api_call"),
        ("GET /a HTTP/1.1", 404, "api_call"),
        ("-", 400, "api_call"),
        (r"\x16\x03", 400, "api_call"),
    ],
)
def test_page_or_call(request_line: str, status: int, name: str) -> None:
    assert parse(line(request_line, status))[0].name == name


def test_bots_are_automatic_and_people_are_not() -> None:
    assert all(e.automatic for e in parse(line(agent="Mozilla/5.0 (compatible; bingbot/2.0)")))
    assert not any(e.automatic for e in parse(line()))


def test_operations_stay_few() -> None:
    parser = CombinedParser(ORIGIN)
    letters = [f"{chr(97 + i // 26 % 26)}{chr(97 + i % 26)}x" for i in range(600)]
    seen = {parser.parse(line(f"GET /{name}/1 HTTP/1.1"), 1)[1].fields["operation"] for name in letters}
    assert len(seen) == 201 and "OTHER /*" in seen


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no log line",
        line()[:-1],
        line()[: len(line()) // 2],
        line().replace(b"14/Jun", b"31/Feb"),
        line().replace(b"14/Jun", b"14/Foo"),
        line().replace(b"2024", b"1024"),
        line(status=999),
        b'x - - [] "GET / HTTP/1.1" 200 1 "-" "-"',
    ],
)
def test_refused(text: bytes) -> None:
    with pytest.raises(Refused):
        parse(text)


@given(st.binary(max_size=300) | st.builds(line, st.text(max_size=80)))
def test_any_line_is_parsed_or_refused(text: bytes) -> None:
    try:
        events = parse(text)
    except Refused:
        return
    assert [e.name for e in events[1:]] == ["operation_timed"]
    assert all(EARLIEST_MS <= e.occurred_at_ms < LATEST_MS for e in events)


def test_times_have_zones() -> None:
    assert log_time_ms("14/Jun/2024:18:00:00 -0530") == log_time_ms("14/Jun/2024:23:30:00 +0000")


def count_plainly(lines: list[str]) -> tuple[int, int, int, set[str]]:
    """(page views of people, errors, lines, people who saw a page), by a few lines that share nothing with the parser."""
    views = errors = total = 0
    people: set[str] = set()
    bots: dict[str, bool] = {}
    for text in lines:
        if not (
            m := re.match(
                r'(\S+) .*?\[\d\d/\w{3}/\d{4}:.*?\] "(.*?)(?<!\\)" (\d{3}) \S+ ".*?(?<!\\)" "(.*)"( \d+)?$', text
            )
        ):
            continue
        if "31/Feb" in text:
            continue
        address, request, status, agent = m[1], m[2].split(" "), int(m[3]), m[4]
        total += 1
        errors += status >= 500
        if agent not in bots:
            bots[agent] = agent != "-" and bool(CrawlerDetect().isCrawler(agent))
        path = request[1].split("?")[0] if len(request) > 1 else ""
        if request[0] == "GET" and 200 <= status < 400 and is_page("GET", 200, path) and not bots[agent]:
            views += 1
            people.add(f"{address}|{agent}")
    return views, errors, total, people


@pytest.mark.parametrize("path", [SMALL, REAL], ids=["small", "real"])
def test_counts_equal_a_few_lines_of_python(path: Path) -> None:
    if not path.exists():
        pytest.skip("the real log is not here: it lies in ../shared/data/apache-logs, beside the repository")
    content = path.read_bytes()
    raw = (gzip.decompress(content) if path.suffix == ".gz" else content).split(b"\n")
    parser, events = CombinedParser(ORIGIN), Counter[str]()
    people: set[str | None] = set()
    for number, text in enumerate(raw, 1):
        try:
            view, timed = parser.parse(text, number)
        except Refused:
            continue
        events["total"] += 1
        events["errors"] += timed.fields["status"] >= 500
        if view.name == "page_view" and not view.automatic:
            events["views"] += 1
            people.add(view.anonymous_id)
    views, errors, total, found = count_plainly([t.decode(errors="replace") for t in raw])
    assert (events["views"], events["errors"], events["total"], people) == (views, errors, total, found)
    assert views > 20 and errors > 0 and total > 200
