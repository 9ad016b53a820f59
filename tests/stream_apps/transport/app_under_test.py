"""A worker that counts: per partition the number of records and the offset up to which they are counted.

In: one JSON argument: addresses, names and the options that `CountingCluster` passes on.
Out: a table with one record per partition, `{"offset", "count", "truncated"}`; with `trace`, one line per batch.
Never: a count of a record that the offset does not cover.
"""

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import faust
import structlog

from stream_apps.batch_transport import (
    Crash,
    OffsetGuard,
    RecordBatch,
    SeekBack,
    SkipPrefix,
    TransportConfig,
    Truncated,
    batch_consumer,
    batch_topic,
    configure,
    faust_settings,
    is_current,
    log_start,
    loop_stalled,
    seek_back,
    transport_config,
)
from tests.stream_apps.transport.failpoints import FAILPOINTS

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
log = structlog.get_logger("app_under_test")


@dataclass
class PartitionState:
    """Counts of one partition and the events that are not behind a checkpoint yet."""

    guard: OffsetGuard
    offset: int = -1
    count: int = 0
    truncated: int = 0
    waiting: list[Any] = field(default_factory=list)
    saved: float = field(default_factory=monotonic)

    @property
    def expected(self) -> int | None:
        return self.offset + 1 if self.offset >= 0 else None


class Counter:
    """The agent's logic, apart from the stream."""

    def __init__(self, app: faust.App, table: Any, options: dict[str, Any]) -> None:
        self.app, self.table, self.options = app, table, options
        self.parts: dict[int, PartitionState] = {}
        self.generation: int | None = None

    def state_of(self, batch: RecordBatch) -> PartitionState:
        if batch.generation != self.generation:  # after a rebalance the table is the truth again
            self.generation = batch.generation
            self.parts.clear()
        partition = batch.tp.partition
        if partition not in self.parts:
            saved = self.table.get(str(partition)) or {}
            self.parts[partition] = PartitionState(OffsetGuard(enabled=transport_config(self.app).guard), **saved)
        return self.parts[partition]

    async def admit(self, state: PartitionState, batch: RecordBatch) -> int | None:
        """Return how many leading rows to skip; None when the batch must not be used."""
        ask = state.expected is None or state.guard.asks_log_start
        decision = state.guard.judge(
            expected=state.expected,
            first=batch.first_offset,
            last=batch.last_offset,
            rows=batch.covered,
            log_start=await log_start(self.app, batch.tp) if ask else None,
        )
        match decision:
            case SkipPrefix(rows):
                return rows if self.options.get("skip", True) else 0
            case SeekBack(offset):
                log.info("seek_back", partition=batch.tp.partition, offset=offset, got=batch.first_offset)
                await seek_back(self.app, batch.tp, offset)
                return None
            case Truncated(first, last):
                state.truncated += last - first + 1
                log.info("truncated", partition=batch.tp.partition, first=first, last=last)
            case Crash(expected, got):
                raise RuntimeError(f"gap in {batch.tp}: {expected} expected, {got} came")
        return 0

    async def take(self, stream: Any, event: Any) -> None:
        batch: RecordBatch = event.value
        if not is_current(self.app, batch):
            return
        if self.options.get("trace"):
            self.trace(batch)
        state = self.state_of(batch)
        skip = await self.admit(state, batch)
        if skip is None or not is_current(self.app, batch):
            return
        state.count += len(batch) - skip
        state.offset = max(state.offset, batch.last_offset)
        state.waiting.append(event)
        if self.options.get("slow_s"):
            await asyncio.sleep(self.options["slow_s"])
        if monotonic() - state.saved > self.options["checkpoint_s"] or batch.at_end:
            await self.checkpoint(stream, batch, state)

    def trace(self, batch: RecordBatch) -> None:
        ahead = batch_consumer(self.app).delivered.get(batch.tp, 0) - batch.last_offset - 1
        fields = {"partition": batch.tp.partition, "first": batch.first_offset, "last": batch.last_offset}
        print("TRACE", json.dumps({**fields, "rows": len(batch), "ahead": ahead}), file=sys.stderr, flush=True)

    async def checkpoint(self, stream: Any, batch: RecordBatch, state: PartitionState) -> None:
        if not is_current(self.app, batch) or loop_stalled(self.app):
            return
        self.table[str(batch.tp.partition)] = {
            "offset": state.offset,
            "count": state.count,
            "truncated": state.truncated,
        }
        await self.app.producer.flush()
        if not self.options.get("ack", True):
            return
        for event in state.waiting:
            await stream.ack(event)
        state.waiting.clear()
        state.saved = monotonic()


def build(options: dict[str, Any]) -> faust.App:
    """Build the app; nothing is connected yet."""
    settings = faust_settings(options["bootstrap"], options["app_id"], Path(options["datadir"]))
    app = faust.App(**{**settings, **options.get("faust", {})})
    configure(app, TransportConfig(**options.get("transport", {})))
    topic = batch_topic(app, options["topic"], maxsize=options.get("maxsize", 8))
    table = app.Table("state", key_type=str, value_type=None, partitions=options["partitions"])
    counter = Counter(app, table, options)

    @app.agent(topic)
    async def count(stream: Any) -> None:
        async for event in stream.noack().events():
            await counter.take(stream, event)

    return app


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    if "failpoint" in arguments:
        FAILPOINTS[arguments["failpoint"]]()
    worker = faust.Worker(build(arguments), loglevel=arguments.get("loglevel", "WARNING"), redirect_stdouts=False)
    worker.execute_from_commandline()
