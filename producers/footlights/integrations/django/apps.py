"""The Django application.

In: a project that is set up. Out: receivers connected, settings checked.
Never: a connection to Kafka at import.
"""

from typing import Any

from django.apps import AppConfig
from django.core import checks

from footlights.integrations.django import conf
from footlights.integrations.django.client import made_client


class FootlightsConfig(AppConfig):
    """`footlights.integrations.django`."""

    name = "footlights.integrations.django"
    label = "footlights_analytics"
    verbose_name = "Analytics"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the receivers."""
        from footlights.integrations.django import signals

        signals.connect()
        checks.register(check_settings)


def check_settings(**_: Any) -> list[Any]:
    """What `manage.py check` says of the ANALYTICS_* settings."""
    out: list[Any] = [
        checks.Error(f"{name} is no setting", hint=f"did you mean {near}?" if near else None, id="footlights.E001")
        for name, near in conf.misspelt()
    ]
    enabled = conf.value("ENABLED")
    if enabled and not (conf.value("BOOTSTRAP_SERVERS") or conf.value("COLLECTOR")):
        out.append(
            checks.Warning(
                "no event is recorded: neither ANALYTICS_BOOTSTRAP_SERVERS nor ANALYTICS_COLLECTOR is set",
                hint="set the one with ANALYTICS_SCHEMA_REGISTRY or the other with ANALYTICS_API_KEY, or ANALYTICS_ENABLED = False",
                id="footlights.W001",
            )
        )
    elif enabled:
        try:
            made_client().close(0)
        except Exception as problem:  # in a server nothing of this raises, so it is said here
            out.append(
                checks.Error(f"no event is recorded: the settings make no client: {problem}", id="footlights.E002")
            )
    return out
