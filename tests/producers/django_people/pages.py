"""Pages of a Django project that tests run inside their process.

In: requests. Out: streams, failures, sessions.
Never: a network.
"""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.contrib.auth import get_user_model, login
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.urls import path


class _Slow(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        time.sleep(0.1)
        return super().read(6)


def _rows(fails: bool = False) -> Iterator[str]:
    yield "row 0\n"
    time.sleep(0.25)
    if fails:
        raise RuntimeError("source went away")
    yield "row 1\n"


async def _rows_async(fails: bool = False) -> AsyncIterator[str]:
    yield "row 0\n"
    await asyncio.sleep(0.25)
    if fails:
        raise RuntimeError("source went away")
    yield "row 1\n"


class _Iterator:
    """An iterator that is no generator."""

    def __init__(self) -> None:
        self._rows = _rows()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self._rows)


def stream(request: Any, kind: str) -> StreamingHttpResponse:
    if kind == "file":
        return FileResponse(_Slow(b"row 0\nrow 1\n"), content_type="text/csv")
    rows: Any = {"sync": _rows, "async": _rows_async, "generator-less": _Iterator}[kind]()
    return StreamingHttpResponse(rows, content_type="text/csv")


def fails(request: Any, kind: str) -> StreamingHttpResponse:
    rows: Any = _rows(True) if kind == "sync" else _rows_async(True)
    return StreamingHttpResponse(rows, content_type="text/csv")


def page(request: Any) -> HttpResponse:
    return HttpResponse("<h1>no database needed</h1>")


def broken(request: Any) -> HttpResponse:
    raise RuntimeError("the card number is 4111 1111 1111 1111")


async def async_broken(request: Any) -> HttpResponse:
    raise RuntimeError("the card number is 4111 1111 1111 1111")


def denied(request: Any) -> HttpResponse:
    raise PermissionDenied


def sign_in(request: Any) -> HttpResponse:
    person, _ = get_user_model().objects.get_or_create(name="staff")
    login(request, person)
    return HttpResponse("in")


def look(request: Any) -> HttpResponse:
    return HttpResponse(str(request.user.is_authenticated))


def session(request: Any) -> HttpResponse:
    return HttpResponse(str(request.session.get("cart")))


urlpatterns = [
    path("stream/<str:kind>", stream), path("fails/<str:kind>", fails), path("page", page), path("broken", broken),
    path("async-broken", async_broken), path("denied", denied), path("in", sign_in), path("user", look),
    path("session", session),
]  # fmt: skip
