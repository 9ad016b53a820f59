"""ClickHouse's Python client, in a program of its own."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients.toolchains import run

pytestmark = pytest.mark.clickhouse

FOLDER = Path(__file__).parent / "python"


def test_connect(store: Mapping[str, str]) -> None:
    assert run([sys.executable, "connect.py"], folder=FOLDER, env=store).splitlines() == ["ok ping"]
