"""A Faust transport that hands an agent whole batches of a partition and loses no record in a rebalance.

In: Kafka topics declared with `batch_topic`. Out: RecordBatch values in the agent's stream, offsets committed behind acks.
Never: a gap, unless the agent's `OffsetGuard` sees it; a send after the process stood still longer than its session.

    app = faust.App(**faust_settings(bootstrap, "measures", datadir))
    configure(app, TransportConfig(min_rows=2_000, max_wait_ms=200))
    topic = batch_topic(app, "events.commerce")

    @app.agent(topic)
    async def measures(stream):
        async for event in stream.noack().events():
            batch = event.value                              # RecordBatch: tp, records, highwater, values(), offsets(), …
            if not is_current(app, batch):
                continue                                     # a rebalance or a seek voided it: it comes again
            match guard.judge(expected=next_offset, first=batch.first_offset, last=batch.last_offset, rows=len(batch)):
                case SeekBack(offset):
                    await seek_back(app, batch.tp, offset)
                    continue
            …                                                # compute; at the checkpoint: is_current(…) again, flush, then
            await stream.ack(event)

Membership, assignor, tables, recovery, flow control, commits and sensors stay Faust's; only changelog records of tables of bytes go
into their table by runs. A `Watchdog` inside the consumer ends
the process (exit code 75) when recovery or reading makes no progress, or when the process was frozen; ask `loop_stalled(app)`
before each flush as well.
"""

from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import AppT
from faust.types.tuples import TP

from stream_apps import seams
from stream_apps.transport.batch import Record, RecordBatch
from stream_apps.transport.changelogs import ChangelogError, changelog_topic, ensure_changelogs
from stream_apps.transport.config import EXIT_NO_PROGRESS, SCHEME, TransportConfig, faust_settings, quiet_loggers
from stream_apps.transport.consumer import BatchConsumer
from stream_apps.transport.guard import Continue, Crash, Decision, OffsetGuard, SeekBack, SkipPrefix, Truncated
from stream_apps.transport.setup import batch_topic, configure, setup_of

__all__ = [
    "EXIT_NO_PROGRESS",
    "SCHEME",
    "ChangelogError",
    "Continue",
    "Crash",
    "Decision",
    "OffsetGuard",
    "Record",
    "RecordBatch",
    "SeekBack",
    "SkipPrefix",
    "Transport",
    "TransportConfig",
    "Truncated",
    "batch_consumer",
    "batch_topic",
    "changelog_topic",
    "configure",
    "ensure_changelogs",
    "faust_settings",
    "is_current",
    "log_start",
    "loop_stalled",
    "quiet_loggers",
    "seek_back",
    "transport_config",
]


class Transport(driver.Transport):
    """Faust's aiokafka transport with the batch consumer."""

    Consumer = BatchConsumer


def batch_consumer(app: AppT) -> BatchConsumer:
    """Return the app's consumer; TypeError when its broker address has another scheme."""
    consumer = app.consumer
    if not isinstance(consumer, BatchConsumer):
        raise TypeError(f"the app's broker address must begin with {SCHEME}://")
    return consumer


def transport_config(app: AppT) -> TransportConfig:
    """Return the app's configuration."""
    return setup_of(app).config


def is_current(app: AppT, batch: RecordBatch) -> bool:
    """Whether what is computed from the batch may still be written.

    False from the moment a rebalance takes the partitions away, or a seek moves this one, for ever. Ask when the batch
    arrives and again before each flush; a batch that is not current comes again, to this worker or another.
    """
    return batch_consumer(app).is_current(batch)


def loop_stalled(app: AppT) -> bool:
    """Whether the process has just stood still for longer than its session: send nothing, the watchdog ends it at once."""
    return batch_consumer(app).watchdog.freeze.frozen()


async def seek_back(app: AppT, tp: TP, offset: int) -> None:
    """Read the partition again from `offset`. Batches of it that are under way are no longer current."""
    await batch_consumer(app).seek_back(tp, offset)


async def log_start(app: AppT, tp: TP) -> int:
    """Return the first offset that the partition's log holds now."""
    offsets = await batch_consumer(app).earliest_offsets(tp)
    return offsets[tp]


seams.check()
TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
