"""An engine of ClickHouse in this process, for questions about SQL.

In: frames.
Out: tables and rows.
Never: shared state between tests; each table has a name of its own.
"""

import json
from pathlib import Path
from typing import Any

import chdb.session
import polars as pl

TYPES = {pl.String: "String", pl.Int64: "Int64", pl.Float64: "Float64", pl.Boolean: "Bool"}


class Engine:
    """A session in a folder; a process has one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._session = chdb.session.Session(str(folder / "engine"))
        self._tables = 0

    def load(self, frame: pl.DataFrame, nullable: set[str] | None = None) -> str:
        """Make a table of a frame; all columns are Nullable, or only those that are named."""
        self._tables += 1
        name, path = f"t{self._tables}", self._folder / f"t{self._tables}.parquet"
        frame.write_parquet(path)
        columns = ", ".join(
            f"{c} {f'Nullable({TYPES[type(t)]})' if nullable is None or c in nullable else TYPES[type(t)]}"
            for c, t in frame.schema.items()
        )
        self.run(f"CREATE TABLE {name} ({columns}) ENGINE = MergeTree ORDER BY tuple()")
        self.run(f"INSERT INTO {name} SELECT * FROM file('{path}', Parquet)")
        return name

    def run(self, sql: str) -> None:
        """Run a statement."""
        self._session.query(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query; maps become dictionaries with whole-number keys."""
        text = str(self._session.query(sql, "JSONCompactEachRow"))
        return [tuple(json.loads(line)) for line in text.splitlines()]

    def close(self) -> None:
        """End the session."""
        self._session.close()
