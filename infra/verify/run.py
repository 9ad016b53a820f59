"""`footlights verify`: what was published against what the raw events say.

In: the store; a span of time; the reporting zone.
Out: how many windows were compared, which differ, which can no longer be recomputed.
Never: a tolerance; values are compared as the 64 bits that they are.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from infra.store import zone_of
from infra.verify.cells import Buckets, Store, recomputed
from infra.verify.cohorts import verify_cohorts
from infra.verify.result import Place, VerifyResult, span_sql
from infra.verify.sessions import verify_sessions
from infra.verify.windows import windows_of
from schemas.kpis import KPIS, Kpi, by_text
from schemas.windows import LEVELS, WINDOWS, bucket_of, bucket_start_ms, window_bounds_ms

#: A point without rows says that its window exists no more, after an erasure.
POINTS = """
SELECT tenant_id, kpi, window, by, toUnixTimestamp64Milli(window_start) AS start_ms, value
FROM footlights.kpi_history WHERE rows > 0 AND {where}
"""
#: Windows that were first published before the oldest raw row that the store still keeps.
EXPIRED = """
SELECT tenant_id, kpi, window, by, toUnixTimestamp64Milli(window_start) AS start_ms
FROM footlights.kpi_points GROUP BY tenant_id, kpi, window, by, window_start
HAVING min(published_at) < fromUnixTimestamp64Milli({cutoff_ms})
"""
DAY_MS = 86_400_000


class ClientStore:
    """The store behind a clickhouse-connect client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def rows(self, sql: str) -> Iterable[tuple[Any, ...]]:
        """Rows of a query."""
        found: list[tuple[Any, ...]] = self._client.query(sql).result_rows
        return found


def verify(
    client: Any,
    *,
    from_ms: int | None = None,
    to_ms: int | None = None,
    zone: str | None = None,
    now_ms: int = 0,
    retention_days: int = 365,
    patience_s: float = 0.0,
) -> VerifyResult:
    """Recompute every published window of the stream, every final cohort figure and every session, and compare them to the bit.

    Parameters
    ----------
    client
        A clickhouse-connect client that may read the database `footlights`.
    from_ms, to_ms
        Windows that start at or after, and end at or before; by default all.
    zone
        The reporting zone of calendar days; by default the store's own.
    now_ms, retention_days
        Windows first published before `now_ms` less the retention are named as expired, not compared: their raw rows are gone.
    patience_s
        How long to wait for a round of the cohort metrics where one of their final figures differs: it may be about to be restated.
        Longer as long as days come to agree.
    """
    store, cutoff, zone = ClientStore(client), now_ms - retention_days * DAY_MS, zone or zone_of(client)
    result = verify_store(store, from_ms=from_ms, to_ms=to_ms, zone=zone, cutoff_ms=cutoff)
    verify_cohorts(store, result, from_ms=from_ms, to_ms=to_ms, zone=zone, cutoff_ms=cutoff, patience_s=patience_s)
    verify_sessions(store, result, from_ms=from_ms, to_ms=to_ms, cutoff_ms=cutoff)
    return result


def verify_store(
    store: Store, *, from_ms: int | None = None, to_ms: int | None = None, zone: str = "UTC", cutoff_ms: int = 0
) -> VerifyResult:
    """The stream's windows, on any store; those first published before `cutoff_ms` have expired."""
    published = _published(store, from_ms, to_ms)
    gone = store.rows(EXPIRED.format(cutoff_ms=max(0, cutoff_ms)))
    expired: set[Place] = {(t, k, w, b, start) for t, k, w, b, start in gone}
    result = VerifyResult(expired=_spans(expired & published.keys()))
    seen: set[Place] = set()
    for level in LEVELS:
        for by, kpis in _by_dimensions(level):
            buckets = recomputed(store, level, by, kpis, zone, _where(level, zone, from_ms, to_ms))
            for kpi in kpis:
                for place, value in _windows_of(kpi, by, buckets, level, zone):
                    if place not in expired and _inside(place, kpi, zone, from_ms, to_ms):
                        seen.add(place)
                        result.compare(place, published, value)
    for place in sorted(published.keys() - seen - expired):
        result.compare_missing(place, published[place])
    return result


def _spans(expired: set[Place]) -> list[dict[str, Any]]:
    spans: dict[tuple[str, ...], list[int]] = {}
    for place in expired:
        spans.setdefault(place[:4], []).append(place[4])
    return [
        {
            "tenant_id": t,
            "kpi": k,
            "window": w,
            "by": b,
            "from_ms": min(starts),
            "to_ms": max(starts),
            "points": len(starts),
        }
        for (t, k, w, b), starts in sorted(spans.items())
    ]


def _published(store: Store, from_ms: int | None, to_ms: int | None) -> dict[Place, float | None]:
    where = f"kpi IN ({', '.join(repr(name) for name in KPIS)}){span_sql(from_ms, to_ms)}"
    rows = store.rows(POINTS.format(where=where))
    return {(t, k, w, b, start): value for t, k, w, b, start, value in rows}


def _by_dimensions(level: int) -> Iterator[tuple[tuple[str, ...], list[Kpi]]]:
    """Dimensions, and the KPIs that have them in a window of the level."""
    kpis = [k for k in KPIS.values() if any(WINDOWS[w].level == level for w in k.windows)]
    for by in dict.fromkeys(d for k in kpis for d in k.series):
        yield by, [k for k in kpis if by in k.series]


def _where(level: int, zone: str, from_ms: int | None, to_ms: int | None) -> str:
    where = ["true"]
    if from_ms is not None:
        where.append(f"occurred_at_ms >= {bucket_start_ms(bucket_of(from_ms, level, zone), level, zone)}")
    if to_ms is not None and from_ms is not None:
        where.append(f"occurred_at_ms < {bucket_start_ms(bucket_of(to_ms, level, zone) + 1, level, zone)}")
    return " AND ".join(where)


def _windows_of(
    kpi: Kpi, by: tuple[str, ...], buckets: Buckets, level: int, zone: str
) -> Iterator[tuple[Place, float | None]]:
    for found in windows_of(kpi, by, buckets, level):
        start_ms, _ = window_bounds_ms(found.window, found.last, zone)
        yield (found.key[0], kpi.name, found.window.name, by_text(by, found.key[1:]), start_ms), found.value


def _inside(place: Place, kpi: Kpi, zone: str, from_ms: int | None, to_ms: int | None) -> bool:
    window = WINDOWS[place[2]]
    last = bucket_of(place[4], window.level, zone) + window.length - 1
    start, end = window_bounds_ms(window, last, zone)
    return (from_ms is None or start >= from_ms) and (to_ms is None or end <= to_ms)
