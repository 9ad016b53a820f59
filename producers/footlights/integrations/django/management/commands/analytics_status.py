"""`manage.py analytics_status`: what is set, and whether Kafka answers; exit 1 when it does not."""

from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from django.core.management.base import BaseCommand, CommandError

from footlights.integrations.django import conf
from footlights.integrations.django.views import told


class Command(BaseCommand):
    """Show the state of analytics in this project."""

    help = "Show what analytics is set to, and whether Kafka answers."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it."""
        for name, value in told():
            self.stdout.write(f"{name}: {value}")
        servers = conf.value("BOOTSTRAP_SERVERS")
        if not servers:
            raise CommandError("ANALYTICS_BOOTSTRAP_SERVERS is not set")
        try:
            AdminClient({"bootstrap.servers": servers, "log_level": 0}).list_topics(timeout=5)
        except KafkaException as problem:
            raise CommandError(f"Kafka at {servers} does not answer: {problem.args[0].str()}") from problem
        self.stdout.write(f"Kafka: answers at {servers}")
