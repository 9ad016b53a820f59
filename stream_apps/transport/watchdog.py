"""Ends the process when going on would be wrong or waiting would be for ever.

In: the consumer's counters, the log's ends, the clocks of two threads. Out: exit code 75, after one line in the log.
Never: a worker that waits for ever, or one that goes on after its partitions may have gone to another.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Hashable
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn, cast

import structlog
from aiokafka.errors import KafkaError
from faust.tables.manager import TableManager
from faust.types.tuples import TP
from mode import Service

from stream_apps.transport.config import EXIT_NO_PROGRESS

if TYPE_CHECKING:
    from stream_apps.transport.consumer import BatchConsumer

log = structlog.get_logger(__name__)

_TICK_S = 0.25
_CHECK_S = 1.0
_ENDS_EVERY_S = 5.0


class Patience:
    """How long a mark has not changed, by a clock that is passed in.

    >>> patience = Patience(30.0)
    >>> patience.exceeded("a", now=0.0), patience.exceeded("a", now=31.0), patience.exceeded("b", now=32.0)
    (False, True, False)
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._mark: Hashable = None
        self._since = 0.0

    def exceeded(self, mark: Hashable, *, now: float) -> bool:
        """Whether `mark` has been the same for longer than the limit; a new mark, or None, starts afresh."""
        if mark is None or mark != self._mark:
            self._mark, self._since = mark, now
        return mark is not None and now - self._since > self._limit_s


class FreezeGuard:
    """Notices from a thread of its own that the process, or its main loop, stood still.

    SIGSTOP, a suspended machine or a paused virtual machine stop all threads. Whichever wakes first sees the old beat: this
    thread, the handler of SIGCONT (before any further line of the main thread), or the agent that asks `frozen()`.
    """

    def __init__(self, *, freeze_limit_s: float, loop_limit_s: float, leave: Callable[[str], Any]) -> None:
        self._freeze_limit_s = freeze_limit_s
        self._loop_limit_s = loop_limit_s
        self._leave = leave
        self._beat = self._loop_beat = monotonic()
        self._stop = threading.Event()

    def start(self) -> None:
        self._beat = self._loop_beat = monotonic()
        threading.Thread(target=self._watch, name="freeze-guard", daemon=True).start()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCONT, lambda *_: self.check())

    def stop(self) -> None:
        self._stop.set()

    def loop_turns(self) -> None:
        """Tell that the main loop is alive."""
        self._loop_beat = monotonic()

    def frozen(self) -> bool:
        """Whether the process has just stood still for longer than the limit: then send nothing."""
        return monotonic() - self._beat > self._freeze_limit_s

    def check(self) -> None:
        if self.frozen():
            self._leave("process_was_frozen")

    def _watch(self) -> None:
        while not self._stop.wait(_TICK_S):
            self.check()
            self._beat = monotonic()
            if self._beat - self._loop_beat > self._loop_limit_s:
                self._leave("event_loop_stands_still")


