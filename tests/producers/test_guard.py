"""An application whose every hook raises: nothing of ours reaches it, and what can be recorded is."""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from footlights import Client
from footlights.integrations import asgi, crashes, wsgi
from footlights.integrations.failures import crash
from footlights.integrations.guard import _told
from footlights.integrations.web import Person
from footlights.outcome import Outcome

from tests.producers.recorded import Recorder, ask, call

OK: list[dict[str, Any]] = [
    {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]},
    {"type": "http.response.body", "body": b"<p>"},
]


class Broken(Recorder):
    """A client of which every call and property raises."""

    def track(self, event_name: str, **values: Any) -> Outcome:
        raise RuntimeError("rosa@example.org")

    def performance(self, *args: Any, **more: Any) -> Outcome:
        raise RuntimeError("rosa@example.org")

    def flush(self, timeout: float = 10.0) -> int:
        raise RuntimeError("rosa@example.org")

    @property
    def source(self) -> str:
        raise RuntimeError("rosa@example.org")


class Raises:
    """An object of which everything raises that one can ask of it."""

    def __getattribute__(self, name: str) -> Any:
        raise LookupError("rosa@example.org")

    def __call__(self, *args: Any) -> Any:
        raise LookupError("rosa@example.org")

    def __str__(self) -> str:
        raise LookupError("rosa@example.org")

    def __bool__(self) -> bool:
        raise LookupError("rosa@example.org")


class Half:
    """A user that is there, whose id is not."""

    is_authenticated = True

    @property
    def identity(self) -> str:
        raise RuntimeError("the database is away: rosa@example.org")


async def page(scope: Any, receive: Any, send: Any) -> None:
    for message in OK:
        await send(message)


def plain(environ: Any, start: Any) -> list[bytes]:
    start("200 OK", [("Content-Type", "text/html")])
    return [b"<p>"]


@pytest.fixture(autouse=True)
def fresh() -> None:
    _told.clear()


SCOPES: dict[str, dict[str, Any]] = {
    "user": {"user": Raises}, "identity": {"user": Half()}, "row": {"user": SimpleNamespace(is_authenticated=True)},
    "route": {"route": Raises}, "headers": {"headers": [("host", 1)]}, "no headers": {"headers": None},
    "root_path": {"root_path": 7, "route": SimpleNamespace(path="/x")}, "method": {"method": None}, "scheme": {"scheme": b"http"},
}  # fmt: skip


@pytest.mark.parametrize("name", SCOPES)
def test_scopes_of_odd_values_are_answered_and_recorded(name: str, caplog: pytest.LogCaptureFixture) -> None:
    client = Recorder()
    app = asgi.FootlightsMiddleware(page, client=client)
    scope = {key: Raises() if value is Raises else value for key, value in SCOPES[name].items()}
    assert asyncio.run(ask(app, **scope)) == OK
    assert sorted(event for event, _, _ in client.told()) in (
        ["operation_timed", "page_view"],
        ["api_call", "operation_timed"],
    )
    assert "rosa" not in caplog.text


@pytest.mark.parametrize(
    "path", [None, b"/x", 7, "\ud800/\x00", Raises], ids=["none", "bytes", "number", "half", "raises"]
)
def test_paths_of_odd_types_pass(path: Any) -> None:
    path = Raises() if path is Raises else path
    client = Recorder()

    async def run() -> list[dict[str, Any]]:
        sent = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await asgi.FootlightsMiddleware(page, client=client)({"type": "http", "path": path}, lambda: None, send)  # type: ignore[arg-type,return-value]
        return sent

    assert asyncio.run(run()) == OK
    start: Callable[..., None] = lambda *_: None  # noqa: E731
    assert list(wsgi.FootlightsMiddleware(plain, client=client)({"PATH_INFO": path}, start)) == [b"<p>"]


def raising(*_: Any) -> Person:
    raise RuntimeError("rosa@example.org")


