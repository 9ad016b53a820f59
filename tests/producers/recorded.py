"""A client that only keeps what integrations tell it, and servers' sides of ASGI and WSGI in a few lines.

In: calls of `track`; applications.
Out: events as (name, values); what a server would have sent.
Never: a network. What arrives on Kafka is for test_integrations.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from footlights import Client
from footlights.outcome import Outcome

AGENT = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"


class Recorder(Client):
    """The real client with its last step replaced: events stay here instead of going to the spool."""

    def __init__(self, source: str = "shop") -> None:
        super().__init__(
            bootstrap_servers="127.0.0.1:1", schema_registry="http://127.0.0.1:1", source=source, pseudonym_key="k" * 32
        )
        self.events: list[tuple[str, dict[str, Any]]] = []

    def track(self, event_name: str, **values: Any) -> Outcome:
        """Keep it."""
        self.events.append((event_name, values))
        return Outcome("spooled")

    def of(self, name: str) -> list[dict[str, Any]]:
        """The events of a name."""
        return [values for told, values in self.events if told == name]

    def told(self) -> list[tuple[str, Any, Any]]:
        """Name, status and error of each event."""
        return [(name, values.get("status"), values.get("error")) for name, values in self.events]


class Gone(OSError):
    """What a server raises that sends to nobody."""


async def ask(
    app: Any,
    path: str = "/",
    *,
    method: str = "GET",
    gone_after: int | None = None,
    disconnect: bool = False,
    **scope: Any,
) -> list[dict[str, Any]]:
    """What an ASGI application sends; after `gone_after` messages the client is away, with `disconnect` from the start."""
    sent: list[dict[str, Any]] = []
    bodies = [{"type": "http.request", "body": b"", "more_body": False}]
    finished = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if disconnect:
            return {"type": "http.disconnect"}
        if bodies:
            return bodies.pop()
        await finished.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if gone_after is not None and len(sent) >= gone_after:
            raise Gone
        sent.append(message)

    asked = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(), "query_string": b"q=rosa@example.org", "root_path": "", "scheme": "http",
        "headers": [(b"host", b"shop.example"), (b"user-agent", AGENT.encode())], "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80), "state": {}, **scope,
    }  # fmt: skip
    try:
        await app(asked, receive, send)
    finally:
        finished.set()
    return sent


def call(
    app: Any, path: str = "/", *, read: int | None = None, **environ: Any
) -> tuple[list[str], list[bytes], BaseException | None]:
    """Statuses, pieces and error of a WSGI application; after `read` pieces the client is away."""
    from wsgiref.util import setup_testing_defaults

    asked: dict[str, Any] = {"PATH_INFO": path, "HTTP_USER_AGENT": AGENT, "HTTP_HOST": "shop.example", **environ}
    setup_testing_defaults(asked)
    statuses: list[str] = []
    pieces: list[bytes] = []

    def start(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        statuses.append(status)
        return pieces.append

    body: Iterable[bytes] | None = None
    try:
        try:
            body = app(asked, start)
            for number, piece in enumerate(body):
                pieces.append(piece)
                if read is not None and number + 1 >= read:
                    break
        finally:
            if body is not None and hasattr(body, "close"):
                body.close()
    except BaseException as problem:
        return statuses, pieces, problem
    return statuses, pieces, None
