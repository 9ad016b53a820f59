"""Writes checkpoints: first what the KPI stage reads, then the changelog, then the heads; only then batches are acked.

In: held partitions with rows or refusals since their last checkpoint.
Out: records of `dead-letters`, `consents`, `measures` and the changelog; acks.
Never: an ack before everything that the batch led to is safe; two checkpoints at once.

`measures` may be ahead of the changelog, since a replay gives the same partials again and the KPI stage replaces by offset; it
is never behind, since a replay would skip the rows that it lacks. The head goes last: what lies at or below its offset is
wholly stored, so a replay begins behind it; the records of a torn checkpoint are ahead of it and skip rows one by one.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog
from aiokafka.errors import IllegalStateError
from faust.types import AppT
from faust.types.tuples import TP

from schemas.families import FAMILIES
from schemas.partials import Head
from schemas.windows import LEVEL_NAMES
from stream_apps import worker_metrics as metrics
from stream_apps.batch_transport import batch_consumer, loop_stalled
from stream_apps.changelog import Changelog, delete, put
from stream_apps.dead_letters import DeadLetters
from stream_apps.failpoints import Failpoints
from stream_apps.holdings import Ack, Held, Holdings
from stream_apps.partials_topic import Partials
from stream_apps.publisher import Outgoing, Publisher
from stream_apps.writer import RecordWriter

log = structlog.get_logger(__name__)


@dataclass
class Writes:
    """The records of one checkpoint in the three steps in which they become safe."""

    told: list[Outgoing] = field(default_factory=list)
    state: list[Outgoing] = field(default_factory=list)
    heads: list[Outgoing] = field(default_factory=list)


class Checkpoints:
    """Writes the checkpoints of one worker.

    Parameters
    ----------
    wall_ms
        Clock of the heads, epoch milliseconds.
    """

    def __init__(
        self,
        app: AppT,
        holdings: Holdings,
        changelog: Changelog,
        publisher: Publisher,
        partials: Partials,
        letters: DeadLetters,
        statements: RecordWriter,
        failpoints: Failpoints,
        wall_ms: Callable[[], int],
    ) -> None:
        self._app, self._holdings, self._changelog, self._publisher = app, holdings, changelog, publisher
        self._partials, self._letters, self._pass, self._wall_ms = partials, letters, failpoints, wall_ms
        self._statements = statements
        self._lock = asyncio.Lock()

    async def write(self, wanted: Callable[[Held], bool]) -> None:
        """Checkpoint the partitions that are wanted and have something to store.

        Raises
        ------
        PublishError
            The broker was away for too long; the states are useless then and the worker must end.
        """
        async with self._lock:
            due = [h for h in self._holdings.all() if h.acks and wanted(h) and self._current(h)]
            if not due or loop_stalled(self._app):
                return
            started = time.perf_counter()
            writes, acks, due = await self._writes_of(due)
            self._pass("measures.before_checkpoint")
            await self._publisher.send(writes.told)
            self._pass("measures.published")
            written = await self._send_state(writes.state)
            written += list(zip(writes.heads, await self._publisher.send(writes.heads), strict=True))
            self._pass("measures.flushed")
            if all(self._holdings.holds(h) for h in due):
                self._changelog.note(written)
            for h in due:
                self._holdings.stored(h)
            for ack in acks:
                await ack()
            metrics.CHECKPOINT_SECONDS.observe(time.perf_counter() - started)

    async def _send_state(self, state: list[Outgoing]) -> list[tuple[Outgoing, int]]:
        if self._pass.armed("measures.torn"):
            await self._publisher.send(state[: len(state) // 2])
            self._pass("measures.torn")
        return list(zip(state, await self._publisher.send(state), strict=True))

    def _current(self, held: Held) -> bool:
        return held.batch is not None and batch_consumer(self._app).is_current(held.batch)

    async def _writes_of(self, due: Iterable[Held]) -> tuple[Writes, list[Ack], list[Held]]:
        """What is to be written, what may be acknowledged then, and of which partitions: batches are taken between two of them."""
        writes, acks, done, now_ms = Writes(), list[Ack](), list[Held](), self._wall_ms()
        for held in due:
            if self._holdings.holds(held) and self._current(held):
                with metrics.CHECKPOINT_PAUSE_SECONDS.time():
                    self._add(writes, held, now_ms)
                acks += held.acks
                held.acks = []
                done.append(held)
            await asyncio.sleep(0)
        metrics.CHECKPOINT_RECORDS.labels("measures").inc(len(writes.told))
        metrics.CHECKPOINT_RECORDS.labels("changelog").inc(len(writes.state) + len(writes.heads))
        return writes, acks, done

    def _add(self, writes: Writes, held: Held, now_ms: int) -> None:
        place, partition, generation, topic = held.place, held.partition, held.generation, self._changelog.topic
        at_end = self.at_end(held)
        done = partition.flush(generation, self._committed(held), at_end=at_end, read_at_ms=now_ms)
        source = FAMILIES[place.family].topic
        writes.told += [self._letters.outgoing(source, place.partition, r, now_ms) for r in held.refused]
        writes.told += [self._statements(said) for said in held.said]
        held.refused, held.said = [], []
        writes.told += [self._partials.record(place, r, generation) for r in done.records]
        writes.told.append(self._partials.head(place, done.head))
        records, superseded = partition.records, []
        for record in (*done.records, *done.ids):
            superseded += records.put(generation, record)
            writes.state.append(put(place, record, generation, topic))
        superseded += [(key, g) for key in done.drops for g in records.generations(key)]
        superseded += [*done.swept, *records.put(generation, done.stored_head)]
        writes.heads.append(put(place, done.stored_head, generation, topic))
        for key, writer in superseded:
            records.drop(key, writer)
            writes.heads.append(delete(place, key, writer, topic))
        held.flushed_at = held.told_at = time.monotonic()
        held.told_at_end = at_end
        metrics.STATE_BYTES.labels(place.family, place.partition).set(partition.size_bytes)
        for level, rows in done.cold.items():
            if rows:
                metrics.COLD_ROWS.labels(place.family, LEVEL_NAMES[level]).inc(rows)
                log.warning("rows_for_buckets_given_up", family=place.family, level=LEVEL_NAMES[level], rows=rows)

    def at_end(self, held: Held) -> bool:
        """Whether the partition's log held nothing beyond the state when it was last asked."""
        end = self._end(held)
        return end is not None and held.partition.offset + 1 >= end

    def _end(self, held: Held) -> int | None:
        """Offset behind the last record of the log, as the last fetch said; None before the first."""
        try:
            return batch_consumer(self._app).highwater(_source(held))
        except IllegalStateError:  # a rebalance took the partition away a moment ago
            return None

    def _committed(self, held: Held) -> int:
        return batch_consumer(self._app)._committed_offset.get(_source(held)) or 0

    async def tell_heads(self, every_s: float, now: float) -> None:
        """Tell where partitions stand that are idle: at once when that changed, else every `every_s` seconds."""
        async with self._lock:
            now_ms, out = self._wall_ms(), list[Outgoing]()
            for held in self._holdings.assigned(now):
                at_end = self.at_end(held)
                self._gauges(held)
                if held.acks or (at_end == held.told_at_end and now - held.told_at < every_s):
                    continue
                held.told_at_end, held.told_at = at_end, now
                head: Head = held.partition.head(held.generation, at_end=at_end, read_at_ms=now_ms)
                out.append(self._partials.head(held.place, head))
            if out and not loop_stalled(self._app):
                await self._publisher.send(out)

    def _gauges(self, held: Held) -> None:
        labels = held.place.family, held.place.partition
        end = self._end(held)
        if end is not None:
            metrics.LAG.labels(*labels).set(max(0, end - held.partition.offset - 1))
        if held.partition.max_event_ms is not None:
            metrics.NEWEST_EVENT.labels(*labels).set(held.partition.max_event_ms / 1000)


def _source(held: Held) -> TP:
    return TP(FAMILIES[held.place.family].topic, held.place.partition)
