"""WSGI middleware, for Flask and whatever speaks WSGI: `app.wsgi_app = FootlightsMiddleware(app.wsgi_app, client=client)`.

In: an application.
Out: the same application; each request becomes events when its answer is complete.
Never: a changed request or answer; an exception of the application passes through.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from footlights.client import Client
from footlights.integrations.web import Exchange, Person, Recording, WhoIs

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


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

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a request on and record it."""
        if not self._recording.wanted(_path(environ)):
            return self.app(environ, start_response)
        answer = _Answer(self, environ, time.perf_counter())

        def note(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            answer.status = int(status.split(" ", 1)[0])
            answer.route = _route(environ)  # now: Flask takes its request out of the environ when it is done
            answer.headers = {name.lower(): value for name, value in headers}
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        try:
            answer.body = self.app(environ, note)
        except Exception as problem:
            answer.record(problem)
            raise
        return answer

    def finished(self, environ: Environ, answer: "_Answer", error: str | None) -> None:
        """Record a request whose answer is complete."""
        path = _path(environ)
        self._recording.record(
            Exchange(
                method=environ["REQUEST_METHOD"], path=path, status=500 if error else answer.status,
                duration_ms=(time.perf_counter() - answer.began) * 1000,
                url=f"{environ.get('wsgi.url_scheme', 'http')}://{environ.get('HTTP_HOST', '')}{path}"[:2_000],
                referrer=environ.get("HTTP_REFERER"), route=answer.route, user_agent=environ.get("HTTP_USER_AGENT", ""),
                content_type=answer.headers.get("content-type", ""), person=self._who(environ), error=error,
            )
        )  # fmt: skip


class _Answer:
    """The application's answer, which tells when it was read to its end or given up."""

    def __init__(self, middleware: FootlightsMiddleware, environ: Environ, began: float) -> None:
        self._middleware, self._environ, self.began = middleware, environ, began
        self.status, self.headers = 500, dict[str, str]()
        self.body: Iterable[bytes] = ()
        self.route: str | None = None
        self._done = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self.body
        except Exception as problem:
            self.record(problem)
            raise

    def close(self) -> None:
        """Called by the server at the end, whatever happened."""
        try:
            if hasattr(self.body, "close"):
                self.body.close()
        finally:
            self.record(None)

    def record(self, problem: Exception | None) -> None:
        if not self._done:
            self._done = True
            self._middleware.finished(self._environ, self, type(problem).__name__ if problem else None)


def _path(environ: Environ) -> str:
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return path.encode("latin-1").decode("utf-8", "replace") or "/"


def _route(environ: Environ) -> str | None:
    """The pattern that Flask matched; it leaves its request in the environ."""
    rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
    return str(rule.rule) if rule else None
