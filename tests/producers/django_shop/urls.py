"""Pages of the project."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.contrib import admin
from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.http import Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from footlights import Money, Outbox
from footlights.integrations.django import signals
from footlights.integrations.django.client import client


def home(request: Any) -> HttpResponse:
    return HttpResponse("<h1>home</h1>")


def event(request: Any, event_id: str) -> JsonResponse:
    return JsonResponse({"id": event_id})


def register(request: Any) -> HttpResponse:
    User.objects.create_user("rosa", password="x", is_staff=True, is_superuser=True)
    return HttpResponse("ok", content_type="text/plain")


def sign_in(request: Any) -> HttpResponse:
    user = authenticate(request, username="rosa", password=request.GET["password"])
    if user is None:
        return HttpResponse("no", status=403, content_type="text/plain")
    login(request, user)
    return HttpResponse("ok", content_type="text/plain")


def sign_out(request: Any) -> HttpResponse:
    logout(request)
    return HttpResponse("ok", content_type="text/plain")


def buy(request: Any) -> HttpResponse:
    bought = {"hosted_event_id": "e1", "amount": Money(5_000, "USD")}
    signals.ticket_purchased.send(sender=None, user=request.user, quantity=2, order_id="o1", **bought)
    signals.payment_failed.send(sender=None, user=request.user, amount=5)  # wrong, and no harm to the page
    with transaction.atomic():
        Outbox(client()).track(connection, "refund_issued", user_id=request.user.pk, **bought)
    return HttpResponse("ok", content_type="text/plain")


def broken(request: Any) -> HttpResponse:
    raise RuntimeError("the card number is 4111 1111 1111 1111")


def missing(request: Any) -> HttpResponse:
    raise Http404("no such thing")


def report(request: Any, kind: str) -> StreamingHttpResponse:
    """Rows as the server likes them, of which the last may be missing."""

    def rows() -> Iterator[str]:
        yield "row 0\n"
        time.sleep(1)
        if kind == "broken":
            raise RuntimeError("source went away")
        yield "row 1\n"

    async def rows_async() -> AsyncIterator[str]:
        yield "row 0\n"
        await asyncio.sleep(1)
        if kind == "broken":
            raise RuntimeError("source went away")
        yield "row 1\n"

    made = rows_async() if hasattr(request, "scope") else rows()
    return StreamingHttpResponse(made, content_type="text/csv")


def register_and_fail(request: Any) -> HttpResponse:
    try:
        with transaction.atomic():
            User.objects.create_user("gus")
            raise ValueError("card refused")
    except ValueError:
        return HttpResponse("not registered", status=402, content_type="text/plain")


def stumble(get_response: Any) -> Any:
    """A middleware that is broken for one path."""

    def middleware(request: Any) -> Any:
        if request.path == "/stumble/":
            raise LookupError("not in the view")
        return get_response(request)

    return middleware


def quiet(request: Any) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")


urlpatterns = [
    path("", home), path("events/<str:event_id>/", event), path("register/", register), path("in/", sign_in),
    path("out/", sign_out), path("buy/", buy), path("broken/", broken), path("missing/", missing),
    path("health", quiet), path("static/x", quiet),
    path("report/<str:kind>/", report), path("register-and-fail/", register_and_fail),
    path("internal/queue", quiet), path("admin/", admin.site.urls),
]  # fmt: skip
