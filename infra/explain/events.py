"""The events behind a window, as SQL.

In: the families of a KPI, its tenant and dimensions, the bounds of the window.
Out: queries over the events tables.
Never: a column that tells who somebody is, or what they wrote.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.families import FAMILIES
from schemas.identity import LATE_SQL

#: Rows shown one by one.
MOST = 10
_PLACE = "_partition AS partition, _offset AS offset"
_TIMES = (
    "toString(occurred_at) AS occurred_at, toString(fromUnixTimestamp64Milli(received_at_ms, 'UTC')) AS received_at"
)


@dataclass(frozen=True)
class Scope:
    """Which rows: families, a condition on tenant and dimensions, and the bounds in epoch milliseconds."""

    families: tuple[str, ...]
    where: str
    tenant: str
    start_ms: int
    end_ms: int

    @property
    def inside(self) -> str:
        """The condition of a row that lies in the window."""
        return f"{self.where} AND occurred_at_ms >= {self.start_ms} AND occurred_at_ms < {self.end_ms}"


def events_of(scope: Scope) -> str:
    """Rows and late rows by family and name, the most frequent first."""
    return (
        _union(
            scope, f"event_name, count() AS rows, countIf({LATE_SQL}) AS late", "_excluded = ''", "GROUP BY event_name"
        )
        + " ORDER BY rows DESC, family, event_name"
    )


def late_rows_of(scope: Scope) -> str:
    """The newest rows that came late."""
    columns = f"event_name, message_id, {_TIMES}, {_PLACE}, received_at_ms"
    inner = _union(scope, columns, f"_excluded = '' AND {LATE_SQL}", f"ORDER BY received_at_ms DESC LIMIT {MOST}")
    return f"SELECT * EXCEPT (received_at_ms) FROM ({inner}) ORDER BY received_at_ms DESC LIMIT {MOST}"


def excluded_of(scope: Scope) -> str:
    """Rows in the window that count in no figure, by reason."""
    return _union(scope, "_excluded AS reason, count() AS rows", "_excluded != ''", "GROUP BY _excluded")


def duplicates_of(scope: Scope) -> str:
    """How many repeats say that they happened in the window, and the newest of their ids; dimensions are not known of them."""
    topics = ", ".join(f"'{FAMILIES[f].topic}'" for f in scope.families)
    return (
        f"SELECT count() AS rows, groupArraySorted({MOST})(message_id) AS message_ids FROM footlights.duplicates "
        f"WHERE topic IN ({topics}) AND tenant_id = '{_escaped(scope.tenant)}' "
        f"AND toUnixTimestamp64Milli(occurred_at) >= {scope.start_ms} AND toUnixTimestamp64Milli(occurred_at) < {scope.end_ms}"
    )


def rows_of_ranges(scope: Scope, ranges: Sequence[dict[str, Any]]) -> str:
    """Rows of the window in the ranges of offsets that caused a revision."""
    parts = []
    for cause in ranges:
        family, first, last = cause["family"], int(cause["after_offset"]), int(cause["to_offset"])
        offsets = (
            f"_partition = {int(cause['partition'])} AND toInt64(_offset) > {first} AND toInt64(_offset) <= {last}"
        )
        columns = f"event_name, message_id, {_TIMES}, {_PLACE}"
        parts.append(
            _select(family, scope, columns, f"_excluded = '' AND {offsets}", f"ORDER BY _offset DESC LIMIT {MOST}")
        )
    return f"SELECT * FROM ({' UNION ALL '.join(parts)}) ORDER BY received_at DESC LIMIT {MOST}"


def _union(scope: Scope, columns: str, where: str, tail: str) -> str:
    parts = " UNION ALL ".join(_select(family, scope, columns, where, tail) for family in scope.families)
    return f"SELECT * FROM ({parts})"


def _select(family: str, scope: Scope, columns: str, where: str, tail: str) -> str:
    table = FAMILIES[family].table
    return f"(SELECT '{family}' AS family, {columns} FROM footlights.{table} WHERE {scope.inside} AND {where} {tail})"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
