"""Python's tools, each in a program of its own, by a lock file of their own."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients.toolchains import BUILD_S, run, uv
from tests.clients.wanted import COLUMNS, FOLDER, answer, check_many, check_table, shown

pytestmark = pytest.mark.clickhouse


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment with the tools."""
    folder = FOLDER / "python"
    run([uv(), "sync", "--frozen", "--quiet"], folder=folder, env={"VIRTUAL_ENV": ""}, timeout_s=BUILD_S)
    return folder / ".venv" / "bin" / "python"


def _checks(python: Path, store: Mapping[str, str], program: str) -> list[str]:
    return shown(run([python, f"{program}.py", COLUMNS], folder=FOLDER / "python", env=store))


def test_clickhouse_connect(python: Path, store: Mapping[str, str]) -> None:
    streams = ["stream False", "stream gzip", "stream lz4", "stream zstd"]
    checks = ["error", "parameters", "session", "external", "asynchronous", "reader"]
    assert _checks(python, store, "connect") == sorted(["ping", "types", *streams, *checks])
    check_table(store, "clients_connect")
    check_many(store, "clients_connect_many")


def test_sqlalchemy(python: Path, store: Mapping[str, str]) -> None:
    assert _checks(python, store, "alchemy") == sorted(["schema", "rows", "reader"])
    assert answer(store, "SELECT count(), max(s) FROM clients_alchemy") == "9\trow 8\n"


def test_pandas_polars_and_pyarrow(python: Path, store: Mapping[str, str]) -> None:
    frames = ["pandas writes", "pandas reads", "pandas reads by SQLAlchemy", "polars writes", "polars reads"]
    assert _checks(python, store, "frames") == sorted([*frames, "pyarrow reads"])
    check_many(store, "clients_frames")
    assert answer(store, "SELECT DISTINCT at FROM clients_frames") == "2024-02-29 23:59:59.999\n"


def test_ibis(python: Path, store: Mapping[str, str]) -> None:
    assert _checks(python, store, "expressions") == sorted(["writes", "reads", "reader"])
    assert answer(store, "SELECT kind, amount FROM clients_ibis ORDER BY amount") == "a\t1.5\nb\t2\na\t3\n"
