"""ASGI middleware, for Starlette, FastAPI and whatever speaks ASGI: `app.add_middleware(FootlightsMiddleware, client=client)`.

In: an application.
Out: the same application; each request becomes events when the last byte of its answer is sent.
Never: a changed request or answer; an exception of the application passes through, one of ours does not arise.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from footlights.client import Client
from footlights.integrations.failures import is_departure
from footlights.integrations.guard import attempt
from footlights.integrations.starlette import answered_outside
from footlights.integrations.visits import Visit, address_of, person_by
from footlights.integrations.web import Exchange, Person, Recording, WhoIs, template_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Where a user's id stands: Starlette's own, then what rows of an ORM have, then Starlette's SimpleUser.
_IDS = ("identity", "id", "pk", "display_name")


def person_of(scope: Scope) -> Person:
    """The user of Starlette's AuthenticationMiddleware, or another that was put into the scope, when there is one."""
    user = scope.get("user")
    known = getattr(user, "is_authenticated", False)
    if not (known() if callable(known) else known):
        return Person()
    found = (attempt("the user's id", _own, user, name, default=None) for name in _IDS)
    return Person(user_id=next((told for told in found if told not in (None, "") and not callable(told)), None))


def _own(user: Any, name: str) -> Any:
    try:
        return getattr(user, name, None)
    except NotImplementedError:  # Starlette's own users have properties that are not there
        return None


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
        if scope.get("type") != "http" or not self._recording.wanted(scope.get("path")):
            await self.app(scope, receive, send)
            return
        answer, host = _Answer(), scope.get("app")
        visit = Visit(self._recording, partial(self._describe, scope, answer))

        async def hear() -> Message:
            message = await receive()
            answer.gone = answer.gone or message.get("type") == "http.disconnect"
            return message

        async def note(message: Message) -> None:
            try:
                await send(message)
            except BaseException as problem:
                answer.sending = problem
                raise
            if attempt("an answer", answer.take, scope, message, default=False):
                visit.end(answer.status)

        try:
            await self.app(scope, hear, note)
        except BaseException as problem:
            left = is_departure(problem, answer.sending, told_gone=answer.gone)
            if not left and answer.status is None and answered_outside(host, scope, visit, problem):
                raise
            end = visit.end_apart if isinstance(problem, GeneratorExit) else visit.end
            end(answer.status, problem, left=left)
            raise
        if not visit.ended:  # the server will say that the answer is incomplete, if anybody still waits for it
            left = answer.gone or answer.sending is not None
            visit.end(answer.status if left else None, left=left)

    def _describe(self, scope: Scope, answer: "_Answer") -> Exchange:
        none: dict[str, str] = {}
        asked = attempt("the request's headers", headers_of, scope.get("headers", ()), default=none)
        given = attempt("the answer's headers", headers_of, answer.headers, default=none)
        path = str(scope["path"])
        return Exchange(
            method=str(scope.get("method", "GET")), path=path, status=0, duration_ms=0.0,
            url=address_of(scope.get("scheme", "http"), asked.get("host", ""), path), referrer=asked.get("referer"),
            route=answer.route or attempt("the route", route_of, scope, default=None),
            user_agent=asked.get("user-agent", ""), content_type=given.get("content-type", ""),
            person=person_by(self._who, scope),
        )  # fmt: skip


class _Answer:
    """What was sent so far."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: Any = ()
        self.route: str | None = None
        self.gone = False
        self.sending: BaseException | None = None
        self._trailers = False

    def take(self, scope: Scope, message: Message) -> bool:
        """Note a message that was sent; whether it was the last one."""
        kind, more = message["type"], message.get("more_body", False)
        if kind == "http.response.start":
            self._trailers = bool(message.get("trailers", False))
            self.headers = message.get("headers", ())
            self.route = attempt("the route", route_of, scope, default=None)  # frameworks put it back afterwards
            self.status = int(message["status"])
            return False
        if kind in ("http.response.body", "http.response.zerocopysend"):
            return not more and not self._trailers
        if kind == "http.response.pathsend":
            return not self._trailers
        return kind == "http.response.trailers" and not message.get("more_trailers", False)


def route_of(scope: Scope) -> str | None:
    """The pattern of the route that matched, with the place where its application is mounted."""
    path = getattr(scope.get("route"), "path", None)
    if not isinstance(path, str):
        return None
    mounted = scope.get("root_path", "")
    return template_of(mounted) + path if mounted else path


def headers_of(pairs: Any) -> dict[str, str]:
    """Headers by lower-case name; of repeated ones the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}
