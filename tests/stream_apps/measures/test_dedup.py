"""Verdicts are a function of the log: whatever the cuts, the restarts and the window."""

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_apps.compute import dedup
from stream_apps.compute.dedup import Deduplicator
from stream_apps.compute.open_addressing import KeySet
from stream_apps.compute.records import IDS, Records

WINDOW = 1_000


def expected(log: list[tuple[int, int, int]]) -> list[bool]:
    """Row by row: a shard that nobody touched for a window is empty; a key passes once."""
    seen: dict[int, set[int]] = {}
    touched: dict[int, int] = {}
    out, clock = [], -1
    for key, shard, time in log:
        clock = max(clock, time)
        if shard in touched and clock - touched[shard] > WINDOW:
            seen.pop(shard, None)
        touched[shard] = clock
        out.append(key not in seen.setdefault(shard, set()))
        seen[shard].add(key)
    return out


def history(r: random.Random) -> list[tuple[int, int, int]]:
    """(key, shard, log-append time); the clock leaps and now and then steps back."""
    time, out = 10_000, []
    for _ in range(r.randrange(1, 250)):
        time += r.choice([0, 0, 1, 5, 300, 1_100, -3])
        out.append((r.randrange(1, 40), r.randrange(3), time))
    return out


@given(st.integers(0, 100_000))
@settings(max_examples=120, deadline=None)
def test_verdicts_do_not_depend_on_cuts_or_restarts(seed: int) -> None:
    r = random.Random(seed)
    log = history(r)
    want, got = expected(log), [True] * len(log)
    records, worker, at, committed, generation = Records(), Deduplicator(window_ms=WINDOW), 0, 0, 1
    stored_clock = -1
    while at < len(log):
        end = min(len(log), at + r.choice([1, 4, 30, 90]))
        keys, shard, times = (np.array([row[i] for row in log[at:end]], np.int64) for i in range(3))
        got[at:end] = worker(keys.astype(np.uint64), shard, np.arange(at, end), times).tolist()
        at = end
        if r.random() < 0.5:
            made, drops = worker.flush(at - 1, committed)
            r.shuffle(made)
            torn = r.randrange(len(made) + 1) if r.random() < 0.3 else None
            for record in made[:torn]:
                records.put(generation, record)
            if torn is not None:
                worker, at, generation = Deduplicator(window_ms=WINDOW), committed, generation + 1
                worker.load(records.ids(), stored_clock)
                continue
            for key in drops:
                for writer in records.generations(key):
                    records.drop(key, writer)
            committed, stored_clock = at, worker.clock_ms
    assert got == want


def test_state_is_bounded() -> None:
    worker, records = Deduplicator(window_ms=WINDOW), Records()
    for step in range(200):
        keys = np.arange(step * 50 + 1, step * 50 + 51).astype(np.uint64)
        offsets = np.arange(step * 50, step * 50 + 50)
        times = np.full(50, step * 100)
        worker(keys, np.full(50, step // 4), offsets, times)
        made, drops = worker.flush(int(offsets[-1]), int(offsets[0]))
        for record in made:
            records.put(1, record)
        for key in drops:
            records.drop(key, 1)
    assert len(worker.shards) < 10
    assert sum(r.kind == IDS for _, r in records.all()) < 20


def test_chunks_of_a_busy_shard_are_merged() -> None:
    worker, records = Deduplicator(), Records()
    for step in range(300):
        keys = np.arange(step * 10 + 1, step * 10 + 11).astype(np.uint64)
        worker(keys, np.zeros(10, np.int64), np.arange(step * 10, step * 10 + 10), np.full(10, step))
        made, drops = worker.flush(step * 10 + 9, 0)
        for record in made:
            records.put(1, record)
        for key in drops:
            records.drop(key, 1)
    assert len(list(records.ids())) <= 2 * dedup.MERGE
    again = Deduplicator()
    again.load(records.ids(), 300)
    assert not again(np.arange(1, 3_001).astype(np.uint64), np.zeros(3_000, np.int64), np.arange(5_000, 8_000), np.full(3_000, 301)).any()  # fmt: skip # noqa: E501


@given(st.lists(st.lists(st.integers(1, (1 << 64) - 1), unique=True, max_size=300), max_size=6))
@settings(max_examples=60, deadline=None)
def test_key_set_is_a_set(batches: list[list[int]]) -> None:
    keys, seen = KeySet(), set[int]()
    for batch in batches:
        new = keys.add(np.array(batch, np.uint64))
        assert new.tolist() == [k not in seen for k in batch]
        seen.update(batch)
    assert len(keys) == len(seen)
