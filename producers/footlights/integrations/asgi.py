"""ASGI middleware, for Starlette, FastAPI and whatever speaks ASGI: `app.add_middleware(FootlightsMiddleware, client=client)`.

In: an application.
Out: the same application; each request becomes events when its answer is complete.
Never: a changed request or answer; an exception of the application passes through.
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from footlights.client import Client
from footlights.integrations.web import Exchange, Person, Recording, WhoIs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def person_of(scope: Scope) -> Person:
    """The user of Starlette's AuthenticationMiddleware, when there is one."""
    user = scope.get("user")
    if user is None or not getattr(user, "is_authenticated", False):
        return Person()
    try:
        return Person(user_id=user.identity)
    except NotImplementedError:
        return Person(user_id=getattr(user, "display_name", None) or None)


class FootlightsMiddleware:
    """Records the requests of an ASGI application.

    Parameters
    ----------
    client
        Made once for the process; safe with preforking servers.
    who
        Finds the person in the scope; by default Starlette's authenticated user.
    skip
        Beginnings of paths that are not recorded.
    """

    def __init__(self, app: App, *, client: Client, who: WhoIs = person_of, skip: tuple[str, ...] = ()) -> None:
        self.app, self._who, self._recording = app, who, Recording(client, skip)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and record it."""
        if scope["type"] != "http" or not self._recording.wanted(scope["path"]):
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        answer: dict[str, Any] = {"status": 500, "headers": []}

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.update(status=message["status"], headers=message.get("headers", []))
            await send(message)

        error: str | None = None
        try:
            await self.app(scope, receive, note)
        except Exception as problem:
            error = type(problem).__name__
            raise
        finally:
            self._recording.record(self._exchange(scope, answer, (time.perf_counter() - began) * 1000, error))

    def _exchange(self, scope: Scope, answer: dict[str, Any], duration_ms: float, error: str | None) -> Exchange:
        asked, given = headers_of(scope["headers"]), headers_of(answer["headers"])
        route = getattr(scope.get("route"), "path", None)
        path = scope["path"]
        return Exchange(
            method=scope["method"], path=path, status=500 if error else answer["status"], duration_ms=duration_ms,
            url=f"{scope.get('scheme', 'http')}://{asked.get('host', '')}{path}"[:2_000], referrer=asked.get("referer"),
            route=scope.get("root_path", "") + route if route else None, user_agent=asked.get("user-agent", ""),
            content_type=given.get("content-type", ""), person=self._who(scope), error=error,
        )  # fmt: skip


def headers_of(pairs: Any) -> dict[str, str]:
    """Headers by lower-case name; of repeated ones the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}
