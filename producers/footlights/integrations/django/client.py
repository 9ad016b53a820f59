"""The one client of a Django process.

In: settings. Out: Client, made at its first use.
Never: two clients in a process.
"""

import time
from functools import cache
from typing import Any

from footlights.client import Client
from footlights.integrations.django import conf
from footlights.integrations.guard import attempt
from footlights.processes import ProcessLock

#: Seconds until a client that could not be made is tried again.
TRY_AGAIN_S = 10.0
_lock = ProcessLock()
_held: list[Client] = []
_failed_at: list[float] = []
_NOWHERE = "127.0.0.1:1"


def client() -> Client:
    """The client of this project, for views and tasks too.

    When its settings cannot work, a client that does nothing: `manage.py check` says what is wrong, and so does the log.
    """
    with _lock.held():
        if _held:
            return _held[0]
        if not _failed_at or time.monotonic() - _failed_at[-1] >= TRY_AGAIN_S:
            made = attempt("a client", made_client, default=None)
            if made is not None:
                _held.append(made)
                return made
            _failed_at[:] = [time.monotonic()]
        return _idle()


def made_client() -> Client:
    """A client of the project's settings.

    Raises
    ------
    Refusal, ValueError, OSError
        When they cannot work.
    """
    servers, collector = conf.value("BOOTSTRAP_SERVERS"), conf.value("COLLECTOR")
    if not (conf.value("ENABLED") and (servers or collector)):
        return _idle()
    return Client(
        bootstrap_servers=servers,
        schema_registry=conf.value("SCHEMA_REGISTRY"),
        collector=collector,
        api_key=conf.value("API_KEY"),
        source=conf.value("SOURCE"),
        tenant_id=conf.value("TENANT_ID"),
        pseudonym_key=conf.value("PSEUDONYM_KEY") or None,
        spool_dir=conf.value("SPOOL_DIR") or None,
        enabled=True,
    )


@cache
def _idle() -> Client:
    """A client that is connected to nothing and does nothing."""
    return Client(
        bootstrap_servers=_NOWHERE, schema_registry=f"http://{_NOWHERE}", source="django", pseudonym_key="none" * 4,
        enabled=False,
    )  # fmt: skip


def id_of(user: Any) -> str | None:
    """Raw id of a user, None for a visitor."""
    if user is None or not getattr(user, "is_authenticated", False):
        return None
    found = getattr(user, conf.value("USER_ID_FIELD"), None)
    return None if found is None else str(found)


def known_id(user: Any) -> str | None:
    """The same; None when the user's own code raises."""
    return attempt("a user's id", id_of, user, default=None)


def told() -> list[tuple[str, Any]]:
    """What there is to tell of this process, as names and values."""
    return attempt("its status", _told, default=[("Status", "cannot be told; the log says why")])


def _told() -> list[tuple[str, Any]]:
    held = client()
    refused = ", ".join(f"{reason} {number}" for reason, number in sorted(held.refused.items()))
    return [
        ("Enabled", "yes" if held.enabled else "no"),
        ("Source", held.source),
        ("Producer of this process", held.producer_id or "none yet"),
        ("Events that wait in the spool", held.waiting),
        ("Refused", refused or "none"),
    ]
