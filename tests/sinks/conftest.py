"""A migrated store, and sinks as processes on the real broker."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import clickhouse_connect
import pytest
import requests
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from infra.embedded.kafka import KafkaServer
from sinks.config import SinkConfig
from sinks.migrate import migrate
from sinks.table import DATABASE
from sinks.tables import TABLES
from tests.sinks.traffic import FAMILY, TOPIC, Traffic, ends

ROOT = Path(__file__).parents[2]


def connect(url: str) -> Any:
    address = urlparse(url)
    return clickhouse_connect.get_client(host=address.hostname, port=address.port, autogenerate_session_id=False)


@pytest.fixture(scope="session")
def store(clickhouse_url: str) -> Iterator[Any]:
    """A client of a store with all tables."""
    client = connect(clickhouse_url)
    migrate(client)
    yield client
    client.close()


@pytest.fixture(scope="package")
def own_kafka(kafka_jars: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a broker of these tests: they delete and make a topic that others need."""
    server = KafkaServer(tmp_path_factory.mktemp("kafka-of-sinks"), kafka_jars)
    server.start(timeout=120)
    renew(server.bootstrap, "consents", 1)  # where it is missing each sink makes sure for seconds
    yield server.bootstrap
    server.stop()


@dataclass
class Bench:
    """A fresh topic, an empty store, and sinks between them."""

    config: SinkConfig
    store: Any
    traffic: Traffic
    folder: Path
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, **changes: Any) -> "subprocess.Popen[bytes]":
        # A group of its own spares the wait for a dead member's session; where a sink goes on is the store's to say anyway.
        config = json.dumps(asdict(replace(self.config, **{"group": f"sink-{uuid.uuid4().hex}", **changes})))
        with (self.folder / f"sink-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.sinks.process", config],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={**os.environ},
            )
        self.processes.append(process)
        return process

    def log(self) -> str:
        return "\n".join(p.read_text(errors="replace") for p in sorted(self.folder.glob("sink-*.log")))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.store.query(sql).result_rows]

    def done(self, partitions: int = 2) -> bool:
        held = dict(
            self.rows(f"SELECT partition, max(last) + 1 FROM footlights.batches WHERE topic = '{TOPIC}' GROUP BY 1")
        )
        return all(held.get(p, 0) == end for p, end in ends(self.config.bootstrap, partitions=partitions).items())

    def drain(self, process: "subprocess.Popen[bytes]", timeout: float = 40) -> None:
        """Wait until the sink is at the ends, then end it as a supervisor does."""
        own = self.folder / f"sink-{self.processes.index(process)}.log"
        self.until(lambda: self.done() and "sink_assigned" in own.read_text(), timeout, process)
        process.terminate()
        assert process.wait(20) == 0, self.log()

    def until(
        self, met: Callable[[], Any], timeout: float = 90, process: "subprocess.Popen[bytes] | None" = None
    ) -> None:
        deadline = time.monotonic() + timeout
        while not met():
            assert time.monotonic() < deadline, self.log()[-4000:]
            assert process is None or process.poll() is None, self.log()[-4000:]
            time.sleep(0.1)


@pytest.fixture(scope="session")
def schema_id(registry_url: str) -> int:
    answer = requests.post(f"{registry_url}/subjects/{TOPIC}-value/versions", json={"schema": FAMILY.text}, timeout=10)
    return int(answer.json()["id"])


@pytest.fixture
def bench(
    own_kafka: str, registry_url: str, clickhouse_url: str, store: Any, schema_id: int, tmp_path: Path
) -> Iterator[Bench]:
    renew(own_kafka)
    for name in set(TABLES) - {"migrations", "metric_definitions"}:
        store.command(f"TRUNCATE TABLE {DATABASE}.{name}")
    config = SinkConfig(
        bootstrap=own_kafka, schema_registry=registry_url, clickhouse_url=clickhouse_url, group=f"sink-{uuid.uuid4().hex}",
        flush_s=0.2, flush_rows=400, session_timeout_s=6.0, topics=(TOPIC,),
    )  # fmt: skip
    made = Bench(config, store, Traffic(own_kafka, schema_id), tmp_path)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def renew(bootstrap: str, topic: str = TOPIC, partitions: int = 2) -> None:
    """Make the topic anew, empty."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    if topic in admin.list_topics(timeout=10).topics:
        admin.delete_topics([topic])[topic].result(10)
    deadline = time.monotonic() + 20
    while True:
        try:
            admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(10)
            break
        except Exception:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    while len(admin.list_topics(topic, timeout=10).topics[topic].partitions) != partitions:
        time.sleep(0.05)
