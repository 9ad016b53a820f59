"""The measures stage: event batches in, cumulative partials out, exact through crashes and rebalances.

In: `events.<family>` topics.
Out: `measures`, `dead-letters`, `consents`, the stage's changelog.
Never: an exception that leaves an agent, a batch acked before its checkpoint, a gap that passes.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from faust.types import AppT

from schemas.catalogue import MEASURES
from schemas.families import FAMILIES, INTERNAL
from schemas.topics import TOPICS
from stream_apps import worker_metrics as metrics
from stream_apps.batch_transport import (
    Crash,
    RecordBatch,
    SeekBack,
    SkipPrefix,
    Truncated,
    batch_topic,
    is_current,
    log_start,
    seek_back,
)
from stream_apps.changelog import Changelog, Place
from stream_apps.checkpoints import Checkpoints
from stream_apps.compute.partition import Rules
from stream_apps.config import StreamConfig
from stream_apps.dead_letters import DECODE, VALIDATE, DeadLetters
from stream_apps.exits import crashing, stop_for_dead_letters
from stream_apps.failpoints import Failpoints
from stream_apps.holdings import Held, Holdings
from stream_apps.intake import Intake, Taken
from stream_apps.partials_topic import Partials
from stream_apps.publisher import Publisher
from stream_apps.registry import NotCached, Schemas
from stream_apps.statements import reader
from stream_apps.writer import RecordWriter

log = structlog.get_logger(__name__)

TABLE = "measures"
PARTITIONS = TOPICS["events.interaction"].partitions
HEARTBEAT_S = 5.0


class Gap(RuntimeError):
    """Records are missing that the log holds."""


class MeasuresStage:
    """Agents of all families and their common checkpoints."""

    def __init__(self, app: AppT, config: StreamConfig) -> None:
        self._app, self._config = app, config
        self._schemas = Schemas(config.schema_registry)
        self._publisher = Publisher(config.bootstrap)
        self._consents = reader(config.bootstrap, config.schema_registry)
        consents = self._consents.consents
        self._intakes = {f: Intake(f, MEASURES.values(), self._schemas.by_id, consents) for f in FAMILIES}
        rules = Rules(zone=config.reporting_zone)
        if not config.offset_rule:
            rules = Rules(zone=config.reporting_zone, offset_floor=lambda *_: -1)
        self._changelog = Changelog(app, TABLE, PARTITIONS)
        self._holdings = Holdings(
            app,
            self._changelog,
            {f: i.plan for f, i in self._intakes.items()},
            rules,
            guard=config.transport.guard,
            resume=config.resume_dead_letters,
        )
        self._checkpoints: Checkpoints | None = None
        self._full, self._written = asyncio.Event(), asyncio.Event()
        self._draining, self._all_at = False, 0.0

    # -- start and end

    async def _checkpointer(self) -> Checkpoints:
        """Learns the ids of our own schemas first; waits until they are registered."""
        ids = [
            await self._schemas.id_of(TOPICS[topic].subject, INTERNAL[record].text)
            for topic, record in (("measures", "partial"), ("dead-letters", "dead_letter"), ("consents", "consent"))
        ]
        return Checkpoints(
            self._app, self._holdings, self._changelog, self._publisher,
            Partials(ids[0]), DeadLetters(self._config.dead_letter_key, ids[1]),
            RecordWriter(TOPICS["consents"], ids[2], "tenant_id", "subject"),
            Failpoints(self._config.failpoint), lambda: int(time.time() * 1000),
        )  # fmt: skip

    async def drain(self) -> None:
        """Take no more batches, write a last checkpoint and ack what it holds."""
        self._draining = True
        if self._checkpoints is not None:
            await self._checkpoints.write(lambda _: True)
        await asyncio.to_thread(self._consents.stop)

    async def keep_checkpoints(self) -> None:
        """Write checkpoints, by time and by rows, until cancelled."""
        self._consents.start()
        with crashing("checkpoints"):
            self._checkpoints = await self._checkpointer()
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._full.wait(), self._pause(time.monotonic()))
                self._full.clear()
                now = time.monotonic()
                await self._checkpoints.write(self._due(now))
                self._written.set()
                if self._holdings.ready and not self._draining:
                    await self._checkpoints.tell_heads(HEARTBEAT_S, now)
                    await self._stop_when_tripped(self._checkpoints)

    def _pause(self, now: float) -> float:
        """Seconds until partitions are looked at: at the end of the interval, and four times in it."""
        every = self._config.checkpoint_s
        return min(max(self._all_at + every - now, 0.0), every / 4)

    def _due(self, now: float) -> Callable[[Held], bool]:
        """Which partitions to store: once in an interval all, between whiles those that are full or had nothing for as long.

        One large checkpoint costs less than many small ones, and the KPI stage can take it as one.
        """
        rows, every = self._config.checkpoint_rows, self._config.checkpoint_s
        if now - self._all_at >= every:
            self._all_at = now
            return lambda _: True
        return lambda held: held.partition.waiting >= rows or now - held.flushed_at >= every

    async def _stop_when_tripped(self, checkpoints: Checkpoints) -> None:
        """Stop for good, after what led to it is stored: the next start must know, and a release must not meet it again."""
        for family in FAMILIES:
            if reason := self._holdings.reason_to_stop(family):
                await checkpoints.write(lambda _: True)
                stop_for_dead_letters(family, reason)

    # -- batches

    async def consume(self, family: str, stream: Any) -> None:
        """The body of a family's agent."""
        with crashing(family):
            async for event in stream.noack().events():
                batch: RecordBatch = event.value
                if self._draining or not is_current(self._app, batch):
                    continue  # it comes again, to this worker or another
                held = self._holdings.of(Place(family, batch.tp.partition), time.monotonic())
                rest = await self._admitted(held, batch)
                if rest is None or not is_current(self._app, batch):
                    continue
                if len(rest):
                    taken = await self._taken(family, rest)
                    if not is_current(self._app, batch):
                        continue
                    self._take(held, rest, taken)
                held.partition.offset = max(held.partition.offset, rest.last_offset)  # transactions may end the batch
                held.batch = batch
                held.acks.append(partial(stream.ack, event))
                await self._hold_back(held)

    async def _admitted(self, held: Held, batch: RecordBatch) -> RecordBatch | None:
        """The records of the batch that the state lacks, or None when it must not be used."""
        ask = held.expected is None or held.guard.asks_log_start
        decision = held.guard.judge(
            expected=held.expected,
            first=batch.first_offset,
            last=batch.last_offset,
            rows=batch.covered,
            log_start=await log_start(self._app, batch.tp) if ask else None,
        )
        fields = {"topic": batch.tp.topic, "partition": batch.tp.partition}
        match decision:
            case SkipPrefix(rows) if self._config.offset_rule:
                return batch.skip(rows)
            case SeekBack(offset):
                log.warning("gap_seeks_back", offset=offset, got=batch.first_offset, **fields)
                await seek_back(self._app, batch.tp, offset)
                return None
            case Truncated(first, last):
                log.error("records_left_the_log_unread", first=first, last=last, **fields)
                metrics.TRUNCATED.labels(held.place.family, held.place.partition).inc(last - first + 1)
                held.partition.offset = last
            case Crash(expected, got):
                raise Gap(f"{batch.tp.topic}/{batch.tp.partition}: {expected} expected, {got} came")
        return batch

    async def _taken(self, family: str, batch: RecordBatch) -> Taken:
        if not self._consents.fresh():
            await asyncio.to_thread(self._consents.await_fresh)
        while True:
            try:
                return self._intakes[family](batch)
            except NotCached as missing:
                await self._schemas.fetch(missing.schema_id)

    def _take(self, held: Held, batch: RecordBatch, taken: Taken) -> None:
        started, family = time.perf_counter(), held.place.family
        held.partition.take(
            taken.rows,
            taken.appended_ms,
            last_offset=batch.last_offset,
            seen=batch.covered,
            bad=[r.offset for r in taken.refused],
        )
        held.refused += taken.refused
        heard = self._consents.consents.heard
        held.said += [s for s in taken.said if not heard(s["tenant_id"], s["subject"], s["message_id"])]
        metrics.WITHHELD.labels(family).inc(taken.withheld)
        for refused in taken.refused:
            metrics.DEAD_LETTERS.labels(family, refused.stage).inc()
        metrics.ROWS.labels(family).inc(len(batch))
        metrics.BATCH_SECONDS.labels(family).observe(time.perf_counter() - started)

    async def _hold_back(self, held: Held) -> None:
        """Ask for a checkpoint when enough rows wait, and wait for it when twice as many do."""
        if held.partition.waiting >= self._config.checkpoint_rows:
            self._full.set()
        while held.partition.waiting >= 2 * self._config.checkpoint_rows and self._holdings.holds(held):
            self._written.clear()
            await self._written.wait()


def attach(app: AppT, config: StreamConfig) -> MeasuresStage:
    """Declare the stage's table, topics, agents and tasks on an app that has not started."""
    stage = MeasuresStage(app, config)
    metrics.begin((DECODE, VALIDATE))

    def declare(family: str) -> None:
        async def consume(stream: Any) -> None:
            await stage.consume(family, stream)

        app.agent(batch_topic(app, FAMILIES[family].topic), name=f"measures-{family}")(consume)

    for family in FAMILIES:
        declare(family)

    app.task(stage.keep_checkpoints)

    return stage
