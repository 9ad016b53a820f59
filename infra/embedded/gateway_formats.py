"""Formats whose rows can be sent while the engine still reads.

In: a format's name, and blocks that the engine writes one by one, each as a whole answer.
Out: the blocks as one answer.
Never: a format whose blocks do not add up.
"""

import re

from infra.embedded.gateway_native_types import Cursor

#: Rows alone, one after another.
_ROWS = frozenset(
    {"Native", "TabSeparated", "TSV", "TabSeparatedRaw", "TSVRaw", "Raw", "CSV", "RowBinary", "MsgPack", "LineAsString"}
    | {"JSONEachRow", "JSONLines", "JSONL", "NDJSON", "JSONStringsEachRow", "JSONCompactEachRow"}
    | {"JSONCompactStringsEachRow"}
)
#: Rows after so many lines that name the columns.
_LINES = {
    **dict.fromkeys(("TabSeparatedWithNames", "TSVWithNames", "JSONCompactEachRowWithNames"), 1),
    **dict.fromkeys(("TabSeparatedWithNamesAndTypes", "TSVWithNamesAndTypes"), 2),
    "JSONCompactEachRowWithNamesAndTypes": 2,
}
#: Rows after binary lists: the names, and the types.
_LISTS = {"RowBinaryWithNames": 1, "RowBinaryWithNamesAndTypes": 2}
# What comes after all rows would be lost.
_CLOSING = re.compile(r"\bWITH\s+TOTALS\b|\bextremes\b", re.IGNORECASE)
_BLANK = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_FORMAT = re.compile(rf"\bFORMAT\s+(\w+)(?:\s+SETTINGS\s+[^()]+?)?{_BLANK}(?:;{_BLANK})?$", re.IGNORECASE | re.DOTALL)
_NO_ROWS = re.compile(
    rf"{_BLANK}(?:INSERT|CREATE|ALTER|DROP|TRUNCATE|RENAME|EXCHANGE|ATTACH|DETACH|SET|USE|SYSTEM|OPTIMIZE|GRANT|REVOKE"
    r"|DELETE|UPDATE|UNDROP|MOVE|BEGIN|COMMIT|ROLLBACK)\b",
    re.IGNORECASE | re.DOTALL,
)
_QUERY = re.compile(rf"{_BLANK}(?:SELECT|WITH|FROM|\()", re.IGNORECASE | re.DOTALL)


def gives_rows(sql: str) -> bool:
    """Whether the statement answers with rows, comments before it aside."""
    return not _NO_ROWS.match(sql)


def is_query(sql: str) -> bool:
    """Whether the statement can stand in brackets as a table."""
    return bool(_QUERY.match(sql))


def named_format(sql: str) -> tuple[str, str] | None:
    """Return the format that a statement names at its end, and the statement without it.

    >>> named_format("SELECT 1 FORMAT JSON -- please")
    ('JSON', 'SELECT 1 ')
    """
    found = _FORMAT.search(sql)
    return (found.group(1), sql[: found.start()]) if found else None


def streams(name: str, sql: str, settings: dict[str, str]) -> bool:
    """Whether the answer can be sent block by block."""
    known = name in _ROWS or has_head(name)
    return known and not _CLOSING.search(sql) and settings.get("extremes", "0") == "0"


def has_head(name: str) -> bool:
    """Whether answers of this format begin with a head, also when there is no row."""
    return name in _LINES or name in _LISTS


def without_head(name: str, block: bytes) -> bytes:
    """Return a later block's rows, without the head that the first one had."""
    if name in _LISTS:
        cursor = Cursor(block)
        for _ in range(cursor.varint() * _LISTS[name]):
            cursor.text()
        return block[cursor.at :]
    at = 0
    for _ in range(_LINES.get(name, 0)):
        at = block.index(b"\n", at) + 1
    return block[at:]
