"""Which windows of a KPI are missing or differ from what the raw events say.

In: the store, a KPI, a span of time.
Out: requests for the owner of the revisions.
Never: a window whose published bits are right already, or a row behind the positions that the request names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.verify.cells import Store, recomputed
from infra.verify.run import bits
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
#: The greatest final revision that the store holds comes first in the history.
PUBLISHED = """
SELECT tenant_id, window, by, toUnixTimestamp64Milli(window_start), value, revision, final, definition_version
FROM footlights.kpi_history WHERE kpi = '{kpi}'
"""
Position = tuple[str, int, int]  # family, partition, next offset


@dataclass(frozen=True)
class Difference:
    """A window to restate: what is published (None when nothing is), what the raw events say."""

    found: Recomputed
    by: tuple[str, ...]
    start_ms: int
    published: "Published | None"
    reason: str

    def as_json(self) -> dict[str, Any]:
        """The difference as a row."""
        old = self.published
        return {
            "tenant_id": self.found.key[0],
            "window": self.found.window.name,
            "by": by_text(self.by, self.found.key[1:]),
            "window_start_ms": self.start_ms,
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


@dataclass(frozen=True)
class Plan:
    """Positions of what was read, how many windows were compared, and those that differ."""

    positions: tuple[Position, ...]
    compared: int
    differences: tuple[Difference, ...]


def plan(
    store: Store,
    kpi: Kpi,
    *,
    from_ms: int | None = None,
    to_ms: int | None = None,
    zone: str = "UTC",
    reason: str | None = None,
) -> Plan:
    """Compare every window that starts at or after `from_ms` and ends at or before `to_ms` with its recomputation, to the bit."""
    positions = tuple(_positions(store, kpi))
    published = {(t, w, b, s): Published(v, r, bool(f), d) for t, w, b, s, v, r, f, d in _published(store, kpi)}
    compared, out = 0, list[Difference]()
    for by, found in _recomputed(store, kpi, positions, zone, from_ms, to_ms):
        start_ms, end_ms = window_bounds_ms(found.window, found.last, zone)
        if (from_ms is not None and start_ms < from_ms) or (to_ms is not None and end_ms > to_ms):
            continue
        compared += 1
        old = published.get((found.key[0], found.window.name, by_text(by, found.key[1:]), start_ms))
        if old is None or bits(old.value) != bits(found.value):
            out.append(Difference(found, by, start_ms, old, reason or _reason(kpi, old)))
    return Plan(positions, compared, tuple(out))


def _reason(kpi: Kpi, old: Published | None) -> str:
    return DEFINITION if old is not None and old.version != kpi.version else BACKFILL


def requests(kpi: Kpi, made: Plan, request: str) -> Iterator[Restatement]:
    """The differences as records, by series and reason."""
    groups: dict[tuple[Any, ...], list[Restated]] = {}
    for d in made.differences:
        known = d.published.revision if d.published is not None and d.published.final else -1
        windows = groups.setdefault((d.reason, d.found.window.name, d.by, d.found.key), [])
        windows.append(Restated(d.found.last, d.found.value, d.found.rows, d.found.late, known))
    for (reason, window, by, key), windows in groups.items():
        for at in range(0, len(windows), MOST_WINDOWS):
            part = tuple(windows[at : at + MOST_WINDOWS])
            yield Restatement(request, reason, kpi.name, kpi.version, window, by, key, made.positions, part)


def _positions(store: Store, kpi: Kpi) -> Iterator[Position]:
    topics = ", ".join(f"'{FAMILIES[f].topic}'" for f in kpi.families)
    for topic, partition, following in store.rows(POSITIONS.format(topics=topics)):
        yield topic.removeprefix("events."), int(partition), int(following)


def _published(store: Store, kpi: Kpi) -> Iterator[tuple[Any, ...]]:
    yield from store.rows(PUBLISHED.format(kpi=kpi.name))


def _recomputed(
    store: Store, kpi: Kpi, positions: tuple[Position, ...], zone: str, from_ms: int | None, to_ms: int | None
) -> Iterator[tuple[tuple[str, ...], Recomputed]]:
    read = _read(positions)
    newest_ms = dict(_newest(store, kpi, read))
    for level in LEVELS:
        if not any(WINDOWS[w].level == level for w in kpi.windows):
            continue
        where = " AND ".join([read, *_span(level, zone, from_ms, to_ms)])
        newest = {tenant: bucket_of(ms, level, zone) for tenant, ms in newest_ms.items()}
        for by in kpi.series:
            buckets = recomputed(store, level, by, [kpi], zone, where)
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


def _span(level: int, zone: str, from_ms: int | None, to_ms: int | None) -> Iterator[str]:
    if from_ms is not None:
        yield f"occurred_at_ms >= {bucket_start_ms(bucket_of(from_ms, level, zone), level, zone)}"
    if to_ms is not None:
        yield f"occurred_at_ms < {bucket_start_ms(bucket_of(to_ms, level, zone) + 1, level, zone)}"