class Watchdog(Service):
    """A part of the consumer: started before the first rebalance, stopped with it."""

    abstract = False

    def __init__(self, consumer: "BatchConsumer", **kwargs: Any) -> None:
        self.consumer = consumer
        config = consumer.config
        self._recovering = Patience(config.recovery_deadline_s)
        self._reading = Patience(config.stall_deadline_s)
        # Longer than the common limit: the partitions of an agent take turns.
        self._partition_limit_s = config.stall_deadline_s + config.recovery_deadline_s / 2
        self._partitions: dict[TP, Patience] = {}
        self._settling = Patience(config.stall_deadline_s + config.recovery_deadline_s)
        self._furthest = 0
        self._ends: dict[TP, int] = {}
        self._starts: dict[TP, int] = {}
        self._ends_at = 0.0
        self.freeze = FreezeGuard(
            freeze_limit_s=config.freeze_limit_s, loop_limit_s=config.stall_deadline_s, leave=self.leave
        )
        super().__init__(**kwargs)

    @staticmethod
    def leave(reason: str, **fields: Any) -> NoReturn:
        """End the process at once: no handler, no flush to Kafka, nothing that could still send."""
        log.error("worker_exits_without_progress", reason=reason, exit_code=EXIT_NO_PROGRESS, **fields)
        os._exit(EXIT_NO_PROGRESS)

    async def on_start(self) -> None:
        self.freeze.start()

    async def on_stop(self) -> None:
        self.freeze.stop()

    @Service.task
    async def _beat(self) -> None:
        while not self.should_stop:
            self.freeze.loop_turns()
            await self.sleep(_TICK_S)

    @Service.task
    async def _supervise(self) -> None:
        while not self.should_stop:
            await self.sleep(_CHECK_S)
            try:
                await asyncio.wait_for(self._finish_recordless_tails(), _ENDS_EVERY_S)
                await asyncio.wait_for(self._refresh_ends(), _ENDS_EVERY_S)
            except (TimeoutError, KafkaError) as error:
                log.warning("watchdog_cannot_ask_broker", error=type(error).__name__)
            self.judge(monotonic())

    def judge(self, now: float) -> None:
        """Leave when recovery or reading has exceeded its deadline."""
        if self._recovering.exceeded(self._recovery_mark(), now=now):
            self.leave("recovery_makes_no_progress")
        waiting = self._waiting()
        consumer = self.consumer
        mark = (consumer.delivered_batches, consumer._n_acked, consumer.positions.version) if waiting else None
        if self._reading.exceeded(mark, now=now):
            self.leave("records_wait_and_none_is_finished", partitions=_names(waiting))
        if still := self._standing_still(waiting, now):
            self.leave("partitions_stand_still_beside_others", partitions=_names(still))
        if self._settling.exceeded(self._settling_mark(waiting), now=now):
            self.leave("rebalances_lead_to_nothing", rebalances=consumer.app.rebalancing_count)

    def _standing_still(self, waiting: list[TP], now: float) -> list[TP]:
        """Partitions that wait while others go on: what the KPI stage reads never ends, so the common mark would hide them."""
        consumer = self.consumer
        self._partitions = {tp: self._partitions.get(tp) or Patience(self._partition_limit_s) for tp in waiting}
        return [
            tp
            for tp, patience in self._partitions.items()
            if patience.exceeded(
                (consumer.delivered.get(tp), consumer.first_unfinished(tp), consumer.positions.epoch(tp)), now=now
            )
        ]

    def _settling_mark(self, waiting: list[TP]) -> Hashable:
        """What a worker has achieved that is in a rebalance or behind: rebalances that follow each other achieve nothing."""
        self._furthest = max(self._furthest, self._recovered())
        if self._settled() and not waiting:
            return None
        return (self.consumer.delivered_batches, self.consumer._n_acked, self._furthest)

    def _settled(self) -> bool:
        app = self.consumer.app
        return self.consumer.flow_active and not app.rebalancing and not app.in_recovery

    def _recovered(self) -> int:
        offsets = cast(TableManager, self.consumer.app.tables).recovery.active_offsets
        return sum(offset or 0 for offset in offsets.values())

    def _recovery_mark(self) -> Hashable:
        return None if self._settled() else (self.consumer.app.rebalancing_count, self._recovered())

    def _waiting(self) -> list[TP]:
        if not self.consumer.flow_active or self.consumer.app.rebalancing:
            return []
        delivered = self.consumer.delivered
        return [
            tp
            for tp, end in self._ends.items()
            if end > max(delivered.get(tp, end), self._starts.get(tp, 0)) or self.consumer.awaits_acks(tp)
        ]

    async def _refresh_ends(self) -> None:
        """Ask the broker for the ends: those that aiokafka knows stand still when its fetching does."""
        consumer = self.consumer
        if not consumer.flow_active or monotonic() - self._ends_at < _ENDS_EVERY_S:
            return
        self._ends_at = monotonic()
        tps = [tp for tp in consumer.assignment() if tp.topic in consumer.batch_topics and tp in consumer.delivered]
        if tps:
            self._starts = {TP(*tp): start for tp, start in (await consumer.earliest_offsets(*tps)).items()}
            self._ends = {TP(*tp): end for tp, end in (await consumer.highwaters(*tps)).items()}

    async def _finish_recordless_tails(self) -> None:
        """End the wait for changelog records that do not exist.

        Faust waits for the record before the log's end. Compaction of a tombstone, or a transaction's marker, leaves an
        offset there without a record.
        """
        app = self.consumer.app
        if not app.in_recovery or not self.consumer.flow_active:
            return
        tables = cast(TableManager, app.tables)
        recovery = tables.recovery
        for tp, stats in recovery.active_stats().items():
            if stats.remaining <= 0 or self.consumer.holds(tp) or not tables.changelog_queue.empty():
                continue
            position = await self.consumer.position(tp)
            if position is not None and position > stats.highwater and not self.consumer.holds(tp):
                log.info("changelog_ends_without_record", topic=tp.topic, partition=tp.partition)
                recovery.active_offsets[tp] = stats.highwater


def _names(tps: list[TP]) -> list[str]:
    return [f"{tp.topic}/{tp.partition}" for tp in tps]
