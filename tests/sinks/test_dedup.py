"""A repeat is a repeat however late it comes, and whatever was forgotten meanwhile."""

import random
import signal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.dedup import SeenIds
from sinks.failpoints import AFTER_INSERT
from sinks.past import pieces
from sinks.table import quoted
from sinks.writer import by_months
from tests.sinks.audit import audit
from tests.sinks.conftest import Bench, renew
from tests.sinks.test_views import publish, report, written
from tests.sinks.traffic import DAY_MS, START_MS, record


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=30), max_size=12),
    st.integers(1, 60),
)
def test_candidates_are_exactly_the_keys_seen_before(batches: list[list[tuple[int, int]]], limit: int) -> None:
    seen, held, stored = SeenIds([], limit), set[int](), dict[int, list[int]]()

    def load(shards: list[int]) -> tuple[Any, Any]:
        rows = [(k, s) for s in shards for k in stored.get(s, [])]
        return np.array([k for k, _ in rows], np.uint64), np.array([s for _, s in rows], np.int64)

    for batch in batches:
        pairs = [(key * 4 + shard, shard) for key, shard in batch]  # a key lies in one shard
        keys = np.array([k for k, _ in pairs], np.uint64)
        found = seen.candidates(keys, np.array([s for _, s in pairs], np.int64), load)
        for (key, shard), repeat in zip(pairs, found, strict=True):
            assert bool(repeat) == (key in held)
            held.add(key)
            if not repeat:
                stored.setdefault(shard, []).append(key)


def test_memory_is_bounded() -> None:
    seen = SeenIds([], 1000)
    for shard in range(50):
        keys = np.arange(shard * 100, shard * 100 + 100, dtype=np.uint64)
        seen.candidates(keys, np.full(100, shard, np.int64), lambda _: (np.zeros(0, np.uint64), np.zeros(0, np.int64)))
        assert len(seen) <= 1000


def test_many_months_are_split() -> None:
    times = [START_MS - i * 31 * DAY_MS for i in range(120)]
    pieces = by_months(pl.DataFrame({"occurred_at_ms": times}))
    assert [p.height for p in pieces] == sorted([p.height for p in pieces], reverse=True)
    assert len(pieces) >= 3
    assert sorted(t for p in pieces for t in p["occurred_at_ms"]) == sorted(times)
    for piece in pieces:
        months = piece["occurred_at_ms"].cast(pl.Datetime("ms")).dt.truncate("1mo").n_unique()
        assert months <= 50


@given(st.lists(st.text(max_size=300).map(quoted), max_size=60), st.sampled_from([50, 2_000, 1_000_000]))
def test_what_is_looked_up_fits_into_statements(values: list[str], limit: int) -> None:
    found = list(pieces(values, limit))
    assert [value for piece in found for value in piece] == values
    assert all(piece and (len(piece) == 1 or len(", ".join(piece).encode()) <= limit) for piece in found)


@pytest.mark.kafka
@pytest.mark.clickhouse
def test_repeats_across_flushes_months_and_restarts(bench: Bench) -> None:
    rng = random.Random(3)
    old = [
        record(rng, START_MS - month * 30 * DAY_MS, received_at_ms=START_MS - month * 30 * DAY_MS)
        for month in range(70)
    ]
    for found in old:
        bench.traffic.send(found)
    bench.traffic.flush()
    bench.drain(bench.start())
    # Another process, which knows nothing but the store, and forgets all the time.
    for found in [*old, *reversed(old)]:
        bench.traffic.send({**found, "received_at_ms": START_MS + 3 * DAY_MS})
    bench.traffic.send(record(rng, START_MS))
    bench.traffic.flush()
    bench.drain(bench.start(flush_rows=30, dedup_ids=28))
    audit(bench)
    assert bench.rows("SELECT count() FROM footlights.events_commerce") == [(71,)]
    assert bench.rows("SELECT count(), countIf(redelivery) FROM footlights.duplicates") == [(140, 0)]


