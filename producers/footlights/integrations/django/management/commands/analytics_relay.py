"""`manage.py analytics_relay`: make the outbox's table, and relay its rows until stopped, or once with --once."""

import threading
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from footlights.integrations.django.client import client
from footlights.outbox import Outbox


class Command(BaseCommand):
    """Relay the outbox."""

    help = "Relay the events of the outbox in this project's database."

    def add_arguments(self, parser: Any) -> None:
        """`--once`."""
        parser.add_argument("--once", action="store_true", help="relay what is there and end")

    def handle(self, *args: Any, **options: Any) -> None:
        """Relay."""
        outbox = Outbox(client())
        outbox.create(connection)
        if options["once"]:
            moved = 0
            while (more := outbox.relay(connection)) > 0:
                moved += more
            client().flush(15)
            self.stdout.write(f"{moved} events relayed")
            return
        outbox.run(lambda: connection, threading.Event())
