"""The one client of a Django process.

In: settings. Out: Client, made at its first use.
Never: two clients in a process.
"""

from typing import Any

from footlights.client import Client
from footlights.integrations.django import conf
from footlights.processes import ProcessLock

_lock = ProcessLock()
_held: list[Client] = []


def client() -> Client:
    """The client of this project, for views and tasks too."""
    with _lock.held():
        if not _held:
            _held.append(
                Client(
                    bootstrap_servers=conf.value("BOOTSTRAP_SERVERS"),
                    schema_registry=conf.value("SCHEMA_REGISTRY"),
                    collector=conf.value("COLLECTOR"),
                    api_key=conf.value("API_KEY"),
                    source=conf.value("SOURCE"),
                    tenant_id=conf.value("TENANT_ID"),
                    pseudonym_key=conf.value("PSEUDONYM_KEY") or None,
                    spool_dir=conf.value("SPOOL_DIR") or None,
                    enabled=conf.value("ENABLED") and bool(conf.value("BOOTSTRAP_SERVERS") or conf.value("COLLECTOR")),
                )
            )
        return _held[0]


def id_of(user: Any) -> str | None:
    """Raw id of a user, None for a visitor."""
    if user is None or not getattr(user, "is_authenticated", False):
        return None
    found = getattr(user, conf.value("USER_ID_FIELD"), None)
    return None if found is None else str(found)


def told() -> list[tuple[str, Any]]:
    """What there is to tell of this process, as names and values."""
    held = client()
    refused = ", ".join(f"{reason} {number}" for reason, number in sorted(held.refused.items()))
    return [
        ("Enabled", "yes" if held.enabled else "no"),
        ("Source", held.source),
        ("Producer of this process", held.producer_id or "none yet"),
        ("Events that wait in the spool", held.waiting),
        ("Refused", refused or "none"),
    ]
