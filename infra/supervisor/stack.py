"""The processes of the platform, in the order in which they start.

In: settings.
Out: groups of children; each group starts when the one before is ready.
Never: an embedded part whose address is set.
"""

import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

from infra.addresses import Addresses
from infra.embedded.java import find_java
from infra.embedded.kafka import KafkaFailed, KafkaServer
from infra.embedded.kafka_jars import fetch_jars
from infra.embedded.ports import kept_port
from infra.embedded.tether import tethered
from infra.settings import Settings
from infra.supervisor.child import Child

PYTHON = (sys.executable, "-m")


class Stack:
    """Children by group, and what lies between: the migration after the stores, before the workers."""

    def __init__(self, settings: Settings, on_jars: Callable[[int, int], None] | None = None) -> None:
        self.settings, self.folder = settings, settings.data_dir
        self._kafka: KafkaServer | None = None
        self._resumed: set[str] = set()
        stores = [self._registry(), self._clickhouse()]
        self.groups: list[list[Child]] = []
        if not settings["FOOTLIGHTS_KAFKA"]:
            find_java(settings["FOOTLIGHTS_JAVA"] or None)  # a missing one is said before anything starts
            jars = fetch_jars(maven_url=settings["FOOTLIGHTS_MAVEN_URL"] or None, on_progress=on_jars)
            self._kafka = KafkaServer(
                self.folder / "kafka",
                jars,
                java=settings["FOOTLIGHTS_JAVA"] or None,
                heap=settings["FOOTLIGHTS_KAFKA_HEAP"],
            )
            self.groups.append(
                [Child("kafka", self._start_kafka, self._kafka_ready, self.folder / "kafka" / "kafka.out")]
            )
        self.groups.append([child for child in stores if child])
        workers = [self._python(f"worker-{i + 1}", "worker") for i in range(settings["FOOTLIGHTS_WORKERS"])]
        sinks = [self._python(f"sink-{i + 1}", "sink") for i in range(settings["FOOTLIGHTS_SINKS"])]
        monitors = [self._python("monitor-1", "monitor")] if settings["FOOTLIGHTS_MONITOR"] else []
        collectors = [self._python("collector", "collector")] if settings["FOOTLIGHTS_COLLECTOR"] else []
        #: These start after the migration, and drain first.
        self.consumers = [*workers, *sinks, *monitors, *collectors]

    @property
    def children(self) -> list[Child]:
        """All children in the order of their start."""
        return [child for group in [*self.groups, self.consumers] for child in group]

    def addresses(self) -> Addresses:
        """Addresses of the parts, embedded or set."""
        s = self.settings
        return Addresses(
            kafka=s["FOOTLIGHTS_KAFKA"] or (self._kafka.bootstrap if self._kafka else ""),
            schema_registry=s["FOOTLIGHTS_SCHEMA_REGISTRY"] or f"http://127.0.0.1:{self._port('registry')}",
            clickhouse=s["FOOTLIGHTS_CLICKHOUSE"] or f"http://127.0.0.1:{self._port('clickhouse')}",
            reader=s["FOOTLIGHTS_CLICKHOUSE_READER"],
        )

    def collector(self) -> str | None:
        """URL of the collector; None when this stack has none."""
        if not self.settings["FOOTLIGHTS_COLLECTOR"]:
            return None
        return f"http://{self.settings['FOOTLIGHTS_COLLECTOR_HOST']}:{self._collector_port()}"

    def _collector_port(self) -> int:
        return self.settings["FOOTLIGHTS_COLLECTOR_PORT"] or self._port("collector-http")

    def metrics(self) -> list[str]:
        """URLs of the Prometheus metrics."""
        return [f"http://127.0.0.1:{self._port(child.name)}/metrics" for child in self.consumers]

    def migrate(self) -> None:
        """Topics, schemas and tables."""
        from infra.migrate import migrate

        migrate(self.settings, self.addresses())

    def resume(self, name: str) -> None:
        """Let the next start of a worker, and only that, forget the counters of dead letters."""
        self._resumed.add(name)

    # -- children

    def _ports(self) -> Path:
        return self.folder / "ports"

    def _port(self, name: str) -> int:
        file = self._ports() / name
        if file.exists():
            return int(file.read_text())
        return kept_port(file)

    def _start_kafka(self) -> list[str]:
        assert self._kafka is not None
        self._kafka.prepare()
        return self._kafka.command()

    def _kafka_ready(self) -> bool:
        assert self._kafka is not None
        try:
            self._kafka.wait_ready(0.8)
        except KafkaFailed:
            return False
        return True

    def _registry(self) -> Child | None:
        if self.settings["FOOTLIGHTS_SCHEMA_REGISTRY"]:
            return None

        def command() -> list[str]:
            port = kept_port(self._ports() / "registry")
            return tethered(
                [*PYTHON, "infra.embedded.registry", "--bootstrap", self.addresses().kafka, "--port", str(port)]
            )

        return self._child("registry", command, lambda: _answers(f"http://127.0.0.1:{self._port('registry')}/subjects"))

    def _clickhouse(self) -> Child | None:
        if self.settings["FOOTLIGHTS_CLICKHOUSE"]:
            return None

        def command() -> list[str]:
            port, path = kept_port(self._ports() / "clickhouse"), str(self.folder / "clickhouse")
            password = ["--password-file", str(self.settings.store_password_file())]  # never the password itself
            return tethered([*PYTHON, "infra.embedded.gateway", "--path", path, "--port", str(port), *password])

        return self._child("clickhouse", command, lambda: _answers(f"http://127.0.0.1:{self._port('clickhouse')}/ping"))

    def _python(self, name: str, role: str) -> Child:
        def command() -> list[str]:
            port = kept_port(self._ports() / name)
            words = [*PYTHON, "infra.cli.main", role, "--name", name, "--metrics-port", str(port)]
            if role == "collector":
                words += ["--port", str(self._collector_port())]
            if name in self._resumed:
                self._resumed.discard(name)
                words.append("--resume-dead-letters")
            return tethered(words)

        return self._child(name, command, lambda: _answers(f"http://127.0.0.1:{self._port(name)}/metrics"))

    def _child(self, name: str, command: Callable[[], list[str]], probe: Callable[[], bool]) -> Child:
        environment = {"FOOTLIGHTS_DATA_DIR": str(self.folder)}
        return Child(name, command, probe, self.folder / "logs" / f"{name}.log", environment)


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=0.8) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
