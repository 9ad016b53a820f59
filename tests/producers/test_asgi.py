"""ASGI applications of every ending: time and status are those of the last byte sent; each request is recorded once."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from footlights.integrations.asgi import FootlightsMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Mount, Route

from tests.producers.recorded import Recorder, ask

pytestmark = pytest.mark.asyncio
HTML = [(b"content-type", b"text/html; charset=utf-8")]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@pytest.fixture
def client() -> Recorder:
    return Recorder()


def served(client: Recorder, *messages: dict[str, Any], then: BaseException | None = None, **options: Any) -> Any:
    """An application that sends these messages, and raises or returns then."""

    async def app(scope: Any, receive: Any, send: Send) -> None:
        for message in messages:
            await send(message)
        if then is not None:
            raise then

    return FootlightsMiddleware(app, client=client, **options)


def start(status: int = 200, **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": HTML, **more}


def body(more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": b"<p>thanks</p>", "more_body": more}


async def recorded(client: Recorder, number: int) -> None:
    """Wait for what is recorded on a thread, since the garbage collector may have asked for it."""
    for _ in range(200):
        if len(client.events) >= number:
            return
        await asyncio.sleep(0.01)


def shop(client: Recorder) -> FastAPI:
    app = FastAPI()
    app.add_middleware(FootlightsMiddleware, client=client)

    async def slow() -> None:
        await asyncio.sleep(0.5)

    async def bad() -> None:
        raise ValueError("mail server away")

    @app.get("/mail/{kind}", response_class=HTMLResponse)
    async def mail(kind: str, tasks: BackgroundTasks) -> str:
        tasks.add_task({"slow": slow, "bad": bad}[kind])
        return "<p>thanks</p>"

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the card number is 4111 1111 1111 1111")

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPException(402, "card refused")

    @app.get("/missing-key")
    async def missing_key() -> None:
        raise KeyError("seat")

    @app.get("/stream/{kind}")
    async def stream(kind: str) -> StreamingResponse:
        async def rows() -> AsyncIterator[bytes]:
            yield b"row 0\n"
            await asyncio.sleep(0.3)
            if kind == "bad":
                raise RuntimeError("source went away")
            yield b"row 1\n"

        return StreamingResponse(rows(), media_type="text/csv")

    @app.post("/upload")
    async def upload(request: Request) -> str:
        await request.body()
        return "ok"

    return app


async def test_what_runs_in_the_background_is_no_part_of_the_answer(client: Recorder) -> None:
    began = time.monotonic()
    await ask(shop(client), "/mail/slow")
    assert time.monotonic() - began >= 0.5
    assert client.told() == [("page_view", 200, None), ("operation_timed", 200, None)]
    assert client.of("operation_timed")[0]["response_time_ms"] < 400


async def test_a_background_task_that_fails_is_a_crash_of_its_own(client: Recorder) -> None:
    with pytest.raises(ValueError, match="mail server"):
        await ask(shop(client), "/mail/bad")
    assert client.told() == [("page_view", 200, None), ("operation_timed", 200, None), ("crash", None, "ValueError")]
    assert client.of("crash")[0]["operation"] == "GET /mail/{kind}"


async def test_a_stream_ends_with_its_last_byte_or_its_failure(client: Recorder) -> None:
    app = shop(client)
    await ask(app, "/stream/good")
    assert client.told() == [("api_call", 200, None), ("operation_timed", 200, None)]
    assert client.of("operation_timed")[0]["response_time_ms"] >= 300
    client.events.clear()
    with pytest.raises(RuntimeError):
        await ask(app, "/stream/bad")
    assert client.told() == [
        ("api_call", 500, None), ("operation_timed", 500, "RuntimeError"), ("crash", None, "RuntimeError"),
    ]  # fmt: skip


async def test_frameworks_that_answer_for_an_exception(client: Recorder) -> None:
    app = shop(client)

    @app.exception_handler(KeyError)
    async def gone(request: Request, problem: Exception) -> JSONResponse:
        return JSONResponse({}, 410)

    await ask(app, "/refused")
    await ask(app, "/missing-key")
    with pytest.raises(RuntimeError):
        await ask(app, "/broken")
    assert client.told() == [
        ("api_call", 402, None), ("operation_timed", 402, None), ("api_call", 410, None), ("operation_timed", 410, None),
        ("api_call", 500, None), ("operation_timed", 500, "RuntimeError"), ("crash", None, "RuntimeError"),
    ]  # fmt: skip
    assert "4111" not in repr(client.events)


@pytest.mark.parametrize("outside", [False, True], ids=["added", "around"])
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_the_handler_of_every_exception_decides_the_status(client: Recorder, outside: bool, kind: str) -> None:
    async def broken(request: Request) -> None:
        raise RuntimeError("x")

    async def away(request: Request, problem: Exception) -> JSONResponse:
        return JSONResponse({}, 503)

    def away_too(request: Request, problem: Exception) -> JSONResponse:
        return JSONResponse({}, 503)

    mine = [] if outside else [Middleware(FootlightsMiddleware, client=client)]
    handler: Any = away if kind == "async" else away_too
    app: Any = Starlette(routes=[Route("/broken", broken)], middleware=mine, exception_handlers={Exception: handler})
    app = FootlightsMiddleware(app, client=client) if outside else app
    for _ in range(2):
        client.events.clear()
        with pytest.raises(RuntimeError):
            sent = await ask(app, "/broken")
            assert sent[0]["status"] == 503
        assert [(name, status) for name, status, _ in client.told()] == [
            ("api_call", 503), ("operation_timed", 503), ("crash", None),
        ]  # fmt: skip


async def test_a_middleware_that_answers_instead_of_the_handler(client: Recorder) -> None:
    """The visit waits for the handler, which is never asked; it is recorded all the same."""
    app = shop(client)

    @app.exception_handler(Exception)
    async def away(request: Request, problem: Exception) -> JSONResponse:
        return JSONResponse({}, 503)

    async def rescue(request: Request, onward: Any) -> Any:
        try:
            return await onward(request)
        except RuntimeError:
            return JSONResponse({}, 502)

    app.add_middleware(BaseHTTPMiddleware, dispatch=rescue)
    assert (await ask(app, "/broken"))[0]["status"] == 502
    gc.collect()
    await recorded(client, 3)
    assert sorted(name for name, _, _ in client.told()) == ["api_call", "crash", "operation_timed"]


async def test_mounted_applications_and_middleware_around_and_inside(client: Recorder) -> None:
    async def event(request: Request) -> HTMLResponse:
        return HTMLResponse("<p>")

    async def failing(request: Request) -> None:
        raise RuntimeError("x")

    async def through(request: Request, onward: Any) -> Any:
        return await onward(request)

    base = Middleware(BaseHTTPMiddleware, dispatch=through)
    inner = Starlette(routes=[Route("/events/{event_id}", event), Route("/failing", failing)], middleware=[base])
    mine = Middleware(FootlightsMiddleware, client=client)
    app = Starlette(routes=[Mount("/shops/{shop_id}", inner)], middleware=[base, mine, base])
    await ask(app, "/shops/7/events/981")
    with pytest.raises(RuntimeError):
        await ask(app, "/shops/7/failing")
    assert [v["operation"] for v in client.of("operation_timed")] == [
        "GET /shops/{id}/events/{event_id}", "GET /shops/{id}/failing",
    ]  # fmt: skip
    assert client.told()[:2] == [("page_view", 200, None), ("operation_timed", 200, None)]
    assert [(n, s) for n, s, _ in client.told()[2:]] == [("api_call", 500), ("operation_timed", 500), ("crash", None)]


ENDS: dict[str, tuple[list[dict[str, Any]], int, str]] = {
    "trailers": ([start(trailers=True), body(), {"type": "http.response.trailers", "headers": []}], 200, "page_view"),
    "pathsend": ([start(), {"type": "http.response.pathsend", "path": "/x"}], 200, "page_view"),
    "zerocopysend": (
        [start(), {"type": "http.response.zerocopysend", "file": 0, "more_body": False}],
        200,
        "page_view",
    ),
    "early hints": ([{"type": "http.response.early_hint", "links": []}, start(), body(True), body()], 200, "page_view"),
    "debug": ([{"type": "http.response.debug", "info": {}}, start(404), body()], 404, "api_call"),
}


@pytest.mark.parametrize("name", ENDS)
async def test_the_last_message_of_each_extension(client: Recorder, name: str) -> None:
    messages, status, event = ENDS[name]
    with pytest.raises(ValueError, match="late"):
        await ask(served(client, *messages, then=ValueError("late")))
    assert client.told() == [(event, status, None), ("operation_timed", status, None), ("crash", None, "ValueError")]


@pytest.mark.parametrize(
    ("messages", "status"), [([], 500), ([start()], 500), ([start(), body(True)], 500)], ids=["none", "head", "part"]
)
async def test_an_answer_that_is_not_finished(client: Recorder, messages: list[Any], status: int) -> None:
    await ask(served(client, *messages))
    assert client.told() == [("api_call", status, None), ("operation_timed", status, None)]


@pytest.mark.parametrize("leaving", [asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize(("messages", "status"), [([], 499), ([start(), body(True)], 200)], ids=["early", "midway"])
async def test_a_request_that_is_given_up_is_no_crash(
    client: Recorder, leaving: type[BaseException], messages: list[Any], status: int
) -> None:
    problem = leaving()
    with pytest.raises(leaving) as raised:
        await ask(served(client, *messages, then=problem))
    assert raised.value is problem
    await recorded(client, 2)
    assert [(s, e) for _, s, e in client.told()] == [(status, None)] * 2


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt])
async def test_a_process_that_ends_is_no_crash(client: Recorder, ending: type[BaseException]) -> None:
    with pytest.raises(ending):
        await ask(served(client, then=ending()))
    assert client.told() == [("api_call", 500, None), ("operation_timed", 500, ending.__name__)]


async def test_a_client_that_leaves(client: Recorder) -> None:
    app = shop(client)
    with pytest.raises(ClientDisconnect):
        await ask(app, "/stream/good", gone_after=1)
    with pytest.raises(ClientDisconnect):
        await ask(app, "/upload", method="POST", disconnect=True)
    assert client.told() == [
        ("api_call", 200, None), ("operation_timed", 200, None), ("api_call", 499, None), ("operation_timed", 499, None),
    ]  # fmt: skip


async def test_head_websocket_and_lifespan(client: Recorder) -> None:
    await ask(served(client, start(), {"type": "http.response.body", "body": b""}), method="HEAD")
    await ask(served(client, {"type": "websocket.accept"}), type="websocket")
    await ask(served(client, {"type": "lifespan.startup.complete"}), type="lifespan")
    assert client.told() == [("api_call", 200, None), ("operation_timed", 200, None)]
