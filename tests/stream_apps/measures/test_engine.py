"""The engine says what plain loops say, however the log is cut into batches."""

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.catalogue import MEASURES
from schemas.families import FAMILY_NAMES
from stream_apps.compute.partition import Partition, Rules
from stream_apps.compute.plan import Plan
from stream_apps.compute.records import Records
from tests.stream_apps.measures.reference import totals
from tests.stream_apps.measures.stored import said
from tests.stream_apps.measures.traffic import frame, rows

DECLARED = list(MEASURES.values())
PLANS = {family: Plan(family, DECLARED) for family in FAMILY_NAMES}


def take(partition: Partition, family: str, log: list, start: int, end: int) -> None:
    """Offer rows of the log, whose offsets are their places."""
    chunk = log[start:end]
    appended = np.array([max(r["received_at_ms"] for r in log[: i + 1]) for i in range(start, end)], np.int64)
    partition.take(PLANS[family](frame(family, chunk, start)), appended, last_offset=end - 1, seen=len(chunk), bad=[])


def store(partition: Partition, generation: int = 1, committed: int = 0) -> None:
    """Flush, and store what comes."""
    done = partition.flush(generation, committed, at_end=True, read_at_ms=0)
    for record in [*done.records, *done.ids, done.stored_head]:
        partition.records.put(generation, record)
    for key in done.drops:
        partition.records.drop(key, generation)


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_equals_plain_loops(family: str, zone: str) -> None:
    log = rows(family, 400, seed=3)
    partition = Partition(PLANS[family], Records(), Rules(zone=zone))
    for start in range(0, 400, 90):
        take(partition, family, log, start, min(start + 90, 400))
        store(partition)
    want = totals(family, log, DECLARED, zone)
    assert said(partition.records) == want
    assert len(want) > 50


@given(seed=st.integers(0, 10_000), family=st.sampled_from(["interaction", "commerce", "performance"]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_cuts_leave_no_trace(seed: int, family: str) -> None:
    r = random.Random(seed)
    log = rows(family, r.randrange(1, 160), seed, per_second=r.choice([0.001, 0.1, 5]), late=r.random(), repeated=0.2)
    partition, at = Partition(PLANS[family], Records(), Rules(window_ms=10**12, hot_bytes=r.choice([0, 100_000]))), 0
    while at < len(log):
        end = min(len(log), at + r.choice([1, 2, 17, 80]))
        take(partition, family, log, at, end)
        if r.random() < 0.4 or end == len(log):
            store(partition)
        at = end
    assert said(partition.records) == totals(family, log, DECLARED)
