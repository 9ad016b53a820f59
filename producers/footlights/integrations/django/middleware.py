"""The middleware, for WSGI and ASGI alike: `"footlights.integrations.django.middleware.FootlightsMiddleware"`.

In: requests.
Out: the same answers; each request becomes events.
Never: a changed request or answer.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings

from footlights.integrations.django import conf
from footlights.integrations.django.client import client, id_of
from footlights.integrations.web import Exchange, Person, Recording


class FootlightsMiddleware:
    """Records requests; put it first, so that it sees the time of all others."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        places = (urlsplit(str(getattr(settings, name, "") or "")).path for name in ("STATIC_URL", "MEDIA_URL"))
        served = tuple("/" + path.lstrip("/") for path in places if path.strip("/"))
        self._recording = Recording(client(), (*served, *conf.value("SKIP_PATHS")))
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any | Awaitable[Any]:
        """Answer and record."""
        if self._is_async:
            return self._async(request)
        began = time.perf_counter()
        response = self.get_response(request)
        self._record(request, response, began, id_of(getattr(request, "user", None)))
        return response

    async def _async(self, request: Any) -> Any:
        began = time.perf_counter()
        response = await self.get_response(request)
        user = await request.auser() if hasattr(request, "auser") else None
        self._record(request, response, began, id_of(user))
        return response

    def _record(self, request: Any, response: Any, began: float, user_id: str | None) -> None:
        match, session = getattr(request, "resolver_match", None), getattr(request, "session", None)
        self._recording.record(
            Exchange(
                method=request.method, path=request.path, status=response.status_code,
                duration_ms=(time.perf_counter() - began) * 1000,
                url=f"{request.scheme}://{request.META.get('HTTP_HOST', '')}{request.path}"[:2_000],
                referrer=request.META.get("HTTP_REFERER"), route="/" + match.route if match and match.route else None,
                user_agent=request.META.get("HTTP_USER_AGENT", ""), content_type=response.headers.get("Content-Type", ""),
                person=Person(user_id=user_id, session_id=session.session_key if session is not None else None),
                error=getattr(request, "footlights_error", None),
            )
        )  # fmt: skip
