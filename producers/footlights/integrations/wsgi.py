"""WSGI middleware, for Flask and whatever speaks WSGI: `app.wsgi_app = FootlightsMiddleware(app.wsgi_app, client=client)`.

In: an application.
Out: the same application; each request becomes events when the last byte of its answer is sent.
Never: a changed request or answer; an exception of the application passes through, one of ours does not arise.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from footlights.client import Client
from footlights.integrations.failures import is_departure
from footlights.integrations.guard import attempt, guarded
from footlights.integrations.visits import Visit, address_of, person_by
from footlights.integrations.web import Exchange, Person, Recording, WhoIs

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

#: Where Flask's signal leaves an exception that Flask answered for itself.
_ERROR = "footlights.error"


def person_of(environ: Environ) -> Person:
    """The user that the server or an outer middleware has authenticated."""
    return Person(user_id=environ.get("REMOTE_USER") or None)


class FootlightsMiddleware:
    """Records the requests of a WSGI application.

    Parameters
    ----------
    client
        Made once for the process; safe with preforking servers.
    who
        Finds the person in the environ; by default REMOTE_USER.
    skip
        Beginnings of paths that are not recorded.
    """

    def __init__(self, app: App, *, client: Client, who: WhoIs = person_of, skip: tuple[str, ...] = ()) -> None:
        self.app, self._who, self._recording = app, who, Recording(client, skip)
        attempt("Flask's signal", _listen_to_flask, default=None)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a request on and record it."""
        path = attempt("a path", _path, environ, default=None)
        if path is None or not self._recording.wanted(path):
            return self.app(environ, start_response)
        head = _Head()
        visit = Visit(self._recording, partial(self._describe, environ, head, path))

        def note(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            attempt("an answer", head.take, environ, status, headers, default=None)
            write = start_response(status, headers, exc_info) if exc_info else start_response(status, headers)
            return partial(head.write, write) if callable(write) else write

        try:
            body = self.app(environ, note)
        except BaseException as problem:
            visit.end(head.sent, problem, left=head.is_departure(problem))
            raise
        answer = _Sized if isinstance(body, (list, tuple)) else _Answer
        return answer(body, visit, head, environ)

    def _describe(self, environ: Environ, head: "_Head", path: str) -> Exchange:
        return Exchange(
            method=str(environ.get("REQUEST_METHOD", "GET")), path=path, status=0, duration_ms=0.0,
            url=address_of(environ.get("wsgi.url_scheme", "http"), environ.get("HTTP_HOST", ""), path),
            referrer=environ.get("HTTP_REFERER"), route=head.route, user_agent=environ.get("HTTP_USER_AGENT", ""),
            content_type=head.headers.get("content-type", ""), person=person_by(self._who, environ),
        )  # fmt: skip


class _Head:
    """Status and headers of an answer, and what of it is on its way."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.route: str | None = None
        self.begun = False
        self._writing: BaseException | None = None

    @property
    def sent(self) -> int | None:
        """The status that the client got: servers hold it back until the first bytes."""
        return self.status if self.begun else None

    def take(self, environ: Environ, status: str, headers: list[tuple[str, str]]) -> None:
        """Note what the application announces."""
        self.route = attempt(
            "the route", _route, environ, default=None
        )  # now: Flask takes its request away when it is done
        self.headers = {name.lower(): value for name, value in headers}
        self.status = int(status.split(" ", 1)[0])

    def write(self, write: Callable[[bytes], Any], data: bytes) -> Any:
        """The server's old way to send bytes."""
        try:
            written = write(data)
        except BaseException as problem:
            self._writing = problem
            raise
        self.begun = self.begun or bool(data)
        return written

    def is_departure(self, problem: BaseException) -> bool:
        """Whether the client is gone, and nothing of the application failed."""
        return is_departure(problem, self._writing, told_gone=False)


class _Answer:
    """The application's answer, which tells when it was read to its end or given up."""

    def __init__(self, body: Iterable[bytes], visit: Visit, head: _Head, environ: Environ) -> None:
        self._body, self._visit, self._head, self._environ = body, visit, head, environ

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._body:
                self._head.begun = self._head.begun or bool(piece)  # an empty one sends nothing
                yield piece
        except GeneratorExit:  # perhaps the garbage collector's: `close` ends the visit
            raise
        except BaseException as problem:
            self._visit.end(self._head.sent, problem, left=self._head.is_departure(problem))
            raise
        self._end(self._head.status)

    def close(self) -> None:
        """Called by the server at the end, whatever happened; what the application does here is no part of its answer."""
        if not self._visit.ended:  # not read to its end: the client left, or asked for the head alone
            self._end(self._head.status)
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        except BaseException as problem:
            self._visit.end(None, problem)
            raise

    def _end(self, status: int | None) -> None:
        self._visit.end(status, self._environ.get(_ERROR), answered=True)


class _Sized(_Answer):
    """An answer that is a list: servers make a Content-Length of one with a single piece."""

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]  # only lists and tuples come here


def _path(environ: Environ) -> str:
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return path.encode("latin-1", "replace").decode("utf-8", "replace") or "/"


def _route(environ: Environ) -> str | None:
    """The pattern that Flask matched; it leaves its request in the environ."""
    rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
    return str(rule.rule) if rule else None


def _listen_to_flask() -> None:
    """Flask tells by a signal what it answered with a 500 itself."""
    if flask := sys.modules.get("flask"):
        flask.got_request_exception.connect(_flask_failed)


@guarded
def _flask_failed(sender: Any, exception: BaseException | None = None, **_: Any) -> None:
    if exception is not None:
        sys.modules["flask"].request.environ.setdefault(_ERROR, exception)
