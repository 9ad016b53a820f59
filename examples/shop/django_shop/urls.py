"""Pages: the middleware records requests, signals say what was sold, the outbox ties money to its order.

In: requests.
Out: pages, events.
Never: an order without its event, or an event without its order.
"""

import uuid
from typing import Any

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.urls import path
from django.utils.html import format_html
from footlights import Money, Outbox
from footlights.integrations.django import signals
from footlights.integrations.django.client import client

from examples.shop import pages
from examples.shop.catalogue import CONCERTS, CURRENCY, Concert, authorised
from examples.shop.django_shop.orders.models import Order


def concert_of(event_id: str) -> Concert:
    """The concert, or 404."""
    if event_id not in CONCERTS:
        raise Http404
    return CONCERTS[event_id]


def user_of(request: HttpRequest) -> Any:
    """Whoever signed in."""
    return request.user if request.user.is_authenticated else None


def token_of(request: HttpRequest) -> str:
    """The hidden field of a form."""
    return format_html('<input type=hidden name=csrfmiddlewaretoken value="{}">', get_token(request))


def home(request: HttpRequest) -> HttpResponse:
    """All concerts."""
    user = user_of(request)
    return HttpResponse(pages.home(user.username if user else None, token_of(request)))


def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in; who is new becomes a user."""
    user, _ = User.objects.get_or_create(username=request.POST["name"])
    login(request, user, "django.contrib.auth.backends.ModelBackend")
    return HttpResponseRedirect("/")


def event(request: HttpRequest, event_id: str) -> HttpResponse:
    """One concert."""
    return HttpResponse(pages.event(concert_of(event_id), token_of(request)))


def buy(request: HttpRequest, event_id: str) -> HttpResponse:
    """Check out, pay, and keep the order together with its event."""
    concert, quantity, order_id = concert_of(event_id), int(request.POST["quantity"]), uuid.uuid4().hex
    amount = Money(concert.price_minor * quantity, CURRENCY)
    common: dict[str, Any] = {
        "user": user_of(request), "order_id": order_id, "hosted_event_id": event_id, "amount": amount,
    }  # fmt: skip
    signals.checkout_started.send(sender=None, quantity=quantity, **common)
    payment = {**common, "payment_id": f"p-{order_id}"}
    signals.payment_attempted.send(sender=None, **payment)
    if not authorised(request.POST["card"]):
        signals.payment_failed.send(sender=None, reason="card_declined", **payment)
        return HttpResponse(pages.declined(), status=402)
    signals.payment_authorised.send(sender=None, **payment)
    user = payment.pop("user")
    with transaction.atomic():
        Order.objects.create(id=order_id, event_id=event_id, quantity=quantity)
        outbox = Outbox(client())
        outbox.track(connection, "ticket_purchased", user_id=user.pk if user else None, quantity=quantity, **payment)
    signals.checkout_completed.send(sender=None, quantity=quantity, **common)
    return HttpResponseRedirect(f"/orders/{order_id}")


def order(request: HttpRequest, order_id: str) -> HttpResponse:
    """An order."""
    found = Order.objects.filter(pk=order_id).first()
    if found is None:
        raise Http404
    concert = CONCERTS[found.event_id]
    amount_minor = concert.price_minor * found.quantity
    token = token_of(request)
    return HttpResponse(
        pages.order(order_id, concert, found.quantity, amount_minor, refunded=found.refunded, token=token)
    )


def refund(request: HttpRequest, order_id: str) -> HttpResponse:
    """Give tickets back, once."""
    with transaction.atomic():
        if Order.objects.filter(pk=order_id, refunded=False).update(refunded=True):
            given_back = Order.objects.get(pk=order_id)
            concert, user = CONCERTS[given_back.event_id], user_of(request)
            Outbox(client()).track(
                connection, "refund_issued", user_id=user.pk if user else None, order_id=order_id, reason="given_back",
                hosted_event_id=concert.id, amount=Money(concert.price_minor * given_back.quantity, CURRENCY),
                quantity=given_back.quantity,
            )  # fmt: skip
    return HttpResponseRedirect(f"/orders/{order_id}")


def feedback(request: HttpRequest, event_id: str) -> HttpResponse:
    """Rate a concert."""
    rated = {"hosted_event_id": concert_of(event_id).id, "rating": int(request.POST["rating"])}
    signals.feedback_given.send(sender=None, user=user_of(request), **rated)
    return HttpResponseRedirect("/")


def health(request: HttpRequest) -> HttpResponse:
    """Whether it is up."""
    return HttpResponse("ok", content_type="text/plain")


def snippet(request: HttpRequest) -> HttpResponse:
    """The browser snippet."""
    return HttpResponse(pages.SNIPPET, content_type="text/javascript")


urlpatterns = [
    path("", home), path("login", sign_in), path("events/<str:event_id>", event), path("events/<str:event_id>/buy", buy),
    path("events/<str:event_id>/feedback", feedback), path("orders/<str:order_id>", order),
    path("orders/<str:order_id>/refund", refund), path("health", health), path("footlights.min.js", snippet),
]  # fmt: skip
