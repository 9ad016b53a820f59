"""Real services for tests, each started once a session and stopped at its end.

In: nothing; REQUIRE_SERVICES=1 turns a service's absence into a failure.
Out: the fixtures `kafka_server`, `kafka`, `registry_url`, `clickhouse_url`, `engine`.
Never: a stand-in for a service, nor a process left behind.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import requests

from infra.embedded.java import JavaUnavailable
from infra.embedded.kafka import KafkaServer
from infra.embedded.kafka_jars import JarsUnavailable, fetch_jars
from infra.embedded.ports import free_port
from infra.embedded.tether import tethered
from tests.schemas.engine import Engine

# Brokers of tests live for a minute or two: what the JVM's second compiler would spend on them never pays.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the most slow tests first: quick ones fill the end, when one of two processes would wait for the other."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def _absent(reason: str) -> NoReturn:
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kafka_jars() -> list[Path]:
    """The locked jars of Apache Kafka."""
    try:
        return fetch_jars()
    except JarsUnavailable as error:
        _absent(str(error))


@pytest.fixture(scope="session")
def kafka_server(kafka_jars: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A real broker in a temporary folder, shared by the session: use topic and group names of your own."""
    server = KafkaServer(tmp_path_factory.mktemp("kafka"), kafka_jars)
    try:
        server.start(timeout=120)
    except JavaUnavailable as error:
        _absent(str(error))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kafka(kafka_server: KafkaServer) -> str:
    """Address of the broker, `host:port`."""
    return kafka_server.bootstrap


@pytest.fixture(scope="session")
def registry_url(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a schema registry on the session's broker."""
    log = tmp_path_factory.mktemp("registry") / "registry.log"
    yield from _serve("infra.embedded.registry", ["--bootstrap", kafka], "/subjects", log)


@pytest.fixture(scope="session")
def clickhouse_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of ClickHouse (the embedded engine behind its gateway) on a temporary folder; user `default`, no password."""
    folder = tmp_path_factory.mktemp("clickhouse")
    yield from _serve(
        "infra.embedded.gateway",
        ["--path", str(folder / "store"), "--without-password"],
        "/ping",
        folder / "gateway.log",
    )


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """ClickHouse in this process, which can hold one: tables have names of their own."""
    made = Engine(tmp_path_factory.mktemp("chdb"))
    yield made
    made.close()


def _serve(module: str, options: list[str], probe: str, log: Path) -> Iterator[str]:
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = tethered([sys.executable, "-m", module, *options, "--port", str(port)])
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        await_answer(process, url + probe, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_answer(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    """Return when the server answers; fail with the end of its log when it ended or a minute has passed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    pytest.fail(f"{url} does not answer: {log.read_text(errors='replace')[-2000:]}", pytrace=False)
