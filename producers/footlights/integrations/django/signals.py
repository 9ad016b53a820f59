"""Signals of Django, and those that a shop sends: `ticket_purchased.send(sender, user=…, hosted_event_id=…, amount=Money(…))`.

In: signals. Out: events.
Never: an exception in whoever sent a signal.
"""

import sys
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.signals import got_request_exception
from django.db.models.signals import post_save
from django.dispatch import Signal

from footlights.business import SHAPES
from footlights.integrations.django.client import client, id_of
from footlights.outcome import LOG

#: One signal for each of the platform's business events; accounts have Django's own.
BUSINESS = {name: Signal() for name in SHAPES if not name.startswith("user_")}
checkout_started, checkout_completed = BUSINESS["checkout_started"], BUSINESS["checkout_completed"]
payment_attempted, payment_authorised = BUSINESS["payment_attempted"], BUSINESS["payment_authorised"]
payment_failed, ticket_purchased = BUSINESS["payment_failed"], BUSINESS["ticket_purchased"]
refund_issued, chargeback_received = BUSINESS["refund_issued"], BUSINESS["chargeback_received"]
ticket_checked_in, ticket_checked_out = BUSINESS["ticket_checked_in"], BUSINESS["ticket_checked_out"]
feedback_given, rsvp_given = BUSINESS["feedback_given"], BUSINESS["rsvp_given"]


def connect() -> None:
    """Listen to all of them, once."""
    for name, signal in BUSINESS.items():
        signal.connect(partial(_business, name), weak=False, dispatch_uid=f"footlights.{name}")
    user_logged_in.connect(partial(_account, "user_logged_in"), weak=False, dispatch_uid="footlights.in")
    user_logged_out.connect(partial(_account, "user_logged_out"), weak=False, dispatch_uid="footlights.out")
    user_login_failed.connect(_login_failed, weak=False, dispatch_uid="footlights.failed")
    post_save.connect(_saved, sender=get_user_model(), weak=False, dispatch_uid="footlights.registered")
    got_request_exception.connect(_crashed, weak=False, dispatch_uid="footlights.crashed")


def _business(name: str, user: Any = None, signal: Any = None, sender: Any = None, **values: Any) -> None:
    if user is not None:
        values["user_id"] = id_of(user)
    outcome = getattr(client(), name)(**values)
    if not outcome and outcome.reason:
        LOG.warning("%s is not recorded: %s", name, outcome.detail)


def _account(name: str, user: Any = None, **_: Any) -> None:
    if (found := id_of(user)) is not None:
        client().track(name, user_id=found)


def _login_failed(**_: Any) -> None:
    client().track("login_failed")  # the credentials are nobody's business


def _saved(instance: Any, created: bool, raw: bool = False, **_: Any) -> None:
    if created and not raw:
        client().track("user_registered", user_id=id_of(instance))


def _crashed(request: Any, **_: Any) -> None:
    """Leave the error to the middleware. Django sends this for what nobody caught, wherever raised, and not for 404 or 403."""
    if (error := sys.exc_info()[0]) is not None:
        request.footlights_error = error.__name__
