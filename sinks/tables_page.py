"""The page on tables and views, from their declarations: `python -m sinks.tables_page > docs/tables.md`.

In: TABLES and VIEWS.
Out: Markdown.
Never: a sentence about a column that its comment in the store does not say.
"""

from collections.abc import Iterable

from sinks.table import DATABASE, Table
from sinks.tables import TABLES
from sinks.views import VIEWS

_HEAD = f"""# Tables and views

Database `{DATABASE}`; unqualified names mean it. Generated from the declarations in `sinks/tables.py` and `sinks/views.py` by
`python -m sinks.tables_page`; the same sentences stand as comments in the store (`DESCRIBE TABLE page_views`).

Start with the views: they have friendly names and leave out what counts in no figure. In the `events_*` tables no record
stands twice, so no `FINAL` and no `DISTINCT` is needed. A row with `_excluded` other than `''` came later than 35 days
or lies more than a day in the future: it is kept, and counts in no figure.

```sql
SELECT toStartOfHour(occurred_at) AS hour, count() AS views FROM page_views WHERE NOT automatic GROUP BY hour ORDER BY hour;
SELECT kpi, window, value, completeness FROM kpi_latest WHERE by = '' ORDER BY kpi, window;
SELECT * FROM ledger;
```
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD, "## Views\n"]
    for view in VIEWS.values():
        parts.append(_section(view.name, view.doc, "", [(n, "", c) for n, c in view.comments.items()]))
    parts.append("## Tables\n")
    for table in TABLES.values():
        columns = [(c.name, c.type, c.comment) for c in table.columns]
        parts.append(_section(table.name, table.doc, _facts(table), columns))
    return "\n".join(parts)


def _facts(table: Table) -> str:
    facts = [f"Sorted by `{table.order_by}`."]
    if table.partition_by:
        facts.append(f"Partitioned by `{table.partition_by}`.")
    if table.expires is not None:
        kept = f"{table.retention_days} days" if table.retention_days else "`ANALYTICS_RETENTION_DAYS`"
        facts.append(f"Rows stay for {kept}, counted from `{table.expires}`.")
    return " ".join(facts)


def _section(name: str, doc: str, facts: str, columns: Iterable[tuple[str, str, str]]) -> str:
    typed = bool(facts)
    lines = [f"### `{name}`\n", f"{doc} {facts}".strip() + "\n"]
    lines.append("| column | type | meaning |\n|---|---|---|" if typed else "| column | meaning |\n|---|---|")
    for column, kind, comment in columns:
        cells = [f"`{column}`", f"`{kind}`", comment] if typed else [f"`{column}`", comment]
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
