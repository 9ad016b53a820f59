"""What a stream worker needs to know, as plain values.

In: nothing; the composition root fills it from its settings.
Out: `StreamConfig`.
Never: an environment variable is read here.
"""

from dataclasses import dataclass, field
from pathlib import Path

from stream_apps.transport.config import TransportConfig

#: Exit codes. A supervisor restarts the worker after any of them but EXIT_BREAKER and schemas.topics.EXIT_TOPICS.
EXIT_CRASH = 70
EXIT_BREAKER = 78

STAGES = ("measures", "kpis")


@dataclass(frozen=True)
class StreamConfig:
    """Configuration of one worker; all workers of one `app_id` share its partitions.

    Parameters
    ----------
    bootstrap
        Kafka's `host:port`, several separated by commas.
    schema_registry
        URL of the schema registry.
    data_dir
        Folder of the worker's own files.
    dead_letter_key
        32 bytes; encrypts the payloads of dead letters.
    app_id
        Consumer group and prefix of the changelog topics.
    checkpoint_s, checkpoint_rows
        A checkpoint is written when either is reached.
    metrics_port
        Port of the Prometheus metrics on loopback; None for none.
    resume_dead_letters
        Forget the dead-letter breaker's counters once, at start.
    offset_rule
        Control tests only: False counts replayed rows again.
    failpoint
        Tests only: `name` or `name:n`; the process kills itself when it comes to that place for the n-th time.
    clickhouse_url, clickhouse_user, clickhouse_password
        The store that cohort metrics and sessions are worked out from; empty for none, and then there are neither.
    cohorts_s
        Seconds between two of their rounds.
    """

    bootstrap: str
    schema_registry: str
    data_dir: Path
    dead_letter_key: bytes
    app_id: str = "footlights-stream"
    stages: tuple[str, ...] = STAGES
    checkpoint_s: float = 1.0
    checkpoint_rows: int = 30_000
    reporting_zone: str = "UTC"
    resume_dead_letters: bool = False
    metrics_port: int | None = None
    session_timeout_s: float = 6.0
    transport: TransportConfig = field(default_factory=TransportConfig)
    offset_rule: bool = True
    failpoint: str = ""
    clickhouse_url: str = ""
    clickhouse_user: str = "default"
    clickhouse_password: str = ""
    cohorts_s: float = 60.0

    def __post_init__(self) -> None:
        if len(self.dead_letter_key) != 32:
            raise ValueError("dead_letter_key must be 32 bytes")
        if unknown := set(self.stages) - set(STAGES):
            raise ValueError(f"no stage {sorted(unknown)[0]!r}; there are {', '.join(STAGES)}")
        if self.checkpoint_s <= 0 or self.checkpoint_rows <= 0:
            raise ValueError("a checkpoint interval must be positive")
