"""Declared tables and views as SQL.

In: the declarations.
Out: CREATE statements; `python -m sinks.ddl` prints those of all tables, to start a migration from.
Never: a value of a user in a statement.
"""

from collections.abc import Sequence

from sinks.table import DATABASE, Column, Table, quoted
from sinks.tables import TABLES

#: Stands in migrations for the setting of that name.
RETENTION = "{retention_days}"


def column_sql(column: Column) -> str:
    """A column's definition."""
    parts = [f"`{column.name}`", column.type, column.default, f"COMMENT {quoted(column.comment)}"]
    if column.codec:
        parts.append(f"CODEC({column.codec})")
    return " ".join(part for part in parts if part)


def ttl_sql(table: Table, retention: str = RETENTION) -> str:
    """The time to live, counted from when a row came and never from event time; empty when rows stay for ever."""
    if table.expires is None:
        return ""
    return f"toDateTime({table.expires}) + INTERVAL {table.retention_days or retention} DAY"


def create_sql(table: Table) -> str:
    """CREATE TABLE of a declared table."""
    body = ",\n    ".join([*(column_sql(c) for c in table.columns), *table.extras])
    lines = [f"CREATE TABLE {DATABASE}.{table.name}\n(\n    {body}\n)", f"ENGINE = {table.engine}"]
    if table.partition_by:
        lines.append(f"PARTITION BY {table.partition_by}")
    lines.append(f"ORDER BY {table.order_by}")
    if ttl := ttl_sql(table):
        lines.append(f"TTL {ttl}")
    settings = [f"{name} = {value}" for name, value in table.settings.items()]
    lines.append(f"SETTINGS {', '.join(settings)}")
    lines.append(f"COMMENT {quoted(table.doc)}")
    return "\n".join(lines)


def view_sql(name: str, doc: str, columns: Sequence[tuple[str, str, str]], select: str) -> str:
    """CREATE OR REPLACE VIEW with (name, type, comment) of each column."""
    body = ",\n    ".join(f"`{n}` {t} COMMENT {quoted(c)}" for n, t, c in columns)
    return f"CREATE OR REPLACE VIEW {DATABASE}.{name}\n(\n    {body}\n)\nAS {select}\nCOMMENT {quoted(doc)}"


def main() -> None:
    """Print the statements of all tables but the one that records the migrations."""
    print("\n;\n\n".join(create_sql(t) for t in TABLES.values() if t.name != "migrations") + "\n;")


if __name__ == "__main__":
    main()
