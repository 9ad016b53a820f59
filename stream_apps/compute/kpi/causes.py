"""What changed closed buckets, so that a revision can name its cause.

In: the additive parts of a bucket before and after, sketches that grew.
Out: why a window of a KPI was restated, and by which rows.
Never: a guess; what a crash made the stage forget is absent.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.catalogue import MEASURES
from schemas.cells import Key, key_of
from schemas.kpis import Kpi
from schemas.partials import AdditivePart

LATE, REFUND, DEFINITION = "late", "refund", "definition"
#: Measures that nothing but money going back moves.
REFUNDS = frozenset(
    m.name for m in MEASURES.values() if "'refund_issued'" in m.where or "'chargeback_received'" in m.where
)
Place = tuple[int, str, tuple[str, ...], Key]  # level, family, dimensions, key


@dataclass(frozen=True)
class Change:
    """Rows that a source partition brought: offsets `after` (exclusive) to `upto` (inclusive) hold them, among others."""

    family: str
    partition: int
    after: int
    upto: int
    rows: int
    late: int
    measures: frozenset[str]


@dataclass
class Causes:
    """Changes by place and bucket."""

    _of: dict[Place, dict[int, list[Change]]] = field(default_factory=dict)

    def note(self, level: int, bucket: int, by: tuple[str, ...], key: Key, change: Change) -> None:
        """Note a change of a bucket of one series."""
        self._of.setdefault((level, change.family, by, key), {}).setdefault(bucket, []).append(change)

    def of(self, kpi: Kpi, level: int, by: tuple[str, ...], key: Key, first: int, last: int) -> list[Change]:
        """What changed the buckets first … last for a KPI, one change for each source partition."""
        found: dict[tuple[str, int], Change] = {}
        for family in kpi.families:
            for bucket, changes in self._of.get((level, family, by, key), {}).items():
                for change in changes if first <= bucket <= last else ():
                    place = (family, change.partition)
                    found[place] = _joined(found.get(place), change)
        return [found[place] for place in sorted(found)]


def _joined(one: Change | None, other: Change) -> Change:
    if one is None:
        return other
    return Change(
        one.family,
        one.partition,
        min(one.after, other.after),
        max(one.upto, other.upto),
        one.rows + other.rows,
        one.late + other.late,
        one.measures | other.measures,
    )


def reason_of(kpi: Kpi, changes: Iterable[Change], published_version: int) -> str:
    """Why a final value changed: definition, refund or late."""
    if published_version not in (0, kpi.version):
        return DEFINITION
    read = {o.measure for o in kpi.compiled.operands}
    moved = read & {name for change in changes for name in change.measures}
    return REFUND if moved and moved <= REFUNDS else LATE


def cause_text(kpi: Kpi, changes: Iterable[Change], published_version: int) -> str | None:
    """The cause as JSON, or None when nothing is known."""
    told: dict[str, Any] = {}
    if published_version not in (0, kpi.version):
        told["definition"] = {"old_version": published_version, "new_version": kpi.version}
    read = {o.measure for o in kpi.compiled.operands}
    events = [
        {
            "family": c.family,
            "partition": c.partition,
            "after_offset": c.after,
            "to_offset": c.upto,
            "rows": c.rows,
            "late": c.late,
            "measures": sorted(read & c.measures),
        }
        for c in changes
    ]
    if events:
        told["events"] = events
    return json.dumps(told) if told else None


def differences(
    before: list[AdditivePart], after: list[AdditivePart]
) -> Iterator[tuple[tuple[str, ...], Key, int, int, frozenset[str]]]:
    """(dimensions, key, rows, late rows, measures that moved) of each series that an additive record changed."""
    held = {part.by: part for part in before}
    for part in after:
        old = held.get(part.by)
        at = {} if old is None else {dims: i for i, dims in enumerate(old.dims)}
        for i, dims in enumerate(part.dims):
            j = at.get(dims)
            rows = int(part.rows[i]) - (0 if old is None or j is None else int(old.rows[j]))
            late = int(part.late[i]) - (0 if old is None or j is None else int(old.late[j]))
            measures = frozenset(_moved(part, i, old, j))
            if rows or late or measures:
                yield part.by, key_of(dims), rows, late, measures


def _moved(part: AdditivePart, i: int, old: AdditivePart | None, j: int | None) -> Iterator[str]:
    known = old is not None and j is not None
    values = dict(zip(old.names, old.values[j].tolist(), strict=True)) if old is not None and known else {}
    for name, value in zip(part.names, part.values[i].tolist(), strict=True):
        if value != values.get(name, 0):
            yield name
    for name, counts in part.bins.items():
        bins = old.bins.get(name) if old is not None and known else None
        if counts[i].any() if bins is None else not np.array_equal(counts[i], bins[j]):
            yield name
