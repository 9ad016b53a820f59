"""Faust's consumer, reading whole batches and losing none in a rebalance.

In: fetched records, Faust's calls around rebalances and recoveries. Out: messages for the conductor, offsets to commit.
Never: a record leaves other than to its stream, or by a move of the position that makes it come again.
"""

from collections.abc import AsyncIterator, Iterable
from time import monotonic
from typing import Any, cast

import structlog
from aiokafka.errors import IllegalStateError
from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP, Message

from stream_apps.transport.batch import BatchMessage, Record, RecordBatch
from stream_apps.transport.config import TransportConfig
from stream_apps.transport.fetching import BatchConsumerThread
from stream_apps.transport.held import HeldRecords, HeldRuns
from stream_apps.transport.ledger import CommitLedger
from stream_apps.transport.positions import Positions
from stream_apps.transport.restoring import restore
from stream_apps.transport.setup import Merging, setup_of
from stream_apps.transport.watchdog import Watchdog

log = structlog.get_logger(__name__)

# The consumer thread runs two calls at a time, so a long wait for records would delay a commit or a seek behind it.
_LONGEST_FETCH_S = 0.25
_BUFFER_POLL_S = 0.002


class BatchConsumer(driver.Consumer):
    """One per app; everything but `positions` and `flow_active` belongs to the main thread."""

    _thread: BatchConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.positions = Positions()
        self.delivered: dict[TP, int] = {}
        self.delivered_batches = 0
        self._runs = HeldRuns()
        self._singles = HeldRecords()
        self._ledgers: dict[TP, CommitLedger] = {}
        self._resume_later: set[TP] = set()
        self._reassigning = False
        super().__init__(*args, **kwargs)
        self._setup = setup_of(self.app)
        self.watchdog = Watchdog(self, loop=self.loop, beacon=self.beacon)
        self.add_dependency(self.watchdog)

    @property
    def config(self) -> TransportConfig:
        return self._setup.config

    @property
    def batch_topics(self) -> dict[str, Merging]:
        return self._setup.merging

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # -- reading

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109  (Faust's signature)
        """Fetch once, then yield what is due: runs of batch topics, single records of the others."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]  # mode names its own Event, takes any
        if self.should_stop:
            return
        if not await self._fetch(timeout):
            return
        now = monotonic()
        for tp in self._runs.partitions():
            merging = self.batch_topics[tp.topic]
            if self._deliverable(tp) and self._runs.due(
                tp, now, min_rows=merging.min_rows, max_wait_s=merging.max_wait_s
            ):
                self._read_offset[tp] = None  # Faust would drop a batch that a seek back repeats
                yield tp, self._open_batch(tp, self._runs.take(tp))
        for tp in self._singles.partitions():
            while self._deliverable(tp) and (record := self._singles.next_of(tp)) is not None:
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                yield tp, self._to_message(tp, record)

    async def _fetch(self, limit_s: float) -> bool:
        active = self._get_active_partitions()
        wait_s = self._longest_wait(min(limit_s, _LONGEST_FETCH_S))
        if not active:
            # Stock Faust sleeps a whole second here, though a full buffer drains within milliseconds.
            await self.sleep(_BUFFER_POLL_S if self._buffered_partitions else min(wait_s, 0.05))
            return True
        return await self._fetch_from(active, wait_s if self.config.fence_fetches else limit_s)

    async def _fetch_from(self, active: set[TP], limit_s: float) -> bool:
        if not self.config.fence_fetches:
            return await self._fetch_unfenced(active, limit_s)
        frozen, version = frozenset(active), self.positions.version
        epochs = {tp: self.positions.epoch(tp) for tp in frozen}
        fetched = await self._thread.fetch(frozen, version=version, timeout_s=limit_s)
        self._hold({tp: run for tp, run in fetched.items() if self.positions.epoch(tp) == epochs.get(tp)})
        return True

    async def _fetch_unfenced(self, active: set[TP], limit_s: float) -> bool:
        """Do as stock Faust does: for control tests."""
        fetched = await self._thread.getmany(active, limit_s)
        if not self.flow_active:
            await self.perform_seek()
            return False
        wanted = active | self._buffered_partitions
        self._hold({tp: cast(list[Record], run) for tp, run in fetched.items() if tp in wanted})
        return True

    def _longest_wait(self, limit: float) -> float:
        if self._buffered_partitions:
            return min(limit, 0.02)
        now = monotonic()
        waits = (
            self._runs.wait_s(tp, now, max_wait_s=self.batch_topics[tp.topic].max_wait_s)
            for tp in self._runs.partitions()
        )
        return min(limit, min(waits, default=limit))

    def _hold(self, fetched: dict[TP, list[Record]]) -> None:
        now = monotonic()
        for fetched_tp, records in fetched.items():
            tp = TP(*fetched_tp)  # aiokafka's own tuple, equal to Faust's
            if tp.topic in self.batch_topics:
                self._runs.add(tp, records, now)
            elif left := restore(cast(TableManager, self.app.tables).recovery, tp, records):
                self._singles.add(tp, left)

    def holds(self, tp: TP) -> bool:
        """Whether fetched records of the partition wait here."""
        return tp in self._runs.partitions() or tp in self._singles.partitions()

    def awaits_acks(self, tp: TP) -> bool:
        """Whether a delivered batch of the partition is not acknowledged yet."""
        ledger = self._ledgers.get(tp)
        return ledger is not None and ledger.unfinished

    def first_unfinished(self, tp: TP) -> int | None:
        """Last offset of the oldest delivered batch of the partition that is not acknowledged, or None."""
        ledger = self._ledgers.get(tp)
        return None if ledger is None else ledger.first_unfinished

    def _deliverable(self, tp: TP) -> bool:
        return self.flow_active and tp not in self._paused_partitions

    def _open_batch(self, tp: TP, records: list[Record]) -> Message:
        highwater = self.highwater(tp)
        self.app.monitor.track_tp_end_offset(tp, highwater)
        batch = RecordBatch(
            tp,
            records,
            highwater=highwater,
            generation=self.app.consumer_generation_id,
            epoch=self.positions.epoch(tp),
        )
        slot = self._ledgers.setdefault(tp, CommitLedger()).open(batch.last_offset)
        self.delivered[tp] = batch.last_offset + 1
        self.delivered_batches += 1
        return BatchMessage(batch, slot)

    # -- committing

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.batch_topics:
            return super()._new_offset(tp)
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        ledger = self._ledgers.get(tp)
        return None if ledger is None else ledger.take_committable()

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic not in self.batch_topics:  # the offsets inside a batch are no gap
            await super()._add_gap(tp, offset_from, offset_to)

    # -- moving

    def is_current(self, batch: RecordBatch) -> bool:
        """Whether what is computed from the batch may still be written: no rebalance and no seek since its fetch."""
        return (
            self.flow_active
            and batch.generation == self.app.consumer_generation_id
            and batch.epoch == self.positions.epoch(batch.tp)
        )

    async def seek_back(self, tp: TP, offset: int) -> None:
        """Read the partition again from `offset`; batches of it that are under way are no longer current.

        A partition that is no longer ours is left alone.
        """
        self._forget([tp])
        try:
            await self._thread.seek_wait({tp: offset})
        except IllegalStateError:
            log.info("seek_back_of_lost_partition", topic=tp.topic, partition=tp.partition)

    async def _seek(self, partition: TP, offset: int) -> None:
        # Faust seeks from the main thread while the consumer's thread may be draining; so let that thread do it.
        self._forget([partition])
        await self._thread.seek_wait({partition: offset})

    async def perform_seek(self) -> None:
        """Move all source partitions to their committed offsets, those without one to the log's start."""
        sources = [tp for tp in self.assignment() if not self._is_changelog_tp(tp)]
        self._forget(sources)
        if not self.config.seek_uncommitted:
            await super().perform_seek()
            return
        committed = {TP(*tp): offset for tp, offset in (await self.seek_to_committed()).items()}
        # aiokafka leaves partitions without a commit, or with offset 0, where they are.
        fresh = [tp for tp, offset in committed.items() if not offset and not self._is_changelog_tp(tp)]
        if fresh:
            await self._thread.seek_to_beginning(*(driver.ensure_aiokafka_TP(tp) for tp in fresh))
        for tp, offset in committed.items():
            self._read_offset[tp] = offset or None
            self.delivered[tp] = offset or 0
            if offset:
                self._committed_offset[tp] = offset

    def _forget(self, tps: Iterable[TP]) -> None:
        """Void what is under way of partitions whose position is about to move."""
        for tp in tps:
            self.positions.moved(tp)
            self._ledgers.pop(tp, None)
            self.delivered.pop(tp, None)
            self._runs.forget([tp])
            self._singles.forget([tp])

    def _forget_all(self) -> None:
        self.positions.moved_all()
        self._ledgers.clear()
        self.delivered.clear()
        self._runs.clear()
        self._singles.clear()
        self._buffered_partitions.clear()

    # -- rebalances: Faust resumes the source partitions, then seeks, then clears the streams' queues, then resumes the
    # flow. What is fetched between the seek and the clearing is gone, though the position is past it. So the sources are
    # resumed last, and no flow is resumed between a revocation and the assignment that follows.

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        if self.config.hold_sources:
            self._reassigning = True
            self.stop_flow()
        self._forget_all()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        if self.config.hold_sources:
            # A worker that had nothing was not stopped, and would read its new partitions before their tables are there.
            self.stop_flow()
            self.app.flow_control.suspend()
            self._reassigning = False
        self._forget_all()
        await super().on_partitions_assigned(assigned, generation_id)

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        paused = set(tps)
        self._resume_later -= paused
        super().pause_partitions(paused)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        resumed = set(tps)
        if self.config.hold_sources:
            sources = {tp for tp in resumed if not self._is_changelog_tp(tp)}
            self._resume_later |= sources
            resumed -= sources
        super().resume_partitions(resumed)

    def resume_flow(self) -> None:
        if self._reassigning:
            log.info("resume_flow_refused_while_reassigning")
            return
        super().resume_flow()
        if self._resume_later:
            later, self._resume_later = self._resume_later, set()
            super().resume_partitions(later & self.assignment())

    def on_buffer_drop(self, tp: TP) -> None:
        if tp in self._paused_partitions:
            self._buffered_partitions.discard(tp)  # Faust would make a paused partition active here
        else:
            super().on_buffer_drop(tp)
