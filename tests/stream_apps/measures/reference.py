"""What the measures of a family must come to, by plain loops and SQLite's own reading of the predicates.

In: rows as dictionaries, in log order.
Out: {(measure, level, bucket, dims): value}.
Never: a line of code shared with the engine but the hash and the bins' edges.
"""

import bisect
import sqlite3
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import polars_hash as plh  # noqa: F401 - registers `nchash`

from schemas.aggregates import BINS, Count, Quantile, Sum, Uniq
from schemas.measures import Measure
from schemas.money import reporting_minor
from schemas.sentiment import score_milli

DAY_MS = 86_400_000
ROWS, LATE = "#rows", "#late"


def distinct_rows(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """First record of each message_id, those that count."""
    seen: set[str] = set()
    out = []
    for row in records:
        if row["message_id"] in seen:
            continue
        seen.add(row["message_id"])
        if -DAY_MS <= row["received_at_ms"] - row["occurred_at_ms"] <= 35 * DAY_MS:
            out.append(row)
    return out


def bucket(ms: int, level: int, zone: str) -> int:
    """Number of the bucket."""
    if level < 2:
        return ms // (60_000, 3_600_000)[level]
    return (datetime.fromtimestamp(ms / 1000, UTC).astimezone(ZoneInfo(zone)).date() - datetime(1970, 1, 1).date()).days


def _selected(records: list[dict[str, Any]], measures: list[Measure]) -> dict[str, list[bool]]:
    columns = list(records[0])
    base = sqlite3.connect(":memory:")
    base.execute("PRAGMA case_sensitive_like = ON")
    base.execute(f"CREATE TABLE t ({', '.join(columns)})")
    base.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(columns))})", [tuple(r.values()) for r in records])
    texts = {m.where for m in measures}
    found = {w: [bool(x) for (x,) in base.execute(f"SELECT {w} FROM t ORDER BY rowid")] for w in texts}
    base.close()
    return found


def _hashes(values: set[str]) -> dict[str, int]:
    held = pl.DataFrame({"v": sorted(values)}, schema={"v": pl.String})
    return dict(held.select("v", h=pl.col("v").nchash.xxhash64()).iter_rows())


def _cell(measure: Measure, chosen: list[dict[str, Any]], hashes: dict[str, int]) -> Any:
    column = getattr(measure.aggregate, "column", "")
    held = [(r["user_id"] or r["anonymous_id"]) if column == "actor" else r.get(column) for r in chosen]
    match measure.aggregate:
        case Count():
            return len(chosen)
        case Sum():
            return sum(v or 0 for v in held)
        case Uniq():
            ranks: dict[int, int] = {}
            for h in {hashes[v] for v in held if v is not None}:
                rest, rank = (h >> 14) | 1 << 49, 1
                while not rest & 1:
                    rest, rank = rest >> 1, rank + 1
                ranks[h & 16_383] = max(rank, ranks.get(h & 16_383, 0))
            return ranks
        case Quantile():
            bins: dict[int, int] = defaultdict(int)
            for v in held:
                if v is not None:
                    bins[bisect.bisect_right(BINS.edges.tolist(), v)] += 1
            return dict(bins)


def totals(
    family: str, records: list[dict[str, Any]], measures: list[Measure], zone: str = "UTC"
) -> dict[tuple[Any, ...], Any]:
    """Every cell that is not zero or empty, and the row counts of each group (`#rows`, `#late` with the dimensions' names)."""
    kept = distinct_rows(records)
    if family == "commerce":
        kept = [
            r | {"reporting_minor": reporting_minor(r["amount_minor"], r["currency"], r["occurred_at_ms"])}
            for r in kept
        ]
    if family == "feedback":
        kept = [r | {"sentiment_milli": None if r["text"] is None else score_milli(r["text"])} for r in kept]
    mine = [m for m in measures if family in m.families]
    if not kept:
        return {}
    selected = _selected(kept, mine)
    hashes = _hashes({v for r in kept for v in r.values() if isinstance(v, str)})
    out: dict[tuple[Any, ...], Any] = {}
    for level in range(3):
        at = [bucket(r["occurred_at_ms"], level, zone) for r in kept]
        for by in {(), *(m.by for m in mine)}:
            groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
            for i, row in enumerate(kept):
                groups[at[i], (row["tenant_id"], *(row[c] for c in by))].append(i)
            for (number, dims), members in groups.items():
                out[(ROWS, by), level, number, dims] = len(members)
                late = sum(kept[i]["received_at_ms"] - kept[i]["occurred_at_ms"] > 30_000 for i in members)
                if late:
                    out[(LATE, by), level, number, dims] = late
                for m in mine:
                    if m.by == by:
                        value = _cell(m, [kept[i] for i in members if selected[m.where][i]], hashes)
                        if value:
                            out[m.name, level, number, dims] = value
    return out
