"""What each program is to have shown, and what it is to have left in the store.

In: what a program printed; the store.
Out: nothing when both are as they should be.
Never: a program's own word for what it wrote.
"""

from collections.abc import Mapping
from pathlib import Path

import requests

FOLDER = Path(__file__).parent
COLUMNS = FOLDER / "columns.sql"
ROWS = 100_000
#: One value of each type, as ClickHouse writes them; a moment as its UTC time, so that a lost zone shows.
ROW = [
    "18446744073709551615",
    r"naïve\t\'quoted\'\n",
    "vip",
    "gate",
    r"\N",
    str(2**256 - 1),
    str(-(2**127)),
    "-1234567.8912",
    "2024-02-29 14:59:59.999",
    "2024-07-01 16:00:00",
    "2026-11-25",
    "0190163d-8694-739b-aea5-966c26f8ad90",
    "192.0.2.1",
    "true",
    "0.1",
    "['x','','z']",
    "{'a':1}",
    "('left',-7)",
]


def shown(output: str) -> list[str]:
    """Return the names of the checks that a program printed."""
    return sorted(line.removeprefix("ok ") for line in output.splitlines())


def answer(store: Mapping[str, str], query: str) -> str:
    """Return what the store answers the reader."""
    options = {"default_format": "TSV", "user": store["STORE_READER"]}
    asked = requests.post(store["STORE_URL"], params=options, data=query.encode(), timeout=60)
    assert asked.status_code == 200, asked.text
    return asked.text


def check_table(store: Mapping[str, str], table: str) -> None:
    """Compare the row that a program wrote, column by column, with what it is to be."""
    query = f"SELECT * REPLACE (toTimeZone(at, 'UTC') AS at, toTimeZone(second, 'UTC') AS second) FROM {table}"
    assert answer(store, query).removesuffix("\n").split("\t") == ROW


def check_many(store: Mapping[str, str], table: str) -> None:
    """Compare the many rows that a program wrote with what they are to be."""
    query = f"SELECT count(), uniqExact(n), max(n), countIf(s != concat('row ', toString(n))) FROM {table}"
    assert answer(store, query) == f"{ROWS}\t{ROWS}\t{ROWS - 1}\t0\n"
