"""Rows of an analyst's query as plain values.

In: a client, one SELECT.
Out: column names and rows; numbers as numbers, times as texts.
Never: NaN or infinity, which JSON does not have; they are null.
"""

import json
from typing import Any

SETTINGS = {
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_denormals": 0,
    "output_format_json_named_tuples_as_objects": 1,
}


def json_rows(client: Any, sql: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Column names and rows of a query.

    Raises
    ------
    clickhouse_connect.driver.exceptions.ClickHouseError
        As the engine says.
    """
    raw = client.raw_query(sql.rstrip().rstrip(";"), settings=SETTINGS, fmt="JSONCompactEachRowWithNames")
    lines = raw.removesuffix(b"\n").split(b"\n")  # not splitlines: texts may hold what it takes for a line's end
    if not lines[0]:
        return [], []
    columns: list[str] = json.loads(lines[0])
    return columns, [dict(zip(columns, json.loads(line), strict=True)) for line in lines[1:]]
