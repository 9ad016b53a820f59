"""Final figures of cohort metrics against the same definition, asked now.

In: the store; a span of time; the reporting zone.
Out: comparisons, in a VerifyResult.
Never: an open figure, which follows its day by a round; nor a day whose rows the retention has begun to take.
"""

import time
from collections import defaultdict

from infra.verify.cells import Store
from infra.verify.result import Place, VerifyResult, span_sql
from schemas.cohorts import COHORTS
from schemas.windows import DAY, bucket_of, bucket_start_ms

FINAL = """
SELECT tenant_id, kpi, window, by, toUnixTimestamp64Milli(window_start) AS start_ms, value FROM footlights.kpi_history
WHERE final AND kpi IN ({names}){span}
"""
OLDEST = "SELECT toUnixTimestamp64Milli(min(published_at)) FROM footlights.kpi_points"
DAY_MS, AGAIN_S = 86_400_000, 2.0
Day = tuple[str, int]  # metric, day's number


def verify_cohorts(
    store: Store,
    result: VerifyResult,
    *,
    from_ms: int | None,
    to_ms: int | None,
    zone: str,
    cutoff_ms: int,
    patience_s: float,
) -> None:
    """Add every final figure to the result. Where some differ, wait for the rounds that may restate them.

    A long history is restated in turns: the patience begins anew with each day that agrees.
    """
    names = ", ".join(repr(name) for name in COHORTS)
    sql = FINAL.format(names=names, span=span_sql(from_ms, to_ms))
    deadline = 0.0
    due: set[Day] | None = None
    while True:
        days = _by_day(store, sql, zone, cutoff_ms)
        found = {
            day: _compared(store, day, days[day], zone) for day in sorted(days if due is None else due & days.keys())
        }
        differ = {day for day, one in found.items() if one.different}
        if differ != due:
            deadline = time.monotonic() + patience_s
        due = differ
        last = not due or time.monotonic() >= deadline
        for day, one in found.items():
            if last or day not in due:
                result.compared += one.compared
                result.equal += one.equal
                result.different += one.different
        if last:
            return
        time.sleep(AGAIN_S)


def _by_day(store: Store, sql: str, zone: str, cutoff_ms: int) -> dict[Day, dict[Place, float | None]]:
    """Published final figures of each metric and day whose raw rows are all there."""
    [(oldest,)] = store.rows(OLDEST)
    out: defaultdict[Day, dict[Place, float | None]] = defaultdict(dict)
    for tenant, kpi, window, by, start_ms, value in store.rows(sql):
        begins = start_ms - COHORTS[kpi].looks_back_days * DAY_MS
        if oldest >= cutoff_ms or begins >= cutoff_ms:
            out[kpi, bucket_of(start_ms, DAY, zone)][tenant, kpi, window, by, start_ms] = value
    return out


def _compared(store: Store, day: Day, published: dict[Place, float | None], zone: str) -> VerifyResult:
    """A metric's day. Where one of its figures is final, all are."""
    kpi, number = day
    result, seen = VerifyResult(), set[Place]()
    for tenant, by, value, rows in store.rows(COHORTS[kpi].sql(number, zone)):
        place = (tenant, kpi, "1d", by, bucket_start_ms(number, DAY, zone))
        if place in published or rows or value is not None:  # nothing of no rows need not be published
            seen.add(place)
            result.compare(place, published, value)
    for place in sorted(published.keys() - seen):
        if published[place] is None:
            result.compared, result.equal = result.compared + 1, result.equal + 1
        else:
            result.compare_missing(place, published[place])
    return result
