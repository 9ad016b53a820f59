"""What a worker tells Prometheus about itself.

In: numbers from the stages.
Out: metrics in the default registry.
Never: a label with a value of a record.
"""

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

from schemas.families import FAMILIES
from schemas.topics import TOPICS
from schemas.windows import LEVEL_NAMES

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

ROWS = Counter("footlights_stream_rows_total", "Records read, bad ones and repeats included.", ["family"])
BATCH_SECONDS = Histogram(
    "footlights_stream_batch_seconds", "Time to decode, judge and stage a batch.", ["family"], buckets=_SECONDS
)
CHECKPOINT_SECONDS = Histogram(
    "footlights_stream_checkpoint_seconds", "Time of a checkpoint, acknowledgements included.", buckets=_SECONDS
)
CHECKPOINT_PAUSE_SECONDS = Histogram(
    "footlights_stream_checkpoint_pause_seconds",
    "Time in which the checkpoint of a partition lets its worker take no batch.",
    buckets=_SECONDS,
)
CHECKPOINT_RECORDS = Counter("footlights_stream_checkpoint_records_total", "Records written by checkpoints.", ["topic"])
DEAD_LETTERS = Counter("footlights_stream_dead_letters_total", "Records refused.", ["family", "stage"])
WITHHELD = Counter("footlights_stream_withheld_total", "Records of people who opted out, not counted.", ["family"])
TRUNCATED = Counter(
    "footlights_stream_truncated_total", "Records that left the log before they were read.", ["family", "partition"]
)
STATE_BYTES = Gauge("footlights_stream_state_bytes", "Hot buckets, ids and stored records.", ["family", "partition"])
LAG = Gauge("footlights_stream_lag_records", "Records of the log that are not read yet.", ["family", "partition"])
NEWEST_EVENT = Gauge(
    "footlights_stream_newest_event_timestamp_seconds", "Greatest accepted event time.", ["family", "partition"]
)
REBALANCES = Counter("footlights_stream_rebalances_total", "Consumer generations that this worker has been part of.")
COLD_ROWS = Counter(
    "footlights_stream_cold_rows_total",
    "Rows for buckets whose state was given up: stored, but in the stream's figures only after a backfill.",
    ["family", "level"],
)


def begin(stages: Iterable[str]) -> None:
    """Show every counter with all its labels at 0: one that appears with its first increment has not grown for Prometheus.

    Parameters
    ----------
    stages
        Where a record may be refused.
    """
    for family in FAMILIES.values():
        ROWS.labels(family.name)
        WITHHELD.labels(family.name)
        for stage in stages:
            DEAD_LETTERS.labels(family.name, stage)
        for partition in range(TOPICS[family.topic].partitions):
            TRUNCATED.labels(family.name, partition)
        for level in LEVEL_NAMES.values():
            COLD_ROWS.labels(family.name, level)
