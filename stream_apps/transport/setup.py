"""What an app declared for its transport.

In: a configuration and topic names, before the app starts. Out: the same for the consumer that the app creates.
Never: shared between apps.
"""

from dataclasses import dataclass, field
from typing import cast
from weakref import WeakKeyDictionary

from faust.channels import Channel
from faust.types import AppT, TopicT

from stream_apps.transport.batch import BatchSchema, RecordBatch
from stream_apps.transport.config import TransportConfig


@dataclass(frozen=True)
class Merging:
    """Up to how many rows, and for how many seconds, the runs of a partition are merged."""

    min_rows: int
    max_wait_s: float


@dataclass
class Setup:
    """Configuration and batch topics of one app."""

    config: TransportConfig = field(default_factory=TransportConfig)
    merging: dict[str, Merging] = field(default_factory=dict)


_SETUPS: WeakKeyDictionary[AppT, Setup] = WeakKeyDictionary()


def setup_of(app: AppT) -> Setup:
    """Return the app's setup, the default one at first."""
    return _SETUPS.setdefault(app, Setup())


def configure(app: AppT, config: TransportConfig) -> None:
    """Set the app's configuration; call it before the first `batch_topic`."""
    setup_of(app).config = config


def batch_topic(
    app: AppT,
    *names: str,
    maxsize: int = 16,
    min_rows: int | None = None,
    max_wait_ms: int | None = None,
    acks: bool = True,
) -> TopicT:
    """Declare topics that reach the agent as one RecordBatch per message.

    Delivery is at least once and in order within a partition; batches of a partition are contiguous unless
    `OffsetGuard` says otherwise.

    Parameters
    ----------
    maxsize
        Batches that the agent's queue takes; from four fifths of it on the partition is not fetched any more.
    min_rows, max_wait_ms
        Override the configuration's merging for these topics.
    acks
        False for changelogs, whose offsets are never committed.
    """
    setup = setup_of(app)
    merging = Merging(
        min_rows=setup.config.min_rows if min_rows is None else min_rows,
        max_wait_s=(setup.config.max_wait_ms if max_wait_ms is None else max_wait_ms) / 1000,
    )
    setup.merging.update(dict.fromkeys(names, merging))
    topic = app.topic(*names, schema=BatchSchema(), acks=acks, allow_empty=True, internal=not acks)
    cast(Channel[RecordBatch], topic).maxsize = maxsize  # App.topic takes a maxsize and drops it
    return topic
