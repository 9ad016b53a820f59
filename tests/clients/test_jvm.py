"""ClickHouse's JDBC driver, by which Metabase and other JVM tools read."""

from collections.abc import Mapping

import pytest

from tests.clients.toolchains import BUILD_S, need, run
from tests.clients.wanted import COLUMNS, FOLDER, check_many, check_table, shown

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]


def test_jdbc_reads_and_writes(store: Mapping[str, str]) -> None:
    need("mvn", "javac", "java")
    folder = FOLDER / "jvm"
    run(["mvn", "-q", "-B", "-ntp", "process-classes"], folder=folder, timeout_s=BUILD_S)
    output = run(["java", "-cp", "target/classes:target/lib/*", "Clients", COLUMNS], folder=folder, env=store)
    streams = ["stream false", "stream http", "stream true"]
    assert shown(output) == sorted(["ping", "types", *streams, "error", "parameters", "cancel", "session", "reader"])
    check_table(store, "clients_jvm")
    check_many(store, "clients_jvm_many")
