"""What commands print: tables for people, one JSON value for programs, one sentence for an error.

In: rows and values.
Out: stdout for results, stderr for everything else.
Never: anything but the one value on stdout with --json.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

#: Without a terminal there is no width to keep to.
WIDE = 160
console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
errors = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else WIDE)


def fail(sentence: str, code: int = 1) -> NoReturn:
    """Say what is wrong and what to do, and end."""
    errors.print(sentence, style="red" if errors.is_terminal else None, markup=False, soft_wrap=True)
    raise typer.Exit(code)


def say(line: str) -> None:
    """A line of progress on stderr."""
    errors.print(line, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """The one value of --json."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def print_rows(
    rows: Sequence[dict[str, Any]], columns: Sequence[str] | None = None, *, title: str | None = None
) -> None:
    """A table; numbers to the right."""
    names = list(columns or (rows[0] if rows else ()))
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in names:
        numeric = any(isinstance(row.get(name), (int, float)) and not isinstance(row.get(name), bool) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(text_of(row.get(name))) for name in names))
    console.print(table)


def text_of(value: Any) -> str:
    """A value for people."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
