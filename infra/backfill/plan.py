"""Which windows of a KPI are missing or differ from what the raw events say.

In: the store, a KPI, a span of time.
Out: requests for the owner of the revisions.
Never: a window whose published bits are right already, or a row behind the positions that the request names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from infra.verify.cells import Store, recomputed
from infra.verify.dimensions import dimensions_of
from infra.verify.result import bits
from infra.verify.run import EXPIRED
from infra.verify.windows import Recomputed, windows_of
from schemas.families import FAMILIES
from schemas.kpis import Kpi, by_text
from schemas.partials import Restated, Restatement
from schemas.recompute import table_of
from schemas.windows import LEVELS, WINDOWS, bucket_of, bucket_start_ms, window_bounds_ms

BACKFILL, DEFINITION = "backfill", "definition"
#: What a person or a program may give as the reason; by default `definition` when the published version is older, else `backfill`.
REASONS = (BACKFILL, DEFINITION, "duplicate", "refund", "identity_merge", "erasure")
#: Windows of one record, about 20 kB.
MOST_WINDOWS = 500
POSITIONS = (
    "SELECT topic, partition, max(last) + 1 FROM footlights.batches WHERE topic IN ({topics}) GROUP BY topic, partition"
)
OLDEST = "SELECT toUnixTimestamp64Milli(min(written_at)) FROM footlights.batches WHERE topic IN ({topics})"
#: The greatest final revision that the store holds comes first in the history.
PUBLISHED = """
SELECT tenant_id, window, by, toUnixTimestamp64Milli(window_start), value, revision, final, definition_version, rows
FROM footlights.kpi_history WHERE kpi = '{kpi}'
"""
Position = tuple[str, int, int]  # family, partition, next offset
Place = tuple[str, str, str, int]  # tenant, window, by, window start in epoch ms


@dataclass(frozen=True)
class Difference:
    """A window: what is published (None when nothing is), what the raw events say."""

    found: Recomputed
    by: tuple[str, ...]
    start_ms: int
    published: "Published | None"
    reason: str

    @property
    def equal(self) -> bool:
        """Whether what is published has the same bits."""
        return self.published is not None and bits(self.published.value) == bits(self.found.value)

    @property
    def open(self) -> bool:
        """Whether the window is not closed: the stream's, until it is."""
        return self.published is not None and not self.published.final

    def as_json(self) -> dict[str, Any]:
        """The difference as a row."""
        old = self.published
        return {
            "tenant_id": self.found.key[0],
            "window": self.found.window.name,
            "by": by_text(self.by, self.found.key[1:]),
            "window_start": datetime.fromtimestamp(self.start_ms / 1000, UTC).isoformat().replace("+00:00", "Z"),
            "old": "missing" if old is None else old.value,
            "new": self.found.value,
            "revision": None if old is None or not old.final else old.revision,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Published:
    """What the store holds of a window."""

    value: float | None
    revision: int
    final: bool
    version: int
    rows: int


@dataclass(frozen=True)
class Plan:
    """Positions of what was read; how many windows were compared, and how many left out since retention may have taken rows of
    theirs; those that differ; and those that an older version of the definition gave the same bits, of which the stream only learns
    the version."""

    positions: tuple[Position, ...]
    compared: int
    expired: int
    differences: tuple[Difference, ...]
    older: tuple[Difference, ...]


@dataclass
class Span:
    """Windows that start at or after `from_ms` and end at or before `to_ms`, of the reporting zone; all by default."""

    from_ms: int | None = None
    to_ms: int | None = None
    zone: str = "UTC"

    def has(self, start_ms: int, end_ms: int) -> bool:
        """Whether a window lies inside."""
        return (self.from_ms is None or start_ms >= self.from_ms) and (self.to_ms is None or end_ms <= self.to_ms)


def plan(store: Store, kpi: Kpi, span: Span | None = None, *, reason: str | None = None, cutoff_ms: int = 0) -> Plan:
    """Compare every window of a span with its recomputation, to the bit.

    Parameters
    ----------
    reason
        One of REASONS for all; by default each window's own.
    cutoff_ms
        Rows stored before may be gone by retention: windows that may have held one are left out.
    """
    span = span or Span()
    positions = tuple(_positions(store, kpi))
    published = {(t, w, b, s): Published(v, r, bool(f), d, n) for t, w, b, s, v, r, f, d, n in _published(store, kpi)}
    gone, floor_ms = _expired(store, kpi, cutoff_ms)
    seen: dict[Place, Difference] = {}
    for by, found in _recomputed(store, kpi, positions, span):
        start_ms, end_ms = window_bounds_ms(found.window, found.last, span.zone)
        place = (found.key[0], found.window.name, by_text(by, found.key[1:]), start_ms)
        if span.has(start_ms, end_ms):
            old = published.get(place)
            seen[place] = Difference(found, by, start_ms, old, reason or _reason(kpi, old))
    for place in published.keys() - seen.keys():
        if (vanished := _vanished(kpi, place, published[place], span, reason)) is not None:
            seen[place] = vanished
    kept = [d for p, d in seen.items() if p not in gone and (d.published is not None or d.start_ms >= floor_ms)]
    differing = tuple(d for d in kept if not d.equal)
    older = tuple(
        d for d in kept if d.equal and d.published and d.published.final and d.published.version != kpi.version
    )
    return Plan(positions, len(kept), len(seen) - len(kept), differing, older)


def _vanished(kpi: Kpi, place: Place, old: Published, span: Span, reason: str | None) -> Difference | None:
    """A final window of which no row is left, as a window without rows."""
    tenant, name, text, start_ms = place
    window = WINDOWS[name]
    last = bucket_of(start_ms, window.level, span.zone) + window.length - 1
    if not old.final or not old.rows or not span.has(*window_bounds_ms(window, last, span.zone)):
        return None
    by, values = dimensions_of(kpi.series, text)
    return Difference(
        Recomputed((tenant, *values), window, last, None, 0, 0), by, start_ms, old, reason or _reason(kpi, old)
    )


def _expired(store: Store, kpi: Kpi, cutoff_ms: int) -> tuple[set[Place], int]:
    """Windows of which retention may have taken rows, and the instant before which nothing that is missing can be computed."""
    [[oldest_ms]] = store.rows(OLDEST.format(topics=_topics(kpi)))
    if oldest_ms >= cutoff_ms:
        return set(), -(1 << 62)
    gone = store.rows(EXPIRED.format(cutoff_ms=cutoff_ms))
    return {(t, w, b, s) for t, k, w, b, s in gone if k == kpi.name}, cutoff_ms


def _reason(kpi: Kpi, old: Published | None) -> str:
    return DEFINITION if old is not None and old.version != kpi.version else BACKFILL


def requests(kpi: Kpi, made: Plan, request: str) -> Iterator[Restatement]:
    """The differences as records, by series and reason."""
    groups: dict[tuple[Any, ...], list[Restated]] = {}
    for d in (*made.differences, *made.older):
        if d.open:
            continue
        known = d.published.revision if d.published is not None and d.published.final else -1
        windows = groups.setdefault((d.reason, d.found.window.name, d.by, d.found.key), [])
        windows.append(Restated(d.found.last, d.found.value, d.found.rows, d.found.late, known))
    for (reason, window, by, key), windows in groups.items():
        for at in range(0, len(windows), MOST_WINDOWS):
            part = tuple(windows[at : at + MOST_WINDOWS])
            yield Restatement(request, reason, kpi.name, kpi.version, window, by, key, made.positions, part)


def _positions(store: Store, kpi: Kpi) -> Iterator[Position]:
    for topic, partition, following in store.rows(POSITIONS.format(topics=_topics(kpi))):
        yield topic.removeprefix("events."), int(partition), int(following)


def _topics(kpi: Kpi) -> str:
    return ", ".join(f"'{FAMILIES[f].topic}'" for f in kpi.families)


def _published(store: Store, kpi: Kpi) -> Iterator[tuple[Any, ...]]:
    yield from store.rows(PUBLISHED.format(kpi=kpi.name))


def _recomputed(
    store: Store, kpi: Kpi, positions: tuple[Position, ...], span: Span
) -> Iterator[tuple[tuple[str, ...], Recomputed]]:
    read = _read(positions)
    newest_ms = dict(_newest(store, kpi, read))
    for level in LEVELS:
        if not any(WINDOWS[w].level == level for w in kpi.windows):
            continue
        where = " AND ".join([read, *_bounds(level, span)])
        newest = {tenant: bucket_of(ms, level, span.zone) for tenant, ms in newest_ms.items()}
        for by in kpi.series:
            buckets = recomputed(store, level, by, [kpi], span.zone, where)
            for found in windows_of(kpi, by, buckets, level, newest):
                yield by, found


def _read(positions: tuple[Position, ...]) -> str:
    """Rows below the positions."""
    if not positions:
        return "false"
    places = ", ".join(f"'events.{family}/{partition}'" for family, partition, _ in positions)
    offsets = ", ".join(f"toUInt64({following})" for *_, following in positions)
    return f"_offset < transform(concat(_topic, '/', toString(_partition)), [{places}], [{offsets}], toUInt64(0))"


def _newest(store: Store, kpi: Kpi, read: str) -> Iterator[tuple[str, int]]:
    """Newest event time of each tenant, which says how far windows reach."""
    parts = " UNION ALL ".join(
        f"SELECT tenant_id, occurred_at_ms FROM {table_of(family)} WHERE {read}" for family in kpi.families
    )
    yield from store.rows(f"SELECT tenant_id, max(occurred_at_ms) FROM ({parts}) GROUP BY tenant_id")


def _bounds(level: int, span: Span) -> Iterator[str]:
    zone = span.zone
    if span.from_ms is not None:
        yield f"occurred_at_ms >= {bucket_start_ms(bucket_of(span.from_ms, level, zone), level, zone)}"
    if span.to_ms is not None:
        yield f"occurred_at_ms < {bucket_start_ms(bucket_of(span.to_ms, level, zone) + 1, level, zone)}"
