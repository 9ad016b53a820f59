"""Requests to publish what the raw events say of closed windows.

In: requests in the order of the `measures` topic, where the source partitions stand, what the stage holds.
Out: what to publish of each window.
Never: a value from fewer rows than the stage has, or a revision number that was given before.

A request names the offsets up to which it read. It waits until the stage has read as far; then a window none of whose buckets
holds anything newer was computed twice from the same rows, here and there. Where both agree the window stays the stage's. Where
they differ (a measure is younger than the window, its state was given up, a repeat passed the stream) the request is right, and
the window is *held*: the stage publishes nothing of it any more but what further requests say.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from schemas.kpis import KPIS, Kpi
from schemas.partials import ADDITIVE, Head, Restated, Restatement, unpack_restatement
from schemas.windows import WINDOWS
from stream_apps.compute.kpi.contributions import Contributions
from stream_apps.compute.kpi.published import FINAL, HELD, Series, State
from stream_apps.compute.records import Records

#: A request for rows that the stage does not reach in this time is dropped: it must not keep offsets from being committed.
PATIENCE_MS = 600_000
#: Requests answered in one evaluation, 2,000 windows at the most: a long history is restated in turns, not in one long pause.
MOST_REQUESTS = 4


@dataclass
class Requests:
    """Requests that wait. `expired` counts those that were dropped."""

    waiting: list[tuple[Restatement, int]] = field(default_factory=list)
    expired: int = 0

    def take(self, body: bytes, now_ms: int) -> None:
        """Take a request; one of a KPI or a version that is not declared here changes nothing."""
        request = unpack_restatement(body)
        kpi = KPIS.get(request.kpi)
        if kpi is not None and kpi.version == request.version and request.by in kpi.series:
            self.waiting.append((request, now_ms))

    def ready(self, heads: Mapping[tuple[str, int], Head], now_ms: int) -> Iterator[Restatement]:
        """Take out the first requests whose rows the stage has read."""
        taken, still = 0, list[tuple[Restatement, int]]()
        for request, since_ms in self.waiting:
            if taken == MOST_REQUESTS:
                still.append((request, since_ms))
            elif all((f, p) in heads and heads[f, p].offset + 1 >= following for f, p, following in request.positions):
                taken += 1
                yield request
            elif now_ms - since_ms >= PATIENCE_MS:
                self.expired += 1
            else:
                still.append((request, since_ms))
        self.waiting = still


def series_of(request: Restatement) -> Series:
    """The series that a request is about."""
    return Series(request.kpi, request.window, request.by, request.key)


def settled(contributions: Contributions, records: Records, kpi: Kpi, request: Restatement, window: int) -> bool | None:
    """Whether the stage holds of a window just the rows that the request read; None when it gave up a part of the window."""
    kind = WINDOWS[request.window]
    first = window - kind.length + 1
    if contributions.swept and contributions.swept.crosses(kind.level, np.array([first]), np.array([window])).any():
        return None
    following = {(f, p): offset for f, p, offset in request.positions}
    for bucket in range(first, window + 1):
        for record in records.of(kind.level, bucket):
            family, partition = record.piece.split("/")[:2] if "/" in record.piece else ("", "0")
            counted = record.kind == ADDITIVE and family in kpi.families
            if counted and record.offset >= following.get((family, int(partition)), 0):
                return False
    return True


def outcome(old: State, wanted: Restated, own: float | None, version: int) -> tuple[State, bool]:
    """State of a window after a request, and whether it is to be published. `own` is the stage's value, None when it has none."""
    value = float("nan") if wanted.value is None else wanted.value
    agreed = own is not None and State(FINAL, 0, own).same(value)
    status = FINAL if agreed else HELD
    if old.final and old.same(value):
        return State(status, old.revision, value, version), False
    greatest = max(wanted.revision, old.revision if old.final else -1)
    return State(status, greatest + 1, value, version), True
