"""State stays bounded: buckets that nothing touched for long are given up, and what comes for them later is seen."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import MEASURES
from schemas.partials import ADDITIVE
from schemas.windows import DAY, HOUR, LEVELS, MINUTE
from stream_apps.compute.partition import Checkpoint, Partition, Rules
from stream_apps.compute.plan import Plan
from stream_apps.compute.records import Records
from stream_apps.compute.swept import DAY_MS, EVERY_MS, KEEP_MS, Swept
from tests.stream_apps.measures.reference import totals
from tests.stream_apps.measures.stored import said
from tests.stream_apps.measures.traffic import START_MS, frame, rows

PLAN = Plan("commerce", MEASURES.values())
LOG = rows("commerce", 1_500, seed=3, per_second=1 / 1_200, late=0, repeated=0, excluded=0)  # about three weeks


def store(records: Records, done: Checkpoint) -> None:
    for record in (*done.records, *done.ids, done.stored_head):
        records.put(1, record)
    for key, generation in done.swept:
        records.drop(key, generation)


def taken(partition: Partition, log: list[dict[str, object]], start: int, times: list[int]) -> None:
    partition.take(
        PLAN(frame("commerce", log, start)),
        np.array(times, np.int64),
        last_offset=start + len(log) - 1,
        seen=len(log),
        bad=[],
    )


def live(records: Records) -> Partition:
    """All of the log, with a checkpoint every twenty rows; what is stored of it."""
    partition = Partition(PLAN, records, Rules())
    for at in range(0, len(LOG), 20):
        chunk = LOG[at : at + 20]
        taken(partition, chunk, at, [row["received_at_ms"] for row in chunk])
        store(records, partition.flush(1, at, at_end=False, read_at_ms=0))
    return partition


def test_minutes_go_after_a_week_and_the_rest_stays_exact() -> None:
    records = Records()
    partition = live(records)
    clock = partition.dedup.clock_ms
    assert clock - START_MS > 2 * KEEP_MS[MINUTE]
    held = {r.bucket for _, r in records.all() if r.kind == ADDITIVE and r.level == MINUTE}
    slack = EVERY_MS + 20 * 1_200_000
    assert min(held) * 60_000 > clock - KEEP_MS[MINUTE] - slack
    assert any(row["occurred_at_ms"] // 60_000 not in held for row in LOG)
    want = {k: v for k, v in totals("commerce", LOG, list(MEASURES.values())).items() if k[1] != MINUTE or k[2] in held}
    assert said(records) == want


def test_a_row_for_a_bucket_given_up_is_counted_as_cold_before_and_after_a_restart() -> None:
    records = Records()
    live(records)
    old = LOG[0] | {"message_id": LOG[0]["message_id"][:-4] + "ffff"}
    newest = max(row["received_at_ms"] for row in LOG)
    for again in range(2):  # the second life reads from the stored head that buckets were given up
        partition = Partition(PLAN, records, Rules())
        row = old | {"message_id": old["message_id"][:-1] + str(again)}
        taken(partition, [row], len(LOG) + again, [newest])
        done = partition.flush(1, len(LOG), at_end=False, read_at_ms=0)
        assert done.cold == {MINUTE: 1, HOUR: 0, DAY: 0}
        assert {r.level for r in done.records if r.kind == ADDITIVE} == {HOUR, DAY}
        store(records, done)


@given(st.sets(st.integers(0, 60)), st.integers(0, 60), st.integers(0, 8))
def test_intervals_hold_exactly_what_was_given_up(gone: set[int], first: int, length: int) -> None:
    swept = Swept()
    for bucket in gone:
        swept.add(HOUR, bucket)
    swept = Swept(swept.dump())
    buckets = np.arange(62)
    assert set(buckets[swept.holds(HOUR, buckets)].tolist()) == gone
    assert {b for b in range(62) if swept.has(HOUR, b)} == gone
    assert bool(swept.crosses(HOUR, np.array([first]), np.array([first + length]))[0]) is any(
        b in gone for b in range(first, first + length + 1)
    )
    assert not swept.holds(MINUTE, buckets).any()


def test_the_longest_windows_outlive_nothing() -> None:
    assert KEEP_MS[MINUTE] > 60 * 60_000
    assert KEEP_MS[HOUR] > 24 * 3_600_000
    assert KEEP_MS[DAY] > 31 * DAY_MS
    assert set(KEEP_MS) == set(LEVELS)
