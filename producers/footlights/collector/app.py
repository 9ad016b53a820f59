"""The collector's HTTP face: routes, keys, limits; everything else is in the lanes.

In: ASGI requests.
Out: 202 (200 where a vendor's client insists) once the events are on the disk; a Problem otherwise, with a request id.
Never: an unbounded body, a stack trace, an event taken twice into memory.
"""

import asyncio
import base64
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import orjson

from footlights.addresses import Trust, client_address
from footlights.collector import own, posthog, segment
from footlights.collector.agents import read_agent
from footlights.collector.beacons import content_type, unwrapped
from footlights.collector.bodies import LISTS, MAX_BODY_BYTES, MAX_EVENTS, Unfit, json_of, too_many
from footlights.collector.cors import allowed, preflight
from footlights.collector.encodings import decoded
from footlights.collector.envelope import Envelope, envelope_of
from footlights.collector.geo import Cities, Places
from footlights.collector.keys import Buckets, Key, KeyFile
from footlights.collector.lanes import DROP, OK, RETRY, UNFORESEEN, WARNING, Lanes, Result, unforeseen
from footlights.collector.letters import Letters
from footlights.collector.openapi import document
from footlights.collector.problems import Problem, unavailable
from footlights.collector.segment import Call, mapping
from footlights.collector.telemetry import OTHER, Telemetry
from footlights.collector.vendors import answer_of
from footlights.foreign import Unreadable, clock_ms
from footlights.integrations.asgi import Message, Receive, Scope, Send, headers_of

LOG = logging.getLogger("footlights.collector")
BODY_WAIT_S = 10.0
#: Bodies in memory at once; beyond it requests are told to come back.
MAX_IN_FLIGHT_BYTES = 64 << 20
Translate = Callable[[Mapping[str, Any]], Call]
#: Refusals of which a copy is kept.
_KEPT = frozenset({"SCHEMA_VIOLATION", "UNKNOWN_SCHEMA"})
#: Where a write key may stand in a body, an event or a query; a beacon can set no header.
KEY_NAMES = ("writeKey", "write_key", "api_key", "token")


@dataclass(frozen=True)
class Route:
    """A route: the shape of its events, how its answer looks, the type that its path fixes."""

    translate: Translate
    vendor: str
    kind: str | None = None


_segment = partial(segment.call_of, moment=clock_ms)
_KINDS = ("track", "identify", "page", "screen", "group", "alias")
_SEGMENT = {f"/v1/{path}": Route(_segment, "segment", k) for k in _KINDS for path in (k, k[0])}
_POSTHOG = ("/batch", "/capture", "/i/v0/e", "/e", "/track")
ROUTES: dict[str, Route] = {
    **_SEGMENT,
    **{f"/v1/{k}": Route(_segment, "segment") for k in ("batch", "import", "b")},
    **dict.fromkeys(_POSTHOG, Route(posthog.call_of, "posthog")),
    "/api/analytics/events/track": Route(own.call_of, "own"),
}


