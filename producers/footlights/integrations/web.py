"""What a web request becomes: one page view or API call, and one timed operation.

In: a request and its answer, as any framework can tell them.
Out: calls of the client.
Never: a query string, a body or a header in an event; a request for a static file or a health check.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from footlights.client import Client

STATIC = re.compile(
    r"\.(?:css|js|mjs|map|png|jpe?g|gif|svg|ico|webp|avif|woff2?|ttf|eot|txt|xml|webmanifest|mp4|webm|pdf)$", re.I
)
HEALTH = ("/health", "/healthz", "/ready", "/readyz", "/live", "/livez", "/metrics", "/ping", "/favicon.ico")
#: Programs that name themselves; the collector knows many more.
MACHINES = re.compile(r"bot\b|crawl|spider|slurp|curl/|wget/|python-|go-http|java/|headless|monitor|uptime", re.I)
#: Pieces of a path that differ from request to request have a digit; versions do too.
_ID = re.compile(r"^(?!v\d+$)(?=.*\d)", re.I)
_PAGE_MB = (os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4_096) / 1_048_576


@dataclass(frozen=True)
class Person:
    """Who made a request, by raw ids; None for what is not known."""

    user_id: str | int | None = None
    anonymous_id: str | int | None = None
    session_id: str | int | None = None


@dataclass(frozen=True)
class Exchange:
    """A request and its answer. `route` is the path's pattern where the framework knows it; `url` has no query string."""

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
    error: str | None = None


@dataclass(frozen=True)
class Recording:
    """How requests are recorded.

    `skip` are beginnings of paths that are none of analytics' business, besides static files and health checks.
    """

    client: Client
    skip: tuple[str, ...] = ()

    def wanted(self, path: str) -> bool:
        """Whether a request for this path becomes events."""
        return not (path.rstrip("/") in HEALTH or STATIC.search(path) or (self.skip and path.startswith(self.skip)))

    def record(self, exchange: Exchange) -> None:
        """Turn a request into events; the client never raises, unless it is strict."""
        if not self.wanted(exchange.path):
            return
        who: dict[str, Any] = {
            "user_id": exchange.person.user_id,
            "anonymous_id": exchange.person.anonymous_id,
            "session_id": exchange.person.session_id,
            "automatic": bool(not exchange.user_agent or MACHINES.search(exchange.user_agent)),
        }
        operation = f"{exchange.method} {exchange.route or template_of(exchange.path)}"
        page = exchange.method == "GET" and exchange.status < 400 and exchange.content_type.startswith("text/html")
        place: dict[str, Any] = {
            "path": exchange.path,
            "url": exchange.url,
            "referrer": without_query(exchange.referrer),
        }
        if page:
            self.client.track("page_view", status=exchange.status, **place, **who)
        else:
            self.client.track("api_call", status=exchange.status, properties={"operation": operation}, **place, **who)
        self.client.performance(
            self.client.source, operation, min(86_400_000, round(exchange.duration_ms)), status=exchange.status,
            memory_mb=resident_mb(), error=exchange.error, **who,
        )  # fmt: skip
        if exchange.error:
            crash(self.client, operation, exchange.error, **who)


def crash(client: Client, operation: str, error: str, **who: Any) -> None:
    """Record a crash: the kind of error, never its message, which may hold anything."""
    client.track("crash", component=client.source, operation=operation, error=error, memory_mb=resident_mb(), **who)


def template_of(path: str) -> str:
    """A path with its ids taken out, so that there are few of them.

    Examples
    --------
    >>> template_of("/events/981/tickets/7f9c24e8-3b12-4fef-91e0-53a6d2c3a5f1")
    '/events/{id}/tickets/{id}'
    """
    return "/".join("{id}" if _ID.match(piece) else piece for piece in path.split("/")[:8]) or "/"


def without_query(url: str | None) -> str | None:
    """An address without its query and fragment, which may hold anything."""
    return re.split(r"[?#]", url, maxsplit=1)[0][:2_000] if url else None


def resident_mb() -> float | None:
    """Resident memory of this process in MiB, None where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as told:  # noqa: PTH123  (a tenth of the time of a Path)
            return round(int(told.read().split()[1]) * _PAGE_MB, 1)
    except (OSError, ValueError, IndexError):
        return None


#: Finds who made a request from what the framework hands over.
WhoIs = Callable[[Any], Person]
