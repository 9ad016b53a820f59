"""A line that no request is answered well with is set aside, all others arrive, and none is given up for the server's sake."""

import gzip
import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from footlights import Client, posting

HTML = b"<html><h1>Request refused</h1></html>"
Answer = Callable[[list[Any]], tuple[int, bytes, dict[str, str]] | None]


class Fake(BaseHTTPRequestHandler):
    """A collector whose answer a test decides; None cuts the connection."""

    protocol_version = "HTTP/1.1"
    answer: ClassVar[Answer]
    taken: ClassVar[list[int]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        numbers = [event["properties"]["number"] for event in json.loads(body)["events"]]
        told = type(self).answer(numbers)
        if told is None:
            self.close_connection = True
            return
        status, text, headers = told
        if status == 202:
            self.taken.extend(numbers)
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def taken(numbers: list[int]) -> tuple[int, bytes, dict[str, str]]:
    return 202, json.dumps({"data": {"results": [{"status": "ok"} for _ in numbers]}}).encode(), {}


@pytest.fixture
def served() -> Iterator[Callable[[Answer], str]]:
    """Starts a collector that answers so; its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        handler = type("Handler", (Fake,), {"answer": staticmethod(answer), "taken": []})
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        start.handler = handler  # type: ignore[attr-defined]
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def sent(url: str, folder: Path, numbers: range, timeout: float = 60.0) -> tuple[int, list[tuple[int, str | None]]]:
    """(events that still wait, what was told of each)."""
    told: list[tuple[int, str | None]] = []
    with Client(
        collector=url,
        api_key="k",
        spool_dir=folder,
        on_delivery=lambda r, e: told.append((r["properties"]["number"], e)),
    ) as client:
        for number in numbers:
            assert client.track("search", properties={"number": number})
        left = client.flush(timeout)
    return left, told


@pytest.mark.parametrize("status", [400, 403, 406, 413, 414, 422, 431, 500, 502, 504, 0])
def test_one_line_that_is_never_answered_well_costs_no_other(
    served: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """As a web application firewall, a proxy's limit or a fault of the collector does; 0 cuts the connection."""
    url = served(lambda numbers: ((status, HTML, {}) if status else None) if 5 in numbers else taken(numbers))
    left, told = sent(url, tmp_path, range(12))
    assert left == 0
    assert sorted(served.handler.taken) == [n for n in range(12) if n != 5]
    assert [one for one in told if one[1]] == [(5, f"HTTP_{status}" if status else "NO_ANSWER")]
    (kept,) = (tmp_path / "http" / "quarantine").iterdir()
    assert json.loads(kept.read_bytes())["properties"] == {"number": 5}


@pytest.mark.parametrize("place", [0, 11])
def test_the_first_or_the_last_may_be_the_bad_one(served: Any, tmp_path: Path, place: int) -> None:
    url = served(lambda numbers: (500, b"{}", {}) if place in numbers else taken(numbers))
    left, told = sent(url, tmp_path, range(12))
    assert left == 0 and [one for one in told if one[1]] == [(place, "HTTP_500")] and len(served.handler.taken) == 11


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 502, 503])
def test_a_collector_that_answers_nobody_well_loses_nothing(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(posting, "LONGEST_PAUSE_S", 0.05)
    healthy, asked = threading.Event(), list[int]()

    def answer(numbers: list[int]) -> tuple[int, bytes, dict[str, str]]:
        asked.append(len(numbers))
        if len(asked) > 25:
            healthy.set()
        return taken(numbers) if healthy.is_set() else (status, HTML, {"retry-after": "0"})

    url = served(answer)
    left, told = sent(url, tmp_path, range(4), timeout=60)
    assert left == 0 and sorted(served.handler.taken) == [0, 1, 2, 3] and not [one for one in told if one[1]]


def test_a_line_that_has_no_company_is_not_tried_for_ever(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "WITHOUT_COMPANY_S", 1.0)
    left, told = sent(served(lambda _: (500, HTML, {})), tmp_path, range(1))
    assert (left, told) == (0, [(0, "HTTP_500")])


def test_what_the_collector_wants_once_more_is_sent_once_more(served: Any, tmp_path: Path) -> None:
    asked: list[list[int]] = []

    def answer(numbers: list[int]) -> tuple[int, bytes, dict[str, str]]:
        first = not asked
        asked.append(numbers)
        results = [{"status": "retry" if first and n == 2 else "ok"} for n in numbers]
        return 202, json.dumps({"data": {"results": results}}).encode(), {}

    left, told = sent(served(answer), tmp_path, range(4))
    assert left == 0 and sorted(told) == [(n, None) for n in range(4)] and [2] in asked


def test_a_revoked_key_is_told_and_costs_nothing(served: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = served(lambda _: (401, b'{"error_code": "INVALID_API_KEY"}', {}))
    with caplog.at_level(logging.ERROR, "footlights"):
        assert sent(url, tmp_path, range(2), timeout=1.0)[0] == 2
    assert "answers 401 INVALID_API_KEY: events wait in the spool" in caplog.text
