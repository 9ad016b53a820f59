"""ClickHouse's client for Node.js."""

from collections.abc import Mapping

import pytest

from tests.clients.toolchains import need, npm_install, run
from tests.clients.wanted import COLUMNS, FOLDER, check_many, check_table, shown

pytestmark = pytest.mark.clickhouse


def test_node_reads_and_writes(store: Mapping[str, str]) -> None:
    need("node", "npm")
    folder = FOLDER / "node"
    npm_install(folder)
    output = run(["node", "main.mjs", COLUMNS], folder=folder, env=store)
    checks = ["stream false", "stream true", "error", "parameters", "cancel", "progress", "session", "reader"]
    assert shown(output) == sorted(["ping", "types", *checks])
    check_table(store, "clients_node")
    check_many(store, "clients_node_many")
