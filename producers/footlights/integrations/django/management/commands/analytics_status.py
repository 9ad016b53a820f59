"""`manage.py analytics_status`: what is set, and whether Kafka or the collector answers; exit 1 when it does not."""

from typing import Any

import httpx2 as httpx
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from django.core.management.base import BaseCommand, CommandError

from footlights.integrations.django import conf
from footlights.integrations.django.client import told


class Command(BaseCommand):
    """Show the state of analytics in this project."""

    help = "Show what analytics is set to, and whether Kafka or the collector answers."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it."""
        for name, value in told():
            self.stdout.write(f"{name}: {value}")
        servers, collector = conf.value("BOOTSTRAP_SERVERS"), conf.value("COLLECTOR")
        if collector:
            self._ask(f"{collector.rstrip('/')}/health")
            return
        if not servers:
            raise CommandError("neither ANALYTICS_BOOTSTRAP_SERVERS nor ANALYTICS_COLLECTOR is set")
        try:
            AdminClient({"bootstrap.servers": servers, "log_level": 0}).list_topics(timeout=5)
        except KafkaException as problem:
            raise CommandError(f"Kafka at {servers} does not answer: {problem.args[0].str()}") from problem
        self.stdout.write(f"Kafka: answers at {servers}")

    def _ask(self, url: str) -> None:
        try:
            answer = httpx.get(url, timeout=5)
        except httpx.HTTPError as problem:
            raise CommandError(f"the collector at {url} does not answer: {type(problem).__name__}") from problem
        if answer.status_code != 200:
            raise CommandError(f"the collector at {url} answers {answer.status_code}")
        self.stdout.write(f"Collector: answers at {url}")
