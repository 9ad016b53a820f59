"""What a sink needs to know, as plain values.

In: nothing; the composition root fills it from its settings.
Out: `SinkConfig`.
Never: an environment variable is read here.
"""

from dataclasses import dataclass

from schemas.topics import TOPICS

POINTS = "kpi-points"
#: Topics that end in a table. The partial aggregates of `measures` stay in Kafka, and so does who refused.
TOPICS_TO_STORE: tuple[str, ...] = tuple(name for name in TOPICS if name not in ("measures", "consents"))


@dataclass(frozen=True)
class SinkConfig:
    """Configuration of one sink process; all processes of one `group` share the partitions.

    Parameters
    ----------
    bootstrap
        Kafka's `host:port`, several separated by commas.
    schema_registry, clickhouse_url
        URLs. The store's user must read and insert.
    flush_rows, flush_bytes, flush_s
        When a partition reaches any of them, bytes as Kafka stores them, batches of all partitions are cut. No batch has more rows,
        and after so many bytes of payloads it ends with the answer to a fetch that it is at.
    points_s
        Points wait no longer than this, and their batches are cut alone: somebody looks at them.
    store_text
        Store columns of the privacy class `text`; otherwise they are null.
    metrics_port
        Port of the Prometheus metrics on loopback; None for none.
    session_timeout_s
        Kafka gives the partitions of a silent process to another after this time.
    rebuild
        Number of the deliberate rebuild; tokens of an earlier one do not count.
    dedup_ids
        Ids held in memory at most, 8 bytes each and up to twice that for a moment.
    failpoint
        Tests only: `name` or `name:n`; the process kills itself when it comes to that place for the n-th time.
    """

    bootstrap: str
    schema_registry: str
    clickhouse_url: str
    user: str = "default"
    password: str = ""
    group: str = "footlights-sink"
    flush_rows: int = 50_000
    flush_bytes: int = 32_000_000
    flush_s: float = 1.0
    points_s: float = 0.2
    store_text: bool = False
    metrics_port: int | None = None
    session_timeout_s: float = 10.0
    topics: tuple[str, ...] = TOPICS_TO_STORE
    rebuild: int = 0
    dedup_ids: int = 20_000_000
    failpoint: str = ""

    def __post_init__(self) -> None:
        waits = (self.flush_s, self.points_s, self.session_timeout_s)
        if min(self.flush_rows, self.flush_bytes, self.dedup_ids, *waits) <= 0:
            raise ValueError(
                "flush_rows, flush_bytes, flush_s, points_s, session_timeout_s and dedup_ids must be positive"
            )
        if unknown := set(self.topics) - set(TOPICS_TO_STORE):
            raise ValueError(f"no table for the topic {sorted(unknown)[0]!r}")