class Collector:
    """The ASGI application."""

    def __init__(
        self,
        lanes: Lanes,
        keys: KeyFile,
        places: Places,
        cities: Cities,
        letters: Letters | None = None,
        *,
        trust_forwarded: Trust = 0,
    ) -> None:
        self._letters = letters
        self._lanes, self._keys, self._places, self._trust_forwarded = lanes, keys, places, trust_forwarded
        self._cities = cities
        self._buckets, self._in_flight = Buckets(), 0
        self.telemetry = Telemetry(lanes, letters, ROUTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        began, path = time.perf_counter(), scope["path"].rstrip("/") or "/"
        headers = headers_of(scope["headers"])
        try:
            status, body, extra = await self._answer(scope, path, headers, receive)
        except Problem as problem:
            status, body, extra = _refusal(problem)
        except Exception:  # the edge: nothing of it leaves, and the client may come again
            LOG.exception("a request could not be answered")
            status, body, extra = _refusal(Problem(500, "INTERNAL", "something went wrong here; it is in the log"))
        self.telemetry.answered(path if path in ROUTES else OTHER, status, time.perf_counter() - began)
        await _send(send, status, body, [*allowed(headers), *extra])

    async def _answer(
        self, scope: Scope, path: str, headers: Mapping[str, str], receive: Receive
    ) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        method, route = scope["method"], ROUTES.get(path)
        if method == "OPTIONS":
            return 204, b"", preflight(headers)
        if path == "/health" and method in ("GET", "HEAD"):
            return 200, b'{"success": true}', []
        if path == "/openapi.json" and method in ("GET", "HEAD"):
            return 200, orjson.dumps(document()), []
        if route is None:
            if told := answer_of(method, path, headers, scope.get("scheme", "http")):
                return 200, *told
            raise Problem(404, "NOT_FOUND", "there is no such route")
        if method != "POST":
            raise Problem(405, "METHOD_NOT_ALLOWED", "events come by POST")
        content_type(headers)
        asked = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        body = await self._body(receive, headers)
        try:
            text, fields = unwrapped(headers, decoded(headers, body))
            return await self._take(scope, route, headers, {**asked, **fields}, json_of(text))
        finally:
            self._in_flight -= len(body)

    async def _body(self, receive: Receive, headers: Mapping[str, str]) -> bytes:
        told = headers.get("content-length", "0")
        if told.isascii() and told.isdigit() and (len(told) > 18 or int(told) > MAX_BODY_BYTES):
            raise Problem(413, "BODY_TOO_LARGE", "a body has at most 1 MiB; split the batch")
        if self._in_flight > MAX_IN_FLIGHT_BYTES:
            raise unavailable("too many requests are in progress")
        pieces, size = [], 0
        try:
            async with asyncio.timeout(BODY_WAIT_S):
                while True:
                    message: Message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Problem(400, "INVALID_JSON", "the request ended before its body did")
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    self._in_flight += len(pieces[-1])
                    if size > MAX_BODY_BYTES:
                        raise Problem(413, "BODY_TOO_LARGE", "a body has at most 1 MiB; split the batch")
                    if not message.get("more_body"):
                        return b"".join(pieces)
        except TimeoutError:
            self._in_flight -= size
            raise Problem(408, "TIMEOUT", "the body did not come within 10 s") from None
        except Problem:
            self._in_flight -= size
            raise

    async def _take(
        self, scope: Scope, route: Route, headers: Mapping[str, str], beside: Mapping[str, str], value: Any
    ) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        key = self._key(headers, beside, value)
        try:
            events, single = _events(value, route)
        except Problem as problem:
            self._keep(scope, key, [(value, problem.code)])
            raise
        wait = self._buckets.take(key, len(events), time.monotonic())
        if wait:
            raise Problem(429, "RATE_LIMITED", "this key has used its rate", retry_after_s=int(wait) + 1)
        received = int(time.time() * 1000)
        envelope = envelope_of(value, beside, received)
        calls = self._calls(key, route, events, envelope, self._around(scope, headers))
        results = self._lanes.take(key, calls, received, envelope.clock_ms)
        self.telemetry.events(results)
        statuses = {result.status for result in results}
        if DROP in statuses:
            self._keep(scope, key, [(e, r.code) for e, r in zip(events, results, strict=True) if r.status == DROP])
        if OK in statuses or WARNING in statuses:
            await self._lanes.settled(key)
        if RETRY in statuses:
            # Told as a whole: a repeated event counts once, and clients repeat whole requests only.
            raise unavailable(next(result.detail for result in results if result.status == RETRY))
        return _told(route, results, single)

    def _keep(self, scope: Scope, key: Key, refused: list[tuple[Any, str]]) -> None:
        """A copy of what was refused for its content."""
        if self._letters is not None:
            for event, code in refused:
                if code in _KEPT:
                    self._letters.keep(key.source, scope["path"], event, code, int(time.time() * 1000))

    def _calls(
        self, key: Key, route: Route, events: list[Any], envelope: Envelope, around: Mapping[str, str]
    ) -> Iterator[Call | Result]:
        """What the events say, or why they say nothing."""
        translate, kind = route.translate, route.kind
        shared, plain = route.vendor == "segment" and bool(envelope.context), envelope.sent_ms is not None
        for event in events:
            if not isinstance(event, dict):
                unfit = event if isinstance(event, Unfit) else Unfit("SCHEMA_VIOLATION", "an event is a JSON object")
                yield Result(DROP, code=unfit.code, detail=unfit.detail)
                continue
            try:
                told = envelope.around(event) if shared else event
                call = translate({"type": kind, **told} if kind else told)
                if not plain and (envelope.ignored or "sentAt" in told or "sent_at" in told):
                    call = envelope.placed(call, told)
            except Unreadable as problem:
                unknown = str(problem) == "unknown type"
                yield Result(DROP, code="UNKNOWN_SCHEMA" if unknown else "SCHEMA_VIOLATION", detail=str(problem))
                continue
            except UNFORESEEN as problem:
                yield unforeseen(problem)
                continue
            if around:
                bot = around.get("device") == "bot"
                shown = self._cities.shown(around, (key.tenant_id, call.user_id, call.anonymous_id))
                call = call._replace(context={**shown, **call.context}, automatic=call.automatic or bot)
            yield call

    def _around(self, scope: Scope, headers: Mapping[str, str]) -> dict[str, str]:
        """What the connection of a browser says of its user; the address goes no further than this."""
        if "origin" not in headers:
            return {}
        address = client_address(scope["headers"], (scope.get("client") or ("",))[0], self._trust_forwarded)
        return {**read_agent(headers.get("user-agent", "")).context, **self._places.of(address)}

    def _key(self, headers: Mapping[str, str], beside: Mapping[str, str], value: Any) -> Key:
        """The first key that is one: a page may have put an Authorization of its own into each of its requests."""
        for token in _tokens(headers, beside, value):
            if key := self._keys.find(token):
                return key
        raise Problem(401, "INVALID_API_KEY", "the request has no valid write key")


def _tokens(headers: Mapping[str, str], beside: Mapping[str, str], value: Any) -> Iterator[str]:
    """Where a client may name its key: Authorization, the query or form, the body, its events when they agree."""
    if told := _token(headers):
        yield told
    whole = mapping(value)
    for place in (beside, whole):
        yield from (place[name] for name in KEY_NAMES if isinstance(place.get(name), str))
    events = value if isinstance(value, list) else whole.get("batch", [value])
    named = {told for event in events if (told := _named(mapping(event)))} if isinstance(events, list) else set()
    if len(named) == 1:
        yield named.pop()


def _named(event: Mapping[str, Any]) -> str | None:
    told = next((event[name] for name in KEY_NAMES if name in event), mapping(event.get("properties")).get("token"))
    return told if isinstance(told, str) else None


def _token(headers: Mapping[str, str]) -> str | None:
    kind, _, told = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return told.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(told.strip(), validate=True).decode().partition(":")[0]
        except ValueError:
            return None
    return None


def _events(value: Any, route: Route) -> tuple[list[Any], bool]:
    """(events of the body, whether the body was one event itself)."""
    events: Any = value if route.vendor != "segment" else None
    if isinstance(value, dict):
        events = next((value[name] for name in LISTS if name in value), None)
        if events is None and (route.kind or route.vendor != "segment"):
            return [value], True
    if not isinstance(events, list):
        raise Problem(422, "SCHEMA_VIOLATION", "the body holds no list of events")
    if not events:
        raise Problem(400, "EMPTY_BATCH", "the batch is empty")
    if len(events) > MAX_EVENTS:
        raise too_many()
    return events, False


def _told(route: Route, results: list[Result], single: bool) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    if single and results[0].status == DROP:
        code = results[0].code
        raise Problem(413 if code == "EVENT_TOO_LARGE" else 422, code, results[0].detail)
    told = [result.told() for result in results]
    if route.vendor == "posthog":
        return 200, orjson.dumps({"status": "Ok", "results": told}), []
    body = {"success": True, "data": {"results": told}, "timestamp": _now()}
    return 202, orjson.dumps(body), []


def _refusal(problem: Problem) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    body = {
        "success": False, "error": problem.message, "error_code": problem.code, "timestamp": _now(), "request_id": uuid4().hex,
    }  # fmt: skip
    extra = [(b"retry-after", str(problem.retry_after_s).encode())] if problem.retry_after_s else []
    return problem.status, orjson.dumps(body), extra


def _now() -> str:
    ms = int(time.time() * 1000)
    return f"{_second(ms // 1000)}.{ms % 1000:03d}+00:00"


@lru_cache(maxsize=1)
def _second(epoch_s: int) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%dT%H:%M:%S}"


async def _send(send: Send, status: int, body: bytes, extra: list[tuple[bytes, bytes]]) -> None:
    headers = [*extra]
    if not any(name == b"content-type" for name, _ in extra):
        headers.append((b"content-type", b"application/json"))
    if status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
