"""WSGI applications of every ending: time and status are those of the last byte sent; each request is recorded once."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response
from footlights.integrations.wsgi import FootlightsMiddleware

from tests.producers.recorded import Recorder, call

CUT = [("api_call", 500, None), ("operation_timed", 500, "RuntimeError"), ("crash", None, "RuntimeError")]
PAGE = [("page_view", 200, None), ("operation_timed", 200, None)]


@pytest.fixture
def client() -> Recorder:
    return Recorder()


def shop(client: Recorder) -> Flask:
    app = Flask(__name__)
    app.wsgi_app = FootlightsMiddleware(app.wsgi_app, client=client)  # type: ignore[method-assign]

    @app.get("/")
    def home() -> str:
        return "<h1>home</h1>"

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("the card number is 4111 1111 1111 1111")

    @app.get("/missing-key")
    def missing_key() -> str:
        raise KeyError("seat")

    @app.get("/stream/<kind>")
    def stream(kind: str) -> Response:
        def rows() -> Iterator[bytes]:
            if kind == "at once":
                raise RuntimeError("source is away")
            yield b"row 0\n"
            time.sleep(0.3)
            if kind == "bad":
                raise RuntimeError("source went away")
            yield b"row 1\n"

        return Response(rows(), mimetype="text/csv")

    @app.get("/later/<kind>")
    def later(kind: str) -> Response:
        def after() -> None:
            time.sleep(0.3)
            if kind == "bad":
                raise ValueError("mail server away")

        answer = Response("<p>thanks</p>")
        answer.call_on_close(after)
        return answer

    return app


def test_a_stream_ends_with_its_last_byte_or_its_failure(client: Recorder) -> None:
    app = shop(client)
    assert call(app, "/stream/good")[1] == [b"row 0\n", b"row 1\n"]
    assert client.told() == [("api_call", 200, None), ("operation_timed", 200, None)]
    assert client.of("operation_timed")[0]["response_time_ms"] >= 300
    for kind in ("bad", "at once"):
        client.events.clear()
        assert isinstance(call(app, f"/stream/{kind}")[2], RuntimeError)
        assert client.told() == CUT


def test_what_runs_at_the_close_is_no_part_of_the_answer(client: Recorder) -> None:
    app = shop(client)
    call(app, "/later/good")
    assert client.told() == PAGE and client.of("operation_timed")[0]["response_time_ms"] < 250
    client.events.clear()
    assert isinstance(call(app, "/later/bad")[2], ValueError)
    assert client.told() == [*PAGE, ("crash", None, "ValueError")]


@pytest.mark.parametrize("propagate", [None, True, False])
def test_flask_answers_for_an_exception_or_lets_it_pass(client: Recorder, propagate: bool | None) -> None:
    app = shop(client)
    app.config["PROPAGATE_EXCEPTIONS"] = propagate
    statuses, _, problem = call(app, "/broken")
    assert (statuses, type(problem)) == (
        ([], RuntimeError) if propagate else (["500 INTERNAL SERVER ERROR"], type(None))
    )
    assert client.told() == CUT and "4111" not in repr(client.events)


def test_handlers_of_flask_decide_the_status(client: Recorder) -> None:
    app = shop(client)
    app.register_error_handler(KeyError, lambda problem: ("gone", 410))
    app.register_error_handler(500, lambda problem: ("come back", 503))
    assert [call(app, path)[0][0][:3] for path in ("/missing-key", "/broken", "/nothing")] == ["410", "503", "404"]
    assert client.told() == [
        ("api_call", 410, None), ("operation_timed", 410, None),
        ("api_call", 503, None), ("operation_timed", 503, "RuntimeError"), ("crash", None, "RuntimeError"),
        ("api_call", 404, None), ("operation_timed", 404, None),
    ]  # fmt: skip
    client.events.clear()
    app = shop(client)
    app.register_error_handler(Exception, lambda problem: ("sorry", 200))
    call(app, "/broken")
    assert client.told() == PAGE


def test_a_client_that_leaves_is_no_crash(client: Recorder) -> None:
    assert call(shop(client), "/stream/good", read=1)[1] == [b"row 0\n"]
    assert client.told() == [("api_call", 200, None), ("operation_timed", 200, None)]
    assert client.of("operation_timed")[0]["response_time_ms"] < 250


def test_the_old_way_to_write(client: Recorder) -> None:
    def app(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [("Content-Type", "text/html")])(b"<p>")
        raise BrokenPipeError if environ["PATH_INFO"] == "/pipe" else RuntimeError

    served = FootlightsMiddleware(app, client=client)
    assert isinstance(call(served)[2], RuntimeError)
    assert client.told() == CUT


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt])
def test_a_process_that_ends_is_no_crash(client: Recorder, ending: type[BaseException]) -> None:
    """gunicorn ends a worker that takes too long so, in the middle of a request."""
    problem = ending()

    def app(environ: Any, start: Any) -> list[bytes]:
        raise problem

    assert call(FootlightsMiddleware(app, client=client))[2] is problem
    assert client.told() == [("api_call", 500, None), ("operation_timed", 500, ending.__name__)]


def test_lists_stay_lists_for_servers_that_count_them(client: Recorder) -> None:
    def app(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [])
        return [b"one"]

    answer: Any = FootlightsMiddleware(app, client=client)({"PATH_INFO": "/"}, lambda *_: None)
    assert len(answer) == 1 and list(answer) == [b"one"]
