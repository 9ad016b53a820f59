"""The page on tables is what the declarations say, and its queries run."""

import re
from pathlib import Path
from typing import Any

import pytest

from sinks.ddl import create_sql
from sinks.migrate import migrations
from sinks.store import failure_of
from sinks.tables import TABLES
from sinks.tables_page import page

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def test_the_page_is_generated() -> None:
    assert PAGE.read_text() == page(), "run: python -m sinks.tables_page > docs/tables.md"


@pytest.mark.clickhouse
def test_the_queries_of_the_page_run(store: Any) -> None:
    store.database = "footlights"
    statements = [
        s for block in re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL) for s in block.split(";\n")
    ]
    assert len(statements) > 3
    for statement in filter(str.strip, statements):
        store.query(statement.rstrip().rstrip(";"))


def test_no_migration_file_holds_two_statements_as_one() -> None:
    for migration in migrations():
        assert all(s.count("CREATE TABLE") == 1 for s in migration.statements if s.startswith("CREATE TABLE"))
    assert sum(len(m.statements) for m in migrations()) >= len(TABLES) - 1


def test_every_declared_table_keeps_its_tokens() -> None:
    for table in TABLES.values():
        assert "non_replicated_deduplication_window = 10000" in create_sql(table)


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (500, b"Code: 241. DB::Exception: Memory limit", "Transient"),
        (502, b"bad gateway", "Transient"),
        (500, b"Code: 395. DB::Exception: another sink owns this partition: while executing", "Fenced"),
        (500, b"Code: 395. DB::Exception: something else", "SinkError"),
        (404, b"Code: 60. DB::Exception: Unknown table", "SinkError"),
        (400, b"Code: 53. DB::Exception: Type mismatch 'secret'", "SinkError"),
    ],
)
def test_what_an_answer_means(status: int, text: bytes, kind: str) -> None:
    problem = failure_of(status, text)
    assert type(problem).__name__ == kind
    assert "secret" not in str(problem)
