"""What the demo shows.

In: rows of metrics, points of the outage.
Out: a table, lines.
Never: a colour as the only sign.
"""

from typing import Any

from rich.table import Table

from infra.cli.output import text_of
from infra.query import json_rows

SHOWN = (
    "page_views", "conversion_ratio", "payment_failure_ratio", "tickets_sold", "revenue_gross_minor", "refund_ratio",
    "csat_ratio", "error_ratio", "api_latency_p95_ms",
)  # fmt: skip
ALERT_RATIO = 0.10
BAR = 40
SERIES = """
SELECT toString(window_start) AS start, toUnixTimestamp64Milli(window_start) AS start_ms, value
FROM footlights.kpi_history
WHERE tenant_id = 'default' AND kpi = 'payment_failure_ratio' AND window = '5m' AND by = ''
    AND toUnixTimestamp(window_start) % 300 = 0
ORDER BY window_start
"""


def kpi_table(rows: list[dict[str, Any]]) -> Table:
    """The live table: the newest 5-minute window of each KPI."""
    table = Table(title="live: the newest 5-minute window of each KPI", title_justify="left")
    for name, justify in (("KPI", "left"), ("window ends", "left"), ("value", "right"), ("unit", "left"), ("", "left")):
        table.add_column(name, justify="right" if justify == "right" else "left")
    for row in rows:
        if row["name"] in SHOWN:
            end = (row["window_end"] or "")[11:16]
            table.add_row(row["name"], end, text_of(row["value"]), row["unit"], _mark(row))
    return table


def _mark(row: dict[str, Any]) -> str:
    if row["window_end"] is None:
        return "no traffic yet"
    if row["name"] == "payment_failure_ratio" and (row["value"] or 0) > ALERT_RATIO:
        return "! above 10 %: payments fail"
    return "final" if row["final"] else "open"


def plain_line(done: int, total: int, rows: list[dict[str, Any]]) -> str:
    """One line of progress and a few KPIs."""
    held = {row["name"]: row for row in rows}
    shown = ", ".join(
        f"{n} {text_of(held[n]['value'])}" for n in ("page_views", "tickets_sold", "payment_failure_ratio")
    )
    return f"{done:,} of {total:,} records; 5m: {shown}"


def outage_lines(client: Any, outage: dict[str, Any]) -> list[str]:
    """The payment failure ratio of each 5 minutes, with the scripted outage beside it."""
    out = [f"payment_failure_ratio by 5 minutes; scripted outage {outage['start'][11:16]}–{outage['end'][11:16]} UTC"]
    for row in json_rows(client, SERIES)[1]:
        value = row["value"]
        inside = outage["start_ms"] < row["start_ms"] + 300_000 and row["start_ms"] < outage["end_ms"]
        filled = "█" * round((value or 0) * BAR)
        out.append(f"  {row['start'][11:16]} {text_of(value):>7} {filled:<{BAR}} {'outage' if inside else ''}".rstrip())
    return out
