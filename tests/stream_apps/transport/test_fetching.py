"""Records that are taken by record batches are those that aiokafka would give one by one, and so is the position."""

import gc
from types import SimpleNamespace
from typing import Any
from weakref import ref

import pytest
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record import MemoryRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from stream_apps.transport.fetching import Runs

TP = TopicPartition("events.commerce", 0)
#: (gap before the batch, its records, whether it is compressed)
logs = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.booleans()), max_size=6)


def log_of(batches: list[tuple[int, int, bool]]) -> bytes:
    out, offset = b"", 100
    for gap, size, compressed in batches:
        offset += gap
        builder = DefaultRecordBatchBuilder(2, 1 if compressed else 0, False, -1, -1, -1, 1 << 20)
        for i in range(size):
            builder.append(i, timestamp=1_000 + offset + i, key=b"k", value=b"%d" % (offset + i), headers=[("h", b"v")])
        held = bytearray(builder.build())
        held[0:8] = offset.to_bytes(8, "big")
        out += bytes(held)
        offset += size
    return out


class State:
    paused = False

    def __init__(self, position: int) -> None:
        self.position = position

    def consumed_to(self, position: int) -> None:
        self.position = position


def fetched(log: bytes, start: int, *, check_crcs: bool = True) -> tuple[Any, State]:
    state = State(start)
    records = PartitionRecords(TP, MemoryRecords(log), None, start, None, None, check_crcs, 0)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    return FetchResult(TP, assignment=assignment, partition_records=records, backoff=0), state


def plain(records: list[Any]) -> list[tuple[Any, ...]]:
    return [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in records]


@given(logs, st.integers(90, 130), st.lists(st.one_of(st.none(), st.integers(1, 12)), min_size=1, max_size=12))
def test_runs_are_what_aiokafka_gives(batches: list[tuple[int, int, bool]], start: int, cuts: list[int | None]) -> None:
    log = log_of(batches)
    (theirs, their_state), (ours, our_state) = fetched(log, start), fetched(log, start)
    ours.getall = Runs(ours)
    for most in [*cuts, None]:
        assert plain(ours.getall(most)) == plain(theirs.getall(most))
        if theirs.has_more() and not ours.has_more():  # ours knows at once that nothing is left
            assert theirs.getall(None) == []
        assert our_state.position == their_state.position
        assert ours.has_more() == theirs.has_more()
        if not ours.has_more():
            return  # aiokafka drops it then


def test_nothing_is_given_after_a_seek_or_from_a_damaged_batch() -> None:
    log = log_of([(0, 5, False), (0, 5, False)])
    result, state = fetched(log, 100)
    result.getall = Runs(result)
    assert [r.offset for r in result.getall(3)] == [100, 101, 102]
    state.position = 100
    assert result.getall(3) == [] and not result.has_more()

    damaged = bytearray(log)
    damaged[-1] ^= 1
    result, state = fetched(bytes(damaged), 100)
    result.getall = Runs(result)
    assert [r.offset for r in result.getall(2)] == [100, 101]
    with pytest.raises(CorruptRecordException):
        result.getall(None)
    assert state.position == 102  # so all behind it is fetched again
    assert result.getall(None) == []


def test_a_result_that_nobody_wants_goes_without_the_collector_of_cycles() -> None:
    gc.disable()
    try:
        result, _ = fetched(log_of([(0, 5, True)]), 100)
        result.getall = Runs(result)
        assert len(result.getall(None)) == 5
        gone = ref(result)
        del result
        assert gone() is None
    finally:
        gc.enable()
