"""Signals of Django, and those that a shop sends: `ticket_purchased.send(sender, user=…, hosted_event_id=…, amount=Money(…))`.

In: signals. Out: events, those of a transaction once it is committed.
Never: an exception in whoever sent a signal, a query, an event of what was rolled back.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import got_request_exception
from django.db import connections, transaction
from django.db.models.signals import post_save, pre_save
from django.dispatch import Signal

from footlights.business import SHAPES
from footlights.integrations.django.client import client, known_id
from footlights.integrations.guard import guarded
from footlights.outcome import LOG

#: One signal for each of the platform's business events; accounts have Django's own.
BUSINESS = {name: Signal() for name in SHAPES if not name.startswith("user_")}
checkout_started, checkout_completed = BUSINESS["checkout_started"], BUSINESS["checkout_completed"]
payment_attempted, payment_authorised = BUSINESS["payment_attempted"], BUSINESS["payment_authorised"]
payment_failed, ticket_purchased = BUSINESS["payment_failed"], BUSINESS["ticket_purchased"]
refund_issued, chargeback_received = BUSINESS["refund_issued"], BUSINESS["chargeback_received"]
ticket_checked_in, ticket_checked_out = BUSINESS["ticket_checked_in"], BUSINESS["ticket_checked_out"]
feedback_given, rsvp_given = BUSINESS["feedback_given"], BUSINESS["rsvp_given"]


#: Attribute of a user that is saved for the first time although it was there before, as a row of a parent model.
_PROMOTED = "_footlights_promoted"


def connect() -> None:
    """Listen to all of them, once."""
    for name, signal in BUSINESS.items():
        _listen(signal, partial(_business, name), name)
    _listen(user_logged_in, partial(_account, "user_logged_in"), "in")
    _listen(user_logged_out, partial(_account, "user_logged_out"), "out")
    _listen(user_login_failed, _login_failed, "failed")
    # Of all senders: those of proxy models and of models that inherit from the user's are classes of their own.
    _listen(pre_save, _saving, "saving")
    _listen(post_save, _saved, "registered")
    _listen(got_request_exception, _crashed, "crashed")


def _listen(signal: Signal, receiver: Callable[..., None], name: str) -> None:
    signal.connect(guarded(receiver), weak=False, dispatch_uid=f"footlights.{name}")


def after_commit(record: Callable[[], Any], using: str | None = None) -> None:
    """Record when the transaction commits, at once when there is none, and never when it is rolled back.

    Parameters
    ----------
    record
        Makes the event.
    using
        Alias of the database that decides. None: every database that has a transaction open here.
    """
    waiting = {
        c.alias for c in connections.all(initialized_only=True) if c.in_atomic_block and using in (None, c.alias)
    }
    if not waiting:
        record()

    def committed(alias: str) -> None:
        waiting.discard(alias)
        if not waiting:
            record()

    for alias in list(waiting):
        transaction.on_commit(partial(committed, alias), using=alias, robust=True)


def _business(
    name: str, user: Any = None, using: str | None = None, signal: Any = None, sender: Any = None, **values: Any
) -> None:
    if user is not None:
        values["user_id"] = known_id(user)
    after_commit(guarded(partial(_record_business, name, values)), using)


def _record_business(name: str, values: dict[str, Any]) -> None:
    outcome = getattr(client(), name)(**values)
    if not outcome and outcome.reason:
        LOG.warning("%s is not recorded: %s", name, outcome.detail)


def _account(name: str, user: Any = None, **_: Any) -> None:
    if (found := known_id(user)) is not None:
        after_commit(guarded(partial(_record, name, found)))


def _login_failed(**_: Any) -> None:
    _record("login_failed", None)  # the credentials are nobody's business; nor does a rollback undo the attempt


def _saving(instance: Any, raw: bool = False, **_: Any) -> None:
    """Note a row that a model which inherits from the user's adds to a user who is there: nobody registers."""
    if raw or not _is_user(instance):
        return
    users: Any = get_user_model()._meta.concrete_model
    model = type(instance)._meta.concrete_model
    link = model._meta.get_ancestor_link(users) if model is not users else None
    if link is not None and instance._state.adding:
        generated = users._meta.pk.get_internal_type().endswith("AutoField")
        promoted = link.is_cached(instance) or (generated and getattr(instance, link.attname) is not None)
        setattr(instance, _PROMOTED, promoted)


def _saved(instance: Any, created: bool, raw: bool = False, using: str | None = None, **_: Any) -> None:
    if not created or raw or not _is_user(instance) or instance.__dict__.pop(_PROMOTED, False):
        return
    after_commit(guarded(partial(_record, "user_registered", known_id(instance))), using)


def _is_user(instance: Any) -> bool:
    try:
        users: Any = get_user_model()._meta.concrete_model
    except (ImproperlyConfigured, LookupError):  # a project without users
        return False
    return isinstance(instance, users)


def _record(name: str, user_id: str | None) -> None:
    client().track(name, user_id=user_id)


def _crashed(request: Any, **_: Any) -> None:
    """Leave the error to the middleware. Django sends this for what nobody caught, wherever raised, and not for 404 or 403."""
    if request is not None:
        request.footlights_error = sys.exc_info()[1]
