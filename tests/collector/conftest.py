"""A running collector with a key, and a client that says exactly what a test wants to say."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from footlights.collector.keys import KeyFile

from infra.embedded.ports import free_port
from infra.migrate import migrate_schemas, migrate_topics


@pytest.fixture(scope="session")
def platform(kafka: str, registry_url: str) -> tuple[str, str]:
    """Addresses of a broker with all topics and of a registry with all schemas."""
    migrate_topics(kafka)
    migrate_schemas(registry_url)
    return kafka, registry_url


@dataclass
class Answer:
    """Status, headers in lower case, and the JSON value of the body."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Served:
    """A collector of a folder; `start` it again after `kill`."""

    folder: Path
    kafka: str
    registry: str
    port: int = field(default_factory=free_port)
    options: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def keys(self) -> KeyFile:
        return KeyFile(self.folder / "keys.json")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, source: str = "web", **options: Any) -> str:
        return self.keys.create("write", name=source, source=source, **options)[0]

    def start(self) -> "Served":
        config = {
            "bootstrap_servers": self.kafka, "schema_registry": self.registry, "folder": str(self.folder),
            "keys": str(self.folder / "keys.json"), "port": self.port, **self.options,
        }  # fmt: skip
        self.process = subprocess.Popen([sys.executable, "-m", "tests.collector.serving", json.dumps(config)])
        deadline = time.monotonic() + 30
        while True:
            try:
                if self.ask("GET", "/health").status == 200:
                    return self
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, "the collector does not start"
                time.sleep(0.05)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process
        self.process.terminate()
        return self.process.wait(30)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request; header names with underscores for dashes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            got = connection.getresponse()
            text = got.read()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, json.loads(text) if text else None)
        finally:
            connection.close()

    def post(self, path: str, value: Any, token: str, **headers: str) -> Answer:
        """One JSON request with a key."""
        told = {"content_type": "application/json", "authorization": f"Bearer {token}", **headers}
        return self.ask("POST", path, json.dumps(value).encode(), **told)


@pytest.fixture
def serve(platform: tuple[str, str], tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts collectors; none outlives the test."""
    made: list[Served] = []

    def make(**options: Any) -> Served:
        folder = tmp_path / f"collector-{len(made)}"
        folder.mkdir()
        made.append(Served(folder, *platform, options=options))
        return made[-1].start()

    yield make
    for one in made:
        if one.process and one.process.poll() is None:
            one.kill()


@pytest.fixture(scope="module")
def shared(platform: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One collector for the tests of a file that leave it as it is."""
    one = Served(tmp_path_factory.mktemp("collector"), *platform).start()
    yield one
    assert one.stop() == 0
