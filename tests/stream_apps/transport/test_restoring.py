"""Changelog runs are put into tables as Faust would, and Faust gets the records that end a recovery."""

from types import SimpleNamespace
from typing import Any, cast

import faust
import pytest
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types.tuples import TP
from hypothesis import given
from hypothesis import strategies as st

from stream_apps.transport.restoring import restore

A, B = TP("app-state-changelog", 0), TP("app-state-changelog", 1)
Write = tuple[TP, bytes, bytes | None]

writes = st.lists(
    st.tuples(st.sampled_from([A, B]), st.sampled_from([b"x", b"y", b"z"]), st.sampled_from([None, b"1", b"2"])),
    max_size=40,
)


def recovering(ends: dict[TP, int], **types: Any) -> tuple[Recovery, Any]:
    app = faust.App("app", broker="kafka://", store="memory://")
    table: Any = app.Table("state", partitions=2, **{"key_type": bytes, "value_type": bytes, **types})
    recovery = cast(TableManager, app.tables).recovery
    recovery.in_recovery = True
    for tp, end in ends.items():
        recovery.active_tps.add(tp)
        recovery.tp_to_table[tp] = table
        recovery.active_highwaters[tp] = end
        recovery.active_offsets[tp] = -1
    return recovery, table


def record(offset: int, key: bytes, value: bytes | None) -> Any:
    return SimpleNamespace(offset=offset, key=key, value=value)


def event(tp: TP, held: Any) -> Any:
    message = SimpleNamespace(tp=tp, partition=tp.partition, offset=held.offset, value=held.value)
    return SimpleNamespace(key=held.key, value=held.value, message=message)


def logs_of(made: list[Write]) -> dict[TP, list[Any]]:
    logs: dict[TP, list[Any]] = {A: [], B: []}
    for tp, key, value in made:
        logs[tp].append(record(2 * len(logs[tp]), key + bytes([tp.partition]), value))  # compaction leaves gaps
    return logs


@given(writes, st.lists(st.integers(1, 7), min_size=1), st.booleans())
def test_a_table_is_what_its_log_tells(made: list[Write], sizes: list[int], again: bool) -> None:
    logs = logs_of(made)
    recovery, table = recovering({tp: log[-1].offset if log else -1 for tp, log in logs.items()})
    for tp, log in logs.items():
        at, turn, left = 0, 0, []
        while at < len(log):
            run = log[max(0, at - 2 * again) : at + sizes[turn % len(sizes)]]  # records that come again change nothing
            at, turn = at + sizes[turn % len(sizes)], turn + 1
            left += restore(recovery, tp, run)
        assert {r.offset for r in left} == ({log[-1].offset} if log else set())  # the last one is Faust's
        assert recovery.active_offsets[tp] == (log[-2].offset if len(log) > 1 else -1)
        table.apply_changelog_batch([event(tp, r) for r in left])
    held = {key: value for log in logs.values() for key, value in ((r.key, r.value) for r in log)}
    assert dict(table.data.data) == {key: value for key, value in held.items() if value is not None}
    assert {k: p for k, p in table.data._key_partition.items() if k in table.data.data} == {
        k: k[-1] for k in table.data.data
    }


def test_what_faust_has_taken_and_not_applied_comes_first() -> None:
    recovery, table = recovering({A: 9})
    recovery.buffers[table].append(event(A, record(0, b"x", b"old")))
    assert restore(recovery, A, [record(1, b"x", b"new")]) == []
    recovery.flush_buffers()
    assert dict(table.data.data) == {b"x": b"new"}


@pytest.mark.parametrize("why", ["no recovery", "not active", "other partition", "other types", "a listener"])
def test_other_records_are_left_to_faust(why: str) -> None:
    recovery, table = recovering({A: 9}, **({"value_type": str} if why == "other types" else {}))
    if why == "no recovery":
        recovery.in_recovery = False
    elif why == "not active":
        recovery.active_tps.clear()
    elif why == "a listener":
        table._on_changelog_event = print
    run = [record(1, b"x", b"1"), record(9, b"y", b"1")]
    assert restore(recovery, B if why == "other partition" else A, run) == run
    assert not table.data.data and recovery.active_offsets[A] == -1
