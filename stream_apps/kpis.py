"""The KPI stage as a Faust agent: partials in, points out, exact through crashes and rebalances.

In: `measures`, one partition, so that one worker at a time owns the stage.
Out: `kpi-points`, the stage's changelog.
Never: a point before its checkpoint, or a committed offset of `measures` while a window that it changed is unpublished: that the
  offset has reached the topic's end therefore says that every changed window has its point.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from faust.types import AppT
from prometheus_client import Counter, Gauge, Histogram

from schemas.avro_batch import BatchDecoder
from schemas.partials import HEAD
from schemas.topics import TOPICS
from stream_apps.batch_transport import (
    Crash,
    RecordBatch,
    SeekBack,
    Truncated,
    batch_topic,
    is_current,
    log_start,
    loop_stalled,
    seek_back,
)
from stream_apps.batch_transport import OffsetGuard as Guard
from stream_apps.changelog import Changelog, Place, delete, loaded, put
from stream_apps.compute.kpi.points import Point
from stream_apps.compute.kpi.stage import KpiStage
from stream_apps.compute.records import Records
from stream_apps.config import StreamConfig
from stream_apps.exits import crashing
from stream_apps.failpoints import Failpoints
from stream_apps.kpi_gauges import registered
from stream_apps.measures import Gap
from stream_apps.publisher import Outgoing, Publisher
from stream_apps.registry import NotCached, Schemas
from stream_apps.writer import RecordWriter

log = structlog.get_logger(__name__)

TABLE = "kpis"
PLACE = Place("kpis", 0)
SOURCE, TARGET = TOPICS["measures"], TOPICS["kpi-points"]
#: Fields of a point's key.
POINT_KEY = ("tenant_id", "kpi", "window", "by")
QUIET_S = 1.2
#: Shares of a checkpoint's interval: within the first comes what a worker tells, and two begin at least the second apart.
SETTLING, APART = 0.2, 0.75

PARTIALS = Counter("footlights_kpi_partials_total", "Records of the measures topic read.", ["kind"])
POINTS = Counter("footlights_kpi_points_total", "Points published.", ["window", "final"])
REVISIONS = Counter("footlights_kpi_revisions_total", "Points that restate a published one.", ["kpi"])
EVALUATE_SECONDS = Histogram("footlights_kpi_evaluate_seconds", "Time to compute the points of one checkpoint.")
COLD = Counter(
    "footlights_kpi_cold_partials_total", "Records for buckets whose state was given up; a backfill restates them."
)
HELD_BACK = Counter(
    "footlights_kpi_held_changes_total",
    "Changes of windows that a backfill restated and that only another one can restate.",
)
EXPIRED = Counter(
    "footlights_kpi_expired_requests_total", "Backfill requests whose events the stream did not reach in time."
)
FOREIGN_PARTIALS = Counter(
    "footlights_kpi_foreign_partials_total", "Records of the measures topic that no worker wrote; they are left out."
)
#: What reading a record raises that no worker of ours wrote.
FOREIGN = (ValueError, KeyError, TypeError, IndexError, OverflowError)
GAUGES = registered()
STATE_BYTES = Gauge("footlights_kpi_state_bytes", "Stored records of the KPI stage.")


class Stalled(RuntimeError):
    """The process stood still for longer than its session, and another worker may own the stage."""


class KpisStage:
    """The agent and its checkpoints."""

    def __init__(self, app: AppT, config: StreamConfig) -> None:
        self._app, self._config = app, config
        self._schemas, self._publisher = Schemas(config.schema_registry), Publisher(config.bootstrap)
        self._changelog = Changelog(app, TABLE, 1)
        self._decoder = BatchDecoder(SOURCE.record.schema, self._schemas.by_id)
        self._pass = Failpoints(config.failpoint)
        self._generation = -1
        self._stage: KpiStage | None = None
        self._guard = Guard(enabled=config.transport.guard)
        self._batch: RecordBatch | None = None
        self._acks: deque[tuple[int, Callable[[], Awaitable[Any]]]] = deque()
        self._news_at, self._fresh, self._draining = 0.0, False, False
        self._news, self._began = asyncio.Event(), 0.0
        self._writer: RecordWriter | None = None
        self._lock = asyncio.Lock()

    async def _current_stage(self) -> KpiStage | None:
        """The state of this generation: after a rebalance the table is the truth again. None when another came meanwhile.

        It is made on a thread, so that heartbeats go on: the points of a thousand tenants take it seconds.
        """
        if self._held_stage() is None:
            generation = self._app.consumer_generation_id
            self._generation, self._batch, self._stage = generation, None, None
            self._acks.clear()
            GAUGES.clear()
            self._guard = Guard(enabled=self._config.transport.guard)
            items = self._changelog.items()  # now: a rebalance changes the table
            stage = await asyncio.to_thread(self._stage_of, items, generation)
            if self._holds(generation):
                self._stage = stage
                log.info("kpi_stage_ready", offset=stage.offset, republish=len(stage.recovered))
        return self._held_stage()

    def _held_stage(self) -> KpiStage | None:
        """The state, while its generation is the consumer's."""
        return self._stage if self._holds(self._generation) else None

    def _stage_of(self, items: list[tuple[bytes, bytes]], generation: int) -> KpiStage:
        return KpiStage(loaded(items).get(PLACE) or Records(), generation, self._config.reporting_zone)

    async def consume(self, stream: Any) -> None:
        """The body of the agent."""
        with crashing(TABLE):
            async for event in stream.noack().events():
                batch: RecordBatch = event.value
                if self._draining or not is_current(self._app, batch):
                    continue  # it comes again, to this worker or another
                async with self._lock:
                    if is_current(self._app, batch) and await self._admitted(batch) and await self._take(batch):
                        self._acks.append((batch.last_offset, partial(stream.ack, event)))

    async def _admitted(self, batch: RecordBatch) -> bool:
        stage = await self._current_stage()
        if stage is None:
            return False
        known = stage.read_offset if stage.read_offset >= 0 else stage.clean_offset
        expected = known + 1 if known >= 0 else None
        ask = expected is None or self._guard.asks_log_start
        decision = self._guard.judge(
            expected=expected,
            first=batch.first_offset,
            last=batch.last_offset,
            rows=batch.covered,
            log_start=await log_start(self._app, batch.tp) if ask else None,
        )
        match decision:
            case SeekBack(offset):
                log.warning("gap_seeks_back", topic=batch.tp.topic, offset=offset, got=batch.first_offset)
                await seek_back(self._app, batch.tp, offset)
                return False
            case Truncated(first, last):
                log.error("records_left_the_log_unread", topic=batch.tp.topic, first=first, last=last)
            case Crash(wanted, got):
                raise Gap(f"{batch.tp.topic}: {wanted} expected, {got} came")
        return True  # what was read before is read again: contributions replace, and their windows are looked at

    async def _take(self, batch: RecordBatch) -> bool:
        """Take the batch's records, unless a rebalance came since it was admitted: the table may be half recovered then."""
        while True:
            try:
                decoded = self._decoder(batch.values(), batch.offsets())
                break
            except NotCached as missing:
                await self._schemas.fetch(missing.schema_id)
        for foreign in decoded.bad:
            _pass_over(foreign.offset, foreign.error_code)
        stage, now_ms = self._held_stage(), int(time.time() * 1000)
        if stage is None or not is_current(self._app, batch):
            return False
        offsets = decoded.frame["__offset"].to_list()
        for offset, row in zip(offsets, decoded.frame.iter_rows(named=True), strict=True):
            try:
                stage.take(row, offset, now_ms)
            except FOREIGN as problem:
                _pass_over(offset, type(problem).__name__)
                continue
            PARTIALS.labels(row["kind"]).inc()
            if row["kind"] != HEAD:
                self._news_at = time.monotonic()
                self._news.set()
        stage.pass_to(batch.last_offset)
        COLD.inc(stage.contributions.cold)
        stage.contributions.cold = 0
        self._batch, self._fresh = batch, True
        return True

    # -- checkpoints

    async def keep_checkpoints(self) -> None:
        """Evaluate, store and publish once a second, soon after a worker has told what it counted, until cancelled."""
        with crashing("kpi checkpoints"):
            schema_id = await self._schemas.id_of(TARGET.subject, TARGET.record.text)
            self._writer = RecordWriter(TARGET, schema_id, *POINT_KEY)
            while True:
                await self._next()
                if not self._draining:
                    async with self._lock:
                        await self._write(self._writer)

    async def _next(self) -> None:
        """Wait for the next checkpoint."""
        every, began = self._config.checkpoint_s, self._began
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), every)
            await asyncio.sleep(max(SETTLING * every, began + APART * every - time.monotonic()))
        self._news.clear()
        self._began = time.monotonic()

    async def drain(self) -> None:
        """Take no more batches; store and publish what is due."""
        self._draining = True
        if self._writer is not None:
            async with self._lock:
                await self._write(self._writer)

    def _holds(self, generation: int) -> bool:
        return generation == self._app.consumer_generation_id == self._generation

    def _must_be_live(self) -> None:
        """A checkpoint that has begun is finished or dies with the process: what it took out of the stage exists nowhere else."""
        if loop_stalled(self._app):
            raise Stalled("the process stood still in the middle of a checkpoint")

    async def _write(self, writer: RecordWriter) -> None:
        batch = self._batch
        if batch is None or not is_current(self._app, batch) or loop_stalled(self._app):
            return
        stage, generation = self._held_stage(), self._generation
        if stage is None:
            return
        now_ms = int(time.time() * 1000)
        if stage.recovered:
            await self._publish(writer, stage.recovered)
            stage.recovered = []
        quiet = time.monotonic() - self._news_at >= QUIET_S
        with EVALUATE_SECONDS.time():  # on a thread, so that heartbeats go on; the lock keeps everybody else out
            due = await asyncio.to_thread(stage.evaluate, now_ms, quiet=quiet)
        HELD_BACK.inc(stage.held_back)
        EXPIRED.inc(stage.requests.expired)
        stage.held_back = stage.requests.expired = 0
        if due or self._fresh:
            await self._store_and_publish(stage, generation, writer, now_ms)
        while self._acks and self._acks[0][0] <= stage.clean_offset and self._holds(generation):
            await self._acks.popleft()[1]()

    async def _store_and_publish(self, stage: KpiStage, generation: int, writer: RecordWriter, now_ms: int) -> None:
        self._fresh = False
        done, topic = await asyncio.to_thread(stage.checkpoint, now_ms), self._changelog.topic
        written: list[tuple[Outgoing, int]] = []
        for step in (done.pending, done.state, [done.head]):
            self._must_be_live()
            outgoing = [put(PLACE, record, generation, topic) for record in step]
            written += zip(outgoing, await self._publisher.send(outgoing), strict=True)
        self._pass("kpis.checkpointed")
        await self._publish(writer, done.points)
        self._pass("kpis.published")
        gone = [delete(PLACE, key, old, topic) for key, old in done.superseded]
        for key, old in done.superseded:
            stage.records.drop(key, old)
        written += zip(gone, await self._publisher.send(gone), strict=True)
        if self._holds(generation):
            self._changelog.note(written)
        STATE_BYTES.set(stage.size_bytes)

    async def _publish(self, writer: RecordWriter, points: list[Point]) -> None:
        self._must_be_live()
        await self._publisher.send(await asyncio.to_thread(lambda: [writer(point) for point in points]))
        for point in points:
            GAUGES.put(point)
            POINTS.labels(point["window"], str(point["final"]).lower()).inc()
            if point["revision"]:
                REVISIONS.labels(point["kpi"]).inc()


def _pass_over(offset: int, reason: str) -> None:
    """Leave out a record of `measures` that no worker of ours wrote: a crash would meet it again at every start."""
    log.error("foreign_partial_passed_over", topic=SOURCE.name, offset=offset, reason=reason)
    FOREIGN_PARTIALS.inc()


def attach(app: AppT, config: StreamConfig) -> KpisStage:
    """Declare the stage's table, topic, agent and task on an app that has not started."""
    stage = KpisStage(app, config)

    async def consume(stream: Any) -> None:
        await stage.consume(stream)

    # Workers tell of many rows at once: there is nothing to gain from waiting for more.
    app.agent(batch_topic(app, SOURCE.name, max_wait_ms=0), name="kpis")(consume)
    app.task(stage.keep_checkpoints)
    return stage
