"""`manage.py analytics_test_event`: send one event and wait for Kafka's acknowledgement; exit 1 without it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from footlights.integrations.django.client import client


class Command(BaseCommand):
    """Send one event."""

    help = "Send one event and wait for Kafka's acknowledgement."

    def handle(self, *args: Any, **options: Any) -> None:
        """Send it."""
        outcome = client().track("analytics_test_event", automatic=True)
        if not outcome:
            raise CommandError(outcome.detail or f"analytics is {outcome.status}")
        if client().flush(15):
            raise CommandError("the event is in the spool; Kafka has not acknowledged it within 15 s")
        self.stdout.write(f"acknowledged: {outcome.message_id}")
