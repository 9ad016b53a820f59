"""Every row of the table of bad input: the status, the code, and that good events go on being taken."""

import gzip
import json
import re
import socket
import time
import zlib
from typing import Any

import pytest
import zstandard

from tests.collector.conftest import Served

pytestmark = pytest.mark.kafka
TRACK = "/v1/track"
GOOD: dict[str, Any] = {"event": "search", "userId": "u1"}


@pytest.fixture(scope="module")
def token(shared: Served) -> str:
    return shared.token()


def deep(levels: int) -> Any:
    return "x" if not levels else {"a": deep(levels - 1)}


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "INVALID_JSON"),
        (b"", {}, 400, "INVALID_JSON"),
        (b'{"event": "a", "event": "b", "userId": "u1"}', {}, 400, "INVALID_JSON"),
        (b'\xef\xbb\xbf{"event": "a", "userId": "u1"}', {}, 400, "INVALID_JSON"),
        (b'{"event": "a", "userId": "u1", "properties": {"x": NaN}}', {}, 400, "INVALID_JSON"),
        (b'{"event": "a", "userId": "u1", "properties": {"x": -Infinity}}', {}, 400, "INVALID_JSON"),
        (b'{"event": "\\ud800", "userId": "u1"}', {}, 400, "INVALID_JSON"),
        (b"[" * 200_000, {}, 400, "INVALID_JSON"),
        (b"\xff\xfe", {}, 400, "INVALID_JSON"),
        (b"{}", {"content_type": "application/xml"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"{}", {"content_encoding": "br"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"{}", {"content_encoding": "gzip, gzip"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"{}", {"content_encoding": "gzip"}, 400, "BAD_ENCODING"),
        (gzip.compress(b"{}", mtime=0)[:-4], {"content_encoding": "gzip"}, 400, "BAD_ENCODING"),
        (b"{}", {"content_encoding": "zstd"}, 400, "BAD_ENCODING"),
        (b"{}", {"content_encoding": "deflate"}, 400, "BAD_ENCODING"),
        (gzip.compress(b"0" * (11 << 20), mtime=0), {"content_encoding": "gzip"}, 413, "DECOMPRESSED_TOO_LARGE"),
        (zlib.compress(b"0" * (2 << 20)), {"content_encoding": "deflate"}, 413, "DECOMPRESSED_TOO_LARGE"),
        (zstandard.compress(b"0" * (64 << 20)), {"content_encoding": "zstd"}, 413, "DECOMPRESSED_TOO_LARGE"),
        (b" " * ((1 << 20) + 1), {}, 413, "BODY_TOO_LARGE"),
        (b"[1]", {}, 422, "SCHEMA_VIOLATION"),
        (b'{"userId": "u1"}', {}, 422, "SCHEMA_VIOLATION"),
        (b'{"type": "identify"}', {}, 422, "SCHEMA_VIOLATION"),
        (b'{"type": "alias", "userId": "null"}', {}, 422, "SCHEMA_VIOLATION"),
        (b'{"event": "a\\nb\\u001b[31m", "userId": "u1"}', {}, 422, "SCHEMA_VIOLATION"),
        (b'{"event": "a", "userId": "u1", "timestamp": "yesterday"}', {}, 422, "SCHEMA_VIOLATION"),
        (b'{"event": "a", "userId": "u1", "timestamp": "1999-01-01T00:00:00Z"}', {}, 422, "SCHEMA_VIOLATION"),
        (b'{"event": "feedback_given", "userId": "u1", "properties": {"rating": 9}}', {}, 422, "SCHEMA_VIOLATION"),
        (json.dumps({**GOOD, "properties": deep(9)}).encode(), {}, 413, "EVENT_TOO_LARGE"),
        (json.dumps({**GOOD, "properties": deep(300)}).encode(), {}, 413, "EVENT_TOO_LARGE"),
        (json.dumps({**GOOD, "properties": deep(800)}).encode(), {}, 413, "EVENT_TOO_LARGE"),
        (json.dumps({"type": "identify", "traits": deep(800)}).encode(), {}, 422, "SCHEMA_VIOLATION"),
        (json.dumps({**GOOD, "properties": {str(i): 1 for i in range(257)}}).encode(), {}, 413, "EVENT_TOO_LARGE"),
        (json.dumps({**GOOD, "properties": {"a": "x " * 40_000}}).encode(), {}, 413, "EVENT_TOO_LARGE"),
        (b"{}", {"authorization": "Bearer flk_wrong"}, 401, "INVALID_API_KEY"),
        (b"{}", {"authorization": "Basic !!!"}, 401, "INVALID_API_KEY"),
        (b"{}", {"authorization": ""}, 401, "INVALID_API_KEY"),
    ],
)
def test_bad_requests(shared: Served, token: str, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    told = {"content_type": "application/json", "authorization": f"Bearer {token}", **headers}
    answer = shared.ask("POST", TRACK, body, **told)
    assert (answer.status, answer.body["error_code"]) == (status, code), answer
    assert (
        answer.body["success"] is False
        and answer.body["error"]
        and re.fullmatch("[0-9a-f]{32}", answer.body["request_id"])
    )
    assert "Traceback" not in json.dumps(answer.body)
    assert shared.post(TRACK, GOOD, token).status == 202


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [
        ({"batch": []}, 400, "EMPTY_BATCH"),
        ({"batch": [GOOD] * 1_001}, 413, "BATCH_TOO_LARGE"),
        ({"batch": "x"}, 422, "SCHEMA_VIOLATION"),
        ({}, 422, "SCHEMA_VIOLATION"),
    ],
)
def test_bad_batches(shared: Served, token: str, value: Any, status: int, code: str) -> None:
    answer = shared.post("/v1/batch", value, token)
    assert (answer.status, answer.body["error_code"]) == (status, code)


def test_a_batch_tells_of_each_event(shared: Served, token: str) -> None:
    events = [
        {"type": "track", **GOOD},
        {"type": "dance", "userId": "u1"},
        {"type": "track", "userId": "u1"},
        {"type": "track", **GOOD, "properties": {"note": "card 4111 1111 1111 1111", "password": "hunter2"}},
        7,
    ]
    answer = shared.post("/v1/batch", {"batch": events}, token)
    assert answer.status == 202
    told = [(r["status"], r.get("error_code")) for r in answer.body["data"]["results"]]
    assert told == [
        ("ok", None), ("drop", "UNKNOWN_SCHEMA"), ("drop", "SCHEMA_VIOLATION"), ("warning", "REDACTED"),
        ("drop", "SCHEMA_VIOLATION"),
    ]  # fmt: skip


def test_an_event_that_is_nested_beyond_reason_costs_no_other(shared: Served, token: str) -> None:
    events = [{"type": "track", **GOOD, "properties": {"note": note}} for note in ("fine", deep(700), "fine too")]
    answer = shared.post("/v1/batch", {"batch": events}, token)
    told = [(r["status"], r.get("error_code")) for r in answer.body["data"]["results"]]
    assert told == [("ok", None), ("drop", "EVENT_TOO_LARGE"), ("ok", None)]


def test_who_opts_out_within_a_batch_is_dropped_from_there_on(shared: Served, token: str) -> None:
    consent = {"event": "consent_changed", "properties": {"analytics_allowed": False}}
    search = {"event": "search"}
    events = [{"type": "track", "userId": "opal", **event} for event in (search, consent, search)]
    answer = shared.post("/v1/batch", {"batch": events}, token)
    told = [(r["status"], r.get("error_code")) for r in answer.body["data"]["results"]]
    assert told == [("ok", None), ("ok", None), ("drop", "OPTED_OUT")]


def test_routes_and_methods(shared: Served, token: str) -> None:
    assert (got := shared.ask("POST", "/nowhere")).status == 404 and got.body["error_code"] == "NOT_FOUND"
    assert shared.ask("GET", TRACK).status == 405
    assert shared.ask("GET", "/health").status == 200
    preflight = shared.ask("OPTIONS", "/v1/batch", origin="https://shop.example")
    assert preflight.status == 204 and preflight.headers["access-control-allow-origin"] == "https://shop.example"


def test_a_key_is_revoked_expires_and_has_a_rate(shared: Served) -> None:
    slow = shared.token("slow", rate_per_s=1.0)
    statuses = [shared.post(TRACK, GOOD, slow).status for _ in range(14)]
    assert statuses[:10] == [202] * 10 and statuses[-1] == 429
    refused = shared.post(TRACK, GOOD, slow)
    assert refused.body["error_code"] == "RATE_LIMITED" and 1 <= int(refused.headers["retry-after"]) <= 2
    token, key = shared.keys.create("write", name="gone", source="gone")
    assert shared.post(TRACK, GOOD, token).status == 202
    shared.keys.revoke(key.id)
    deadline = time.monotonic() + 5
    while shared.post(TRACK, GOOD, token).status != 401:
        assert time.monotonic() < deadline
    old, _ = shared.keys.create("write", name="old", source="old", lifetime_s=0.001)
    reader, _ = shared.keys.create("read", name="reads", source="reads")
    time.sleep(0.6)
    assert shared.post(TRACK, GOOD, old).status == shared.post(TRACK, GOOD, reader).status == 401
    assert token not in shared.keys.path.read_text()


def test_a_body_without_a_length_stops_at_the_limit(shared: Served, token: str) -> None:
    with socket.create_connection(("127.0.0.1", shared.port), timeout=30) as line:
        head = (
            f"POST {TRACK} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        )
        line.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        sent = 0
        try:
            for _ in range(64):
                line.sendall(chunk)
                sent += 1
        except OSError:
            pass
        got = b""
        while b"BODY_TOO_LARGE" not in got and (more := line.recv(4_096)):  # head and body may come one by one
            got += more
    assert b" 413 " in got and b"BODY_TOO_LARGE" in got


def test_a_stalled_body_ends_in_ten_seconds(shared: Served, token: str) -> None:
    with socket.create_connection(("127.0.0.1", shared.port), timeout=30) as line:
        head = (
            f"POST {TRACK} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        )
        line.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert b" 408 " in line.recv(4_096)


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"POST /v1/track\r\n\r\n",
    ],
)
def test_smuggled_and_oversized_heads_are_closed(shared: Served, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", shared.port), timeout=30) as line:
        line.sendall(head)
        got = b""
        while piece := line.recv(4_096):
            got += piece
    assert got.split(b" ")[1][:1] == b"4" if got else True
