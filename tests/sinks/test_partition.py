"""Where a batch is cut, and what a partition takes."""

import pytest

from sinks.batch import _offsets
from sinks.config import POINTS, SinkConfig
from sinks.partition import Partition, to_cut
from sinks.record_batches import CorruptBatch, fetched
from tests.sinks.batches import batch, numbers


def made(plan: tuple[int, int] | None = None, start: int = 5) -> Partition:
    return Partition("events.commerce", 0, next=start, plan=plan, seen=None)


def cut(p: Partition, rows: int = 100, size: int = 1 << 20) -> tuple[tuple[int, int], list[int]]:
    batch, records = p.cut(rows, size)
    return (batch.first, batch.last), [r.offset for r in records]


def test_batches_of_at_most_so_many_rows_take_each_record_once() -> None:
    p = made()
    p.add(numbers(5, 12), 1.0)
    p.add(numbers(12, 13), 2.0)
    assert (p.rows, p.expected, p.since) == (8, 13, 1.0)
    assert cut(p, 3) == ((5, 7), [5, 6, 7])
    assert (p.rows, p.next) == (5, 8)
    p.add(numbers(13, 15), 3.0)
    assert p.since == 1.0, "what is left behind is due at once"
    assert cut(p, 5) == ((8, 12), [8, 9, 10, 11, 12])
    assert cut(p, 100) == ((13, 14), [13, 14])
    assert (p.rows, p.size, p.ready) == (0, 0, False)
    p.add(numbers(15, 16), 9.0)
    assert p.since == 9.0


def test_an_answer_is_cut_only_where_it_alone_is_too_long() -> None:
    p = made(start=0)
    for start, end in ((0, 4), (4, 8), (8, 20)):
        p.add(numbers(start, end), 0.0)
    assert [cut(p, 9)[0] for _ in range(3)] == [(0, 7), (8, 16), (17, 19)]


def test_a_plan_is_cut_exactly() -> None:
    p = made(plan=(5, 8))
    p.add(numbers(5, 8), 0.0)
    assert not p.due(1e9, rows=1, size=1, seconds=0.1)
    p.add(numbers(8, 10), 0.0)
    assert p.due(0.0, rows=100, size=1 << 20, seconds=100)
    batch, records = p.cut(2, 1)
    assert (batch.first, batch.last, batch.begun, [r.offset for r in records]) == (5, 8, True, [5, 6, 7, 8])
    assert (p.plan, p.next) == (None, 9)
    assert cut(p) == ((9, 9), [9])


def test_a_plan_whose_end_the_log_lacks_is_cut_all_the_same() -> None:
    p = made(plan=(5, 8))
    p.add(fetched(batch(5, [b"a", b"b"]) + batch(9, [b"c"]), 5), 0.0)
    assert cut(p) == ((5, 8), [5, 6])
    assert cut(p) == ((9, 9), [9])


def test_a_size_ends_a_batch_between_two_answers() -> None:
    p = made(start=0)
    for at in range(0, 12, 3):
        p.add(numbers(at, at + 3), 0.0)  # 24 bytes of payload each
    assert cut(p, size=25) == ((0, 5), [0, 1, 2, 3, 4, 5])
    assert cut(p, size=1) == ((6, 8), [6, 7, 8])


def test_an_aborted_transaction_is_passed_over() -> None:
    p = made(start=0)
    p.add(fetched(batch(0, [b"a"], producer=1), 0, [(1, 0)]), 0.0)
    assert p.ready
    assert cut(p)[1] == []
    assert (p.next, p.ready) == (1, False)


def test_after_a_corrupt_batch_all_is_fetched_again() -> None:
    p = made(start=0)
    good, bad = numbers(0, 3), bytearray(numbers(3, 6).data)
    bad[-1] ^= 1
    p.add(good, 0.0)
    assert cut(p, 1) == ((0, 0), [0])
    p.add(fetched(bytes(bad), 3), 0.0)
    with pytest.raises(CorruptBatch):
        p.cut(100, 1 << 20)
    assert (p.next, p.expected, p.rows, p.size) == (1, 1, 0, 0)
    p.add(numbers(1, 6), 0.0)
    assert cut(p) == ((1, 5), [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("now", "rows", "size", "due"), [(0.5, 9, 999, False), (1.0, 9, 999, True), (0, 3, 999, True), (0, 9, 30, True)]
)
def test_rows_bytes_or_time_cut(now: float, rows: int, size: int, due: bool) -> None:
    p = made()
    p.add(numbers(5, 8), 0.0)
    assert p.due(now, rows=rows, size=size, seconds=1.0) is due


def test_points_do_not_wait_for_events_nor_events_go_with_them() -> None:
    config = SinkConfig(bootstrap="", schema_registry="", clickhouse_url="", flush_rows=9, flush_s=1.0, points_s=0.2)
    events, points, other = made(), Partition(POINTS, 0, 5, None, None), Partition("sessions", 0, 5, None, None)
    owned = [events, points, other]
    assert to_cut(owned, 1e9, config) == []
    for p in owned:
        p.add(numbers(5, 6), 0.0)
    assert to_cut(owned, 0.1, config) == []
    assert to_cut(owned, 0.3, config) == [points]
    assert to_cut(owned, 1.0, config) == owned
    points.cut(9, 1 << 20)
    points.add(numbers(6, 7), 0.9)
    assert to_cut(owned, 1.0, config) == owned, "what waits goes along with events"
    other.add(numbers(6, 15), 0.9)
    assert to_cut(owned, 0.95, config) == owned, "a full partition takes the others along"


@pytest.mark.parametrize("offsets", [(5, 6, 7), (5, 7), (5, 6, 9, 10), (5,)])
def test_offsets_of_records_with_and_without_gaps(offsets: tuple[int, ...]) -> None:
    records = fetched(b"".join(batch(o, [b"a"]) for o in offsets), 5).records()
    assert tuple(_offsets(records).tolist()) == offsets


def test_a_configuration_that_cannot_work_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        SinkConfig(bootstrap="", schema_registry="", clickhouse_url="", flush_rows=0)
    with pytest.raises(ValueError, match="measures"):
        SinkConfig(bootstrap="", schema_registry="", clickhouse_url="", topics=("measures",))