@pytest.mark.kafka
@pytest.mark.clickhouse
def test_a_repeat_that_is_sent_twice_counts_once(bench: Bench) -> None:
    """A client asks a second collector, which dies before it hears that Kafka has its record, and whose spool is sent again."""
    found = record(random.Random(6), START_MS, sequence=1)
    other = {**found, "producer_id": "p2", "sequence": 1}
    for one in (found, found, other, other):
        bench.traffic.send_again(one)
    bench.traffic.flush()
    bench.drain(bench.start())
    for one in (other, found, other, {**other, "sequence": 2}):
        bench.traffic.send_again(one)
    bench.traffic.flush()
    bench.drain(bench.start(dedup_ids=1))
    audit(bench)
    told = bench.rows("SELECT producer_id, sequence, redelivery FROM footlights.duplicates ORDER BY offset")
    assert told == [
        ("p1", 1, True), ("p2", 1, False), ("p2", 1, True), ("p2", 1, True), ("p1", 1, True), ("p2", 1, True), ("p2", 2, False),
    ]  # fmt: skip
    numbers = "producer_id, last_sequence, stored, duplicates, redelivered, missing"
    balance = bench.rows(f"SELECT {numbers} FROM footlights.conservation ORDER BY producer_id")
    assert balance == [("p1", 1, 1, 0, 2, 0), ("p2", 2, 0, 2, 3, 0)]


@pytest.mark.kafka
@pytest.mark.clickhouse
def test_a_dead_letter_that_is_sent_again_counts_once(bench: Bench, registry_url: str) -> None:
    """Its producer died before it knew of Kafka's acknowledgement; a loss beside it must not hide behind the copies."""
    renew(bench.config.bootstrap, "producer-reports", 1)
    for _ in range(20):
        bench.traffic.garbage(partition=0)
    for number in (3, 4, 4):  # a copy in the same batch, or nearly
        bench.traffic.garbage(partition=0, number=number)
    bench.traffic.raw(b"no producer of ours", partition=0, headers=False)
    bench.traffic.flush()
    assert bench.start(failpoint=AFTER_INSERT, flush_rows=7).wait(30) == -signal.SIGKILL, bench.log()
    bench.drain(bench.start(flush_rows=11))
    for number in range(1, 21):
        bench.traffic.garbage(partition=0, number=number)
    bench.traffic.raw(b"no producer of ours", partition=0, headers=False)
    bench.traffic.flush()
    publish(bench, registry_url, "producer-reports", [report(last_sequence=21, acked=20)])  # the last one never came
    sink = bench.start(flush_rows=3, topics=("events.commerce", "producer-reports"))
    bench.until(lambda: written(bench, "producer-reports", 1), process=sink)
    bench.drain(sink)
    told = ("source", "published", "dead_lettered", "redelivered", "unconfirmed", "missing")
    balance = bench.rows(f"SELECT {', '.join(told)} FROM footlights.ledger ORDER BY source")
    assert balance == [("shop", 21, 20, 23, 0, 1), ("unknown", 0, 2, 0, 2, 0)]
    kept = bench.rows("SELECT producer_id, sequence, offset FROM footlights.refused FINAL ORDER BY sequence")
    assert kept == [("p1", number + 1, number) for number in range(20)]


@pytest.mark.kafka
@pytest.mark.clickhouse
def test_what_a_record_says_is_never_taken_for_the_store_s_word(bench: Bench) -> None:
    """The engine marks an exception within an answer; a producer may have that mark for its name, among others."""
    rng = random.Random(8)
    names = ("__exception__", "Code: 241. DB::Exception", "'; --", "\\", "zw\u00f6lf\n\r\0", "a/b/", "50%2F")
    found = [record(rng, START_MS, producer_id=name, source=name) for name in names]
    for sequence in (1, 2, 2):
        for one in found:
            bench.traffic.send_again({**one, "sequence": sequence})
        bench.traffic.flush()
        bench.drain(bench.start(dedup_ids=1))
    audit(bench)
    told = bench.rows("SELECT count(), uniq(producer_id), countIf(redelivery) FROM footlights.duplicates")
    assert told == [(14, 7, 7)]
    told = bench.rows("SELECT source = producer_id, last_sequence, missing FROM footlights.conservation")
    assert told == [(True, 2, 0)] * 7
    assert bench.rows("SELECT count(), countIf(missing != 0), sum(stored) FROM footlights.ledger") == [(7, 0, 7)]


@pytest.mark.kafka
@pytest.mark.clickhouse
def test_excluded_rows_and_text(bench: Bench) -> None:
    rng = random.Random(4)
    bench.traffic.send(record(rng, START_MS, received_at_ms=START_MS + 36 * DAY_MS))
    bench.traffic.send(record(rng, START_MS, received_at_ms=START_MS - 2 * DAY_MS))
    bench.traffic.send(record(rng, START_MS, received_at_ms=START_MS + 34 * DAY_MS))
    bench.traffic.flush()
    bench.drain(bench.start())
    rows = bench.rows("SELECT sequence, _excluded FROM footlights.events_commerce ORDER BY sequence")
    assert rows == [(1, "late"), (2, "future"), (3, "")]
    assert bench.rows("SELECT excluded FROM footlights.ledger WHERE source = 'shop'") == [(2,)]
