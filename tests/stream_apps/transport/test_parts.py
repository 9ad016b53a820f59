"""The transport's pure parts: guard, ledger, held runs, positions, seams."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import faust
import pytest
from aiokafka.consumer.fetcher import Fetcher
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP
from hypothesis import given
from hypothesis import strategies as st

from stream_apps import seams
from stream_apps.batch_transport import (
    Continue,
    Crash,
    OffsetGuard,
    Record,
    RecordBatch,
    SeekBack,
    SkipPrefix,
    Truncated,
    batch_topic,
    faust_settings,
)
from stream_apps.transport.held import HeldRuns
from stream_apps.transport.ledger import CommitLedger
from stream_apps.transport.positions import Positions
from stream_apps.transport.setup import setup_of

A, B = TP("t", 0), TP("t", 1)


def records(first: int, rows: int) -> list[Record]:
    return [cast(Record, SimpleNamespace(offset=o, value=b"", key=None)) for o in range(first, first + rows)]


def test_a_batch_that_is_in_the_state_is_skipped_whole() -> None:
    assert OffsetGuard().judge(expected=50, first=10, rows=20) == SkipPrefix(20)


def test_a_gap_is_read_again_once_then_crashes() -> None:
    guard = OffsetGuard()
    assert guard.judge(expected=5, first=7, rows=3) == SeekBack(5)
    assert guard.asks_log_start
    assert guard.judge(expected=5, first=7, rows=3, log_start=0) == Crash(5, 7)


def test_a_gap_that_reading_again_closes_is_forgotten() -> None:
    guard = OffsetGuard()
    assert guard.judge(expected=5, first=7, rows=3) == SeekBack(5)
    assert guard.judge(expected=5, first=5, rows=5) == Continue()
    assert not guard.asks_log_start
    assert guard.judge(expected=5, first=7, rows=3) == SeekBack(5)


def test_a_truncated_log_is_named_once_the_log_start_proves_it() -> None:
    guard = OffsetGuard()
    assert guard.judge(expected=5, first=7, rows=3) == SeekBack(5)
    assert guard.judge(expected=5, first=7, rows=3, log_start=6) == Crash(5, 7)
    guard = OffsetGuard()
    assert guard.judge(expected=5, first=7, rows=3, log_start=7) == SeekBack(5)
    assert guard.judge(expected=5, first=7, rows=3, log_start=7) == Truncated(5, 6)


def test_without_a_state_the_log_begins_at_its_start() -> None:
    assert OffsetGuard().judge(expected=None, first=3, rows=1, log_start=0) == SeekBack(0)
    assert OffsetGuard().judge(expected=None, first=3, rows=1, log_start=3) == Continue()


def test_a_hole_inside_a_batch_crashes() -> None:
    assert isinstance(OffsetGuard().judge(expected=0, first=0, rows=5, last=9), Crash)


@given(st.integers(0, 60), st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=30))
def test_what_the_guard_lets_through_is_gapless(start: int, batches: list[tuple[int, int]]) -> None:
    guard, counted = OffsetGuard(), start
    for first, rows in batches:
        match guard.judge(expected=counted, first=first, rows=rows, last=first + rows - 1, log_start=0):
            case Continue():
                assert first == counted
                counted += rows
            case SkipPrefix(skipped):
                assert skipped == rows or first + skipped == counted
                counted = max(counted, first + rows)
            case SeekBack(offset) | Crash(offset, _):
                assert offset == counted < first
            case Truncated():
                pytest.fail("the log begins at 0")


@given(st.permutations(range(6)))
def test_the_ledger_commits_finished_prefixes_only(order: list[int]) -> None:
    ledger = CommitLedger()
    slots = [ledger.open(10 * n + 9) for n in range(6)]
    finished: set[int] = set()
    committed = 0
    for number in order:
        slots[number].finished = True
        finished.add(number)
        committed = ledger.take_committable() or committed
        prefix = next((n for n in range(7) if n not in finished), 6)
        assert committed == 10 * prefix
    assert not ledger.unfinished


def test_runs_are_due_by_rows_or_by_age_of_the_oldest() -> None:
    runs = HeldRuns()
    runs.add(A, records(0, 3), now=10.0)
    assert not runs.due(A, 10.1, min_rows=5, max_wait_s=0.2)
    runs.add(A, records(3, 1), now=10.15)
    assert runs.due(A, 10.25, min_rows=5, max_wait_s=0.2)
    runs.add(A, records(4, 1), now=10.1)
    assert runs.due(A, 10.1, min_rows=5, max_wait_s=0.2)
    assert [r.offset for r in runs.take(A)] == [0, 1, 2, 3, 4]
    runs.add(A, records(5, 1), now=11.0)
    runs.forget([A])
    assert runs.partitions() == []


def test_an_epoch_never_returns() -> None:
    positions = Positions()
    seen = {(tp, positions.epoch(tp)) for tp in (A, B)}
    positions.moved(A)
    assert (A, positions.epoch(A)) not in seen and (B, positions.epoch(B)) in seen
    seen.add((A, positions.epoch(A)))
    version = positions.version
    positions.moved_all()
    assert (A, positions.epoch(A)) not in seen and (B, positions.epoch(B)) not in seen
    assert positions.version > version


def test_a_batch_without_its_prefix_keeps_the_rest() -> None:
    batch = RecordBatch(A, records(10, 5), highwater=15, generation=1, epoch=2)
    assert batch.skip(2).offsets().tolist() == [12, 13, 14]
    holes = RecordBatch(A, records(10, 2) + records(15, 1), highwater=16, generation=1, epoch=2)
    assert holes.offsets().tolist() == [10, 11, 15]
    assert (batch.skip(2).generation, batch.skip(2).epoch, batch.at_end) == (1, 2, True)


def test_another_version_or_a_changed_function_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert seams.differences() == []
    monkeypatch.setitem(seams.VERSIONS, "aiokafka", "0.99")
    monkeypatch.setattr(driver.Consumer, "_to_message", lambda self, record: None)
    monkeypatch.delattr(Fetcher, "_create_fetch_waiter")
    with pytest.raises(seams.SeamError) as raised:
        seams.check()
    for text in ("aiokafka 0.14.0 is installed, 0.99 is needed", "Consumer._to_message takes", "_create_fetch_waiter"):
        assert text in str(raised.value)


@pytest.mark.asyncio
async def test_topics_carry_the_size_of_the_agents_queue(tmp_path: Path) -> None:
    app = faust.App(**faust_settings("127.0.0.1:1,127.0.0.1:2", "sizes", tmp_path))
    assert batch_topic(app, "t", maxsize=3).clone(is_iterator=True).queue.maxsize == 3
    assert setup_of(app).merging.keys() == {"t"}
