"""What a web request becomes: one page view or API call, and one timed operation.

In: a request and its answer, as any framework can tell them.
Out: calls of the client.
Never: a query string, a session id, a body or a header in an event; an exception in the host; a request for a part of a page or a
health check.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from footlights.checks import RANGES
from footlights.client import Client
from footlights.integrations.failures import crash, kind_of, resident_mb
from footlights.integrations.guard import attempt
from footlights.pages import is_unrecorded, names_page, page_path

#: Programs that name themselves; the collector knows many more.
MACHINES = re.compile(r"bot\b|crawl|spider|slurp|curl/|wget/|python-|go-http|java/|headless|monitor|uptime", re.I)
#: Pieces of a path that differ from request to request have a digit; versions do too.
_ID = re.compile(r"^(?!v\d+$)(?=.*\d)", re.I)
MAX_ADDRESS = 2_000


@dataclass(frozen=True)
class Person:
    """Who made a request, by raw ids; None for what is not known."""

    user_id: str | int | None = None
    anonymous_id: str | int | None = None
    session_id: str | int | None = None


@dataclass(frozen=True)
class Exchange:
    """A request and its answer.

    `status` is what the client got, 500 for an answer that a failure cut off, 499 when nobody waited for one. `route` is the path's
    pattern where the framework knows it; `url` has no query string; `error` is an exception, or the name of its class.
    """

    method: str
    path: str
    status: int
    duration_ms: float
    url: str | None = None
    referrer: str | None = None
    route: str | None = None
    user_agent: str = ""
    content_type: str = ""
    person: Person = field(default_factory=Person)
    error: BaseException | str | None = None

    @property
    def operation(self) -> str:
        """Method and pattern of the path, of which there are few."""
        return f"{self.method} {self.route or template_of(page_path(self.path))}"

    @property
    def who(self) -> dict[str, Any]:
        """Arguments of `track` that say who made the request."""
        return {
            "user_id": _id(self.person.user_id),
            "anonymous_id": _id(self.person.anonymous_id),
            "session_id": _id(self.person.session_id),
            "automatic": bool(not self.user_agent or MACHINES.search(self.user_agent)),
        }


@dataclass(frozen=True)
class Recording:
    """How requests are recorded.

    `skip` are beginnings of paths that are none of analytics' business, besides parts of pages and health checks.
    """

    client: Client
    skip: tuple[str, ...] = ()

    def wanted(self, path: Any) -> bool:
        """Whether a request for this path becomes events."""
        return attempt("a path", self._wanted, path, default=False)

    def record(self, exchange: Exchange) -> None:
        """Turn a request into events; never raises, not even when the client is strict."""
        if self.wanted(exchange.path):
            attempt("a request", self._record, exchange, default=None)

    def crashed(self, exchange: Exchange, error: BaseException) -> None:
        """Record what failed after the answer was complete, e.g. a background task."""
        if self.wanted(exchange.path):
            attempt("a crash", self._crashed, exchange, error, default=None)

    def _wanted(self, path: str) -> bool:
        return not (is_unrecorded(path) or (self.skip and path.startswith(tuple(self.skip))))

    def _record(self, exchange: Exchange) -> None:
        operation, who = exchange.operation, exchange.who
        low, high = RANGES["status"]
        status = exchange.status if low <= exchange.status <= high else None
        html = exchange.content_type.lower().startswith(("text/html", "application/xhtml+xml"))
        page = exchange.method == "GET" and exchange.status < 400 and html and names_page(exchange.path)
        seen: dict[str, Any] = {
            "path": page_path(exchange.path)[:MAX_ADDRESS],
            "url": without_query(exchange.url),
            "referrer": without_query(exchange.referrer),
            "status": status,
        }
        if page:
            self._say("page_view", seen, who)
        else:
            self._say("api_call", {**seen, "properties": {"operation": operation}}, who)
        timed = {
            "component": self.client.source,
            "operation": operation,
            "response_time_ms": max(0, min(RANGES["response_time_ms"][1], round(exchange.duration_ms))),
            "status": status,
            "memory_mb": resident_mb(),
            "error": kind_of(exchange.error) if exchange.error else None,
        }
        self._say("operation_timed", timed, who)
        if exchange.error:
            crash(self.client, operation, exchange.error, **who)

    def _crashed(self, exchange: Exchange, error: BaseException) -> None:
        crash(self.client, exchange.operation, error, **exchange.who)

    def _say(self, name: str, values: dict[str, Any], who: dict[str, Any]) -> None:
        outcome = attempt(name, lambda: self.client.track(name, **values, **who), default=None)
        if outcome is not None and outcome.reason == "INVALID_ID":  # a placeholder: the request was made all the same
            attempt(name, lambda: self.client.track(name, **values, automatic=who["automatic"]), default=None)


def template_of(path: str) -> str:
    """A path with its ids taken out, so that there are few of them.

    Examples
    --------
    >>> template_of("/events/981/tickets/7f9c24e8-3b12-4fef-91e0-53a6d2c3a5f1")
    '/events/{id}/tickets/{id}'
    """
    return "/".join("{id}" if _ID.match(piece) else piece for piece in path.split("/")[:8]) or "/"


def without_query(url: str | None) -> str | None:
    """An address without its query, its fragment and session ids in its path.

    Examples
    --------
    >>> without_query("https://shop.example/a;jsessionid=1A?q=rosa@example.org")
    'https://shop.example/a'
    """
    return page_path(re.split(r"[?#]", url, maxsplit=1)[0])[:MAX_ADDRESS] if url else None


def _id(told: Any) -> str | int | None:
    """An id as `track` takes it; a UUID or a key of an ORM as text."""
    return told if told is None or isinstance(told, (str, int)) else str(told)


#: Finds who made a request from what the framework hands over.
WhoIs = Callable[[Any], Person]
