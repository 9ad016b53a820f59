"""The `ANALYTICS_*` settings of a Django project.

In: django.conf.settings, and the environment for what is not set there.
Out: values, and what is misspelt.
Never: a secret in a message.
"""

import difflib
import os
from typing import Any

from django.conf import settings

#: Name without its prefix, default, meaning.
SETTINGS: dict[str, tuple[Any, str]] = {
    "ENABLED": (True, "false makes every call do nothing"),
    "BOOTSTRAP_SERVERS": ("", "Kafka, host:port"),
    "SCHEMA_REGISTRY": ("", "URL of the schema registry"),
    "COLLECTOR": ("", "URL of a collector, instead of those two"),
    "API_KEY": ("", "write key of the collector"),
    "SOURCE": ("django", "name of the service, as the ledger shows it"),
    "TENANT_ID": ("default", "tenant of its events"),
    "PSEUDONYM_KEY": ("", "key that all services share"),
    "SPOOL_DIR": ("", "folder in which events wait; default: in the user's state folder"),
    "SKIP_PATHS": ((), "beginnings of paths that are not recorded"),
    "USER_ID_FIELD": ("pk", "attribute of the user that is its id"),
}
#: Settings of the specification that the platform reads from its own environment: a project may have them too, without an effect.
PLATFORM: dict[str, str] = {
    "RETENTION_DAYS": "days that the platform keeps raw events",
    "BATCH_SIZE": "rows that its stream gathers before they are merged",
}
PREFIX = "ANALYTICS_"


def value(name: str) -> Any:
    """A setting, by its name without the prefix."""
    default = SETTINGS[name][0]
    found = getattr(settings, PREFIX + name, None)
    if found is None:
        found = os.environ.get(PREFIX + name, default)
    if isinstance(default, bool) and isinstance(found, str):
        return found.strip().lower() not in ("false", "0", "no", "off")
    return found


def words(name: str) -> tuple[str, ...]:
    """A setting that is a list; in the environment its parts are separated by commas."""
    found = value(name)
    parts = found.split(",") if isinstance(found, str) else found
    return tuple(part for part in (str(part).strip() for part in parts) if part)


def misspelt() -> list[tuple[str, str]]:
    """(name, nearest right name or "") of each ANALYTICS_* setting that is none."""
    known = [PREFIX + name for name in (*SETTINGS, *PLATFORM)]
    found = [name for name in dir(settings) if name.startswith(PREFIX) and name not in known]
    return [(name, next(iter(difflib.get_close_matches(name, known, 1)), "")) for name in found]