@pytest.mark.parametrize("who", [raising, lambda _: None, lambda _: "rosa", lambda _: Person(user_id="null")])
def test_a_person_that_cannot_be_found_leaves_the_request(who: Any) -> None:
    client = Recorder()
    asyncio.run(ask(asgi.FootlightsMiddleware(page, client=client, who=who)))
    call(wsgi.FootlightsMiddleware(plain, client=client, who=who))
    assert [event for event, _, _ in client.told()] == ["page_view", "operation_timed"] * 2


def test_ids_that_are_refused_are_left_out_and_ids_of_orms_become_text(tmp_path: Any) -> None:
    class Strict(Recorder):
        def track(self, event_name: str, **values: Any) -> Outcome:
            if values.get("user_id") == "null":
                return Outcome("refused", "INVALID_ID", "user_id is a placeholder, not an id")
            return super().track(event_name, **values)

    client = Strict()
    for told in ("null", 3.5):
        asyncio.run(ask(asgi.FootlightsMiddleware(page, client=client, who=lambda _, t=told: Person(user_id=t))))  # type: ignore[misc]
    assert [values.get("user_id") for values in client.of("page_view")] == [None, "3.5"]


def test_the_ids_of_user_objects() -> None:
    from starlette.authentication import SimpleUser

    row = SimpleNamespace(is_authenticated=True, id=7)
    lazy = SimpleNamespace(is_authenticated=lambda: False, id=7)
    found = [asgi.person_of({"user": user}).user_id for user in (row, SimpleUser("rosa"), Half(), lazy, None)]
    assert found == [7, "rosa", None, None, None]


def test_a_client_that_raises_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    client = Broken()
    assert asyncio.run(ask(asgi.FootlightsMiddleware(page, client=client))) == OK
    assert call(wsgi.FootlightsMiddleware(plain, client=client))[1:] == ([b"<p>"], None)
    crash(client, "x", ValueError())
    assert "RuntimeError" in caplog.text and "rosa" not in caplog.text


def test_a_strict_client_refuses_nothing_into_a_request() -> None:
    client = Client(
        bootstrap_servers="127.0.0.1:1", schema_registry="http://127.0.0.1:1", source="s", pseudonym_key="k" * 32, strict=True,
        max_block_s=0.1,
    )  # fmt: skip
    assert asyncio.run(ask(asgi.FootlightsMiddleware(page, client=client))) == OK
    client.close(0)


def test_hooks_of_crashes_never_raise_and_call_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr(sys, "excepthook", lambda *told: called.append(told))
    monkeypatch.setattr(threading, "excepthook", called.append)
    crashes.install(Broken())
    sys.excepthook(ValueError, ValueError(), None)
    threading.excepthook(SimpleNamespace(exc_type=ValueError, exc_value=None, exc_traceback=None))  # type: ignore[arg-type]
    assert len(called) == 2
    log = logging.Logger("shop")
    log.addHandler(crashes.CrashHandler(Broken()))
    log.error("x", exc_info=(ValueError, ValueError(), None))


def test_a_log_handler_that_raises_is_the_guards_own_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("footlights"), "error", raising)
    assert asyncio.run(ask(asgi.FootlightsMiddleware(page, client=Broken()))) == OK


def test_each_exception_is_one_crash_whoever_sees_it() -> None:
    client, log = Recorder(), logging.Logger("footlights_shop")
    log.addHandler(crashes.CrashHandler(client))

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        try:
            raise RuntimeError("x")
        except RuntimeError:
            log.exception("logged, and raised on")
            raise

    for _ in range(2):
        with pytest.raises(RuntimeError):
            asyncio.run(ask(asgi.FootlightsMiddleware(failing, client=client)))
    assert len(client.of("crash")) == 2
    log.error("given up", exc_info=(asyncio.CancelledError, asyncio.CancelledError(), None))
    logging.getLogger("footlights.relay").error("ours", exc_info=(ValueError, ValueError(), None))
    assert len(client.of("crash")) == 2
