"""Where a batch is cut, and what a partition takes."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.batch import Batch
from sinks.config import POINTS, SinkConfig
from sinks.loop import by_place
from sinks.partition import Partition, to_cut


@dataclass(frozen=True)
class Sent:
    at: int
    name: str = ""
    number: int = 0

    def __len__(self) -> int:
        return 10

    def value(self) -> bytes:
        return b"0123456789"

    def offset(self) -> int:
        return self.at

    def headers(self) -> None:
        return None

    def topic(self) -> str:
        return self.name

    def partition(self) -> int:
        return self.number


def sent(*offsets: int) -> list[Sent]:
    return [Sent(o) for o in offsets]


def made(plan: tuple[int, int] | None = None, expected: int = 5) -> Partition:
    return Partition("events.commerce", 0, expected=expected, plan=plan, seen=None)


def test_what_was_taken_before_is_passed_over() -> None:
    p = made()
    p.add(sent(3, 4), 0.0)
    assert (p.messages, p.expected) == ([], 5)
    p.add(sent(4, 5, 6), 0.0)
    p.add(sent(6, 7), 1.0)
    assert [m.offset() for m in p.messages] == [5, 6, 7]
    assert (p.expected, p.size, p.since) == (8, 30, 0.0)


def test_a_plan_is_cut_exactly() -> None:
    p = made(plan=(5, 8))
    p.add(sent(5, 6, 7), 0.0)
    assert not p.due(1e9, rows=1, size=1, seconds=0.1)
    p.add(sent(8, 9), 0.0)
    assert p.due(0.0, rows=100, size=1000, seconds=100)
    batch = p.cut(2)
    assert (batch.first, batch.last, [m.offset() for m in batch.messages]) == (5, 8, [5, 6, 7, 8])
    assert [m.offset() for m in p.messages] == [9]
    assert p.plan is None


@pytest.mark.parametrize(
    ("now", "rows", "size", "due"), [(0.5, 9, 99, False), (1.0, 9, 99, True), (0, 3, 99, True), (0, 9, 30, True)]
)
def test_rows_bytes_or_time_cut(now: float, rows: int, size: int, due: bool) -> None:
    p = made()
    p.add(sent(5, 6, 7), 0.0)
    assert p.due(now, rows=rows, size=size, seconds=1.0) is due


def test_points_do_not_wait_for_events_nor_events_go_with_them() -> None:
    config = SinkConfig(bootstrap="", schema_registry="", clickhouse_url="", flush_rows=9, flush_s=1.0, points_s=0.2)
    events, points, other = made(), Partition(POINTS, 0, 5, None, None), Partition("sessions", 0, 5, None, None)
    owned = [events, points, other]
    assert to_cut(owned, 1e9, config) == []
    for p in owned:
        p.add(sent(5), 0.0)
    assert to_cut(owned, 0.1, config) == []
    assert to_cut(owned, 0.3, config) == [points]
    assert to_cut(owned, 1.0, config) == owned
    points.cut(9)
    points.add(sent(6), 0.9)
    assert to_cut(owned, 1.0, config) == owned, "what waits goes along with events"
    other.add(sent(*range(6, 15)), 0.9)
    assert to_cut(owned, 0.95, config) == owned, "a full partition takes the others along"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2))))
def test_records_of_a_read_stay_whole_and_in_order_by_partition(places: list[tuple[str, int]]) -> None:
    records = [Sent(at, *place) for at, place in enumerate(places)]
    runs = list(by_place(records))
    assert [r for _, run in runs for r in run] == records
    assert all(run and {(r.name, r.number) for r in run} == {place} for place, run in runs)
    assert all(one != two for (one, _), (two, _) in pairwise(runs))


@pytest.mark.parametrize("offsets", [(5, 6, 7), (5, 7), (5, 6, 9, 10), (5,)])
def test_offsets_of_a_batch_with_and_without_gaps(offsets: tuple[int, ...]) -> None:
    batch = Batch("events.commerce", 0, offsets[0], offsets[-1], sent(*offsets))
    assert tuple(batch.offsets.tolist()) == offsets


def test_a_configuration_that_cannot_work_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        SinkConfig(bootstrap="", schema_registry="", clickhouse_url="", flush_rows=0)
    with pytest.raises(ValueError, match="measures"):
        SinkConfig(bootstrap="", schema_registry="", clickhouse_url="", topics=("measures",))
