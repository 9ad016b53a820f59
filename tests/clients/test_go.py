"""clickhouse-go, by which Grafana's plugin reads too: its own interface and database/sql, both over HTTP."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients.toolchains import BUILD_S, need, run
from tests.clients.wanted import COLUMNS, FOLDER, check_many, check_table, shown

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]


def test_go_reads_and_writes(store: Mapping[str, str], tmp_path: Path) -> None:
    need("go")
    program = tmp_path / "clients"
    run(["go", "build", "-o", program, "."], folder=FOLDER / "go", timeout_s=BUILD_S)
    output = run([program, COLUMNS], folder=tmp_path, env=store)
    streams = ["stream gzip", "stream lz4", "stream none", "stream zstd"]
    assert shown(output) == sorted(
        ["ping", "types", *streams, "error", "parameters", "cancel", "session", "standard", "reader"]
    )
    check_table(store, "clients_go")
    check_many(store, "clients_go_many")
