"""The middleware, for WSGI and ASGI alike: `"footlights.integrations.django.middleware.FootlightsMiddleware"`.

In: requests.
Out: the same answers; each request becomes events when its answer is made, a streamed one when its last byte is sent.
Never: a changed request or answer, a query, an exception of ours, or a look at the session or the user that the page has not had.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.utils.functional import LazyObject, empty

from footlights.integrations.django import conf
from footlights.integrations.django.client import client, id_of
from footlights.integrations.failures import is_departure
from footlights.integrations.guard import attempt
from footlights.integrations.visits import Visit, address_of
from footlights.integrations.web import Exchange, Person, Recording

#: Keys of sessions are shorter; a longer one is the whole content of a session in a signed cookie.
_LONGEST_KEY = 64


class FootlightsMiddleware:
    """Records requests; put it first, so that it sees the time of all others."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._recording: Recording | None = attempt("its settings", _recording, default=None)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any | Awaitable[Any]:
        """Answer and record."""
        if self._is_async:
            return self._async(request)
        if (visit := self._visit(request)) is None:
            return self.get_response(request)
        try:
            response = self.get_response(request)
        except BaseException as problem:
            visit.visit.end(None, problem, left=is_departure(problem, None, told_gone=True))
            raise
        attempt("an answer", visit.answered, response, default=None)
        return response

    async def _async(self, request: Any) -> Any:
        if (visit := self._visit(request)) is None:
            return await self.get_response(request)
        try:
            response = await self.get_response(request)
        except BaseException as problem:
            visit.visit.end(None, problem, left=is_departure(problem, None, told_gone=True))
            raise
        attempt("an answer", visit.answered, response, default=None)
        return response

    def _visit(self, request: Any) -> "_Visit | None":
        if self._recording is None or not self._recording.wanted(getattr(request, "path", None)):
            return None
        return _Visit(self._recording, request)


class _Visit:
    """A request of Django and its answer."""

    def __init__(self, recording: Recording, request: Any) -> None:
        self._request = request
        self._response: Any = None
        self.visit = Visit(recording, self._describe)

    def answered(self, response: Any) -> None:
        """The view and all other middleware are done; a streamed answer has only begun."""
        self._response = response
        streamed = bool(getattr(response, "streaming", False))
        if not (streamed and attempt("a streamed answer", self._follow, response, default=False)):
            self._end()

    def _follow(self, response: Any) -> bool:
        response._resource_closers.insert(0, self._end)  # also when the client leaves before the first byte
        parts = response._iterator  # beneath `streaming_content`, whose setter would take a FileResponse its file
        response._iterator = self._read_async(parts) if response.is_async else self._read(parts)
        return True

    def _end(self, problem: BaseException | None = None) -> None:
        status, answered = getattr(self._response, "status_code", None), problem is None
        if answered:  # by Django itself, which told of the error by a signal
            problem, self._request.footlights_error = getattr(self._request, "footlights_error", None), None
        left = problem is not None and is_departure(problem, None, told_gone=True)
        self.visit.end(None if left and answered else status, problem, left=left, answered=answered)

    def _read(self, parts: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from parts
        except GeneratorExit:  # perhaps the garbage collector's: the response's `close` ends the visit
            raise
        except BaseException as problem:
            self._end(problem)
            raise
        self._end()

    async def _read_async(self, parts: AsyncIterator[Any]) -> AsyncIterator[Any]:
        try:
            async for part in parts:
                yield part
        except GeneratorExit:  # perhaps the garbage collector's: the response's `close` ends the visit
            raise
        except BaseException as problem:
            self._end(problem)
            raise
        self._end()

    def _describe(self) -> Exchange:
        request, response = self._request, self._response
        match = getattr(request, "resolver_match", None)
        given = getattr(response, "headers", {})
        told = attempt("the answer's headers", lambda: given.get("Content-Type", ""), default="")
        scheme = attempt("the scheme", lambda: request.scheme, default="http")
        return Exchange(
            method=str(request.method), path=request.path, status=0, duration_ms=0.0,
            url=address_of(scheme, request.META.get("HTTP_HOST", ""), request.path),
            referrer=request.META.get("HTTP_REFERER"), route="/" + match.route if match and match.route else None,
            user_agent=request.META.get("HTTP_USER_AGENT", ""), content_type=str(told),
            person=attempt("the person", person_of, request, default=Person()),
        )  # fmt: skip


def person_of(request: Any) -> Person:
    """The person whom the page itself has looked at: to ask for them here would make it need its database, or its session."""
    session = getattr(request, "session", None)
    key = attempt("the session", lambda: session.session_key, default=None) if session is not None else None
    user_id = attempt("the user", _user_id, request, session, default=None)
    return Person(user_id=user_id, session_id=key if isinstance(key, str) and len(key) <= _LONGEST_KEY else None)


def _user_id(request: Any, session: Any) -> str | None:
    user = request.__dict__.get("user")
    if isinstance(user, LazyObject):
        user = user.__dict__.get("_wrapped", empty)
    if user is None or user is empty:
        user = request.__dict__.get("_cached_user", request.__dict__.get("_acached_user"))
    if user is not None:
        return id_of(user)
    loaded = getattr(session, "__dict__", {}).get("_session_cache")  # its properties would mark it as looked at
    if conf.value("USER_ID_FIELD") != "pk" or not isinstance(loaded, dict) or SESSION_KEY not in loaded:
        return None
    return str(loaded[SESSION_KEY])


def _recording() -> Recording:
    places = (urlsplit(str(getattr(settings, name, "") or "")).path for name in ("STATIC_URL", "MEDIA_URL"))
    served = tuple("/" + path.lstrip("/") for path in places if path.strip("/"))
    return Recording(client(), (*served, *conf.words("SKIP_PATHS")))
