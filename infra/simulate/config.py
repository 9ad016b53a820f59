"""What a simulated run is asked for.

In: options.
Out: SimulateConfig and the times that follow from it.
Never: the clock; the end of a run is passed in.
"""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_RATE = 100.0


@dataclass(frozen=True)
class Script:
    """What alone decides the events: two equal scripts give equal events, relative to the start.

    Parameters
    ----------
    events
        Records in the run, repeats included.
    seed
        Seed of every draw.
    span_ms
        Event time from the first moment to the last.
    start_ms
        Epoch milliseconds of the first moment.
    incidents
        Whether the scripted incidents take place.
    late_share, repeat_share
        Share of records that arrive seconds to hours late; share of records that are sent twice.
    """

    events: int
    seed: int
    span_ms: int
    start_ms: int
    incidents: bool = False
    late_share: float = 0.01
    repeat_share: float = 0.0


@dataclass(frozen=True)
class SimulateConfig:
    """A run: `rate` in records a second of wall time (None: as fast as possible), `speed` in event seconds a wall second.

    `start_ms` None means: so that the run ends now. `repeat_share` is the share of records that are sent a second time with
    the same id; they are among the `events` and count once.
    """

    events: int
    seed: int
    rate: float | None = None
    speed: float = 1.0
    start_ms: int | None = None
    incidents: bool = False
    truth: Path | None = None
    tenant: str = "default"
    source: str = "simulate"
    late_share: float = 0.01
    repeat_share: float = 0.0

    def __post_init__(self) -> None:
        if self.events < 1:
            raise ValueError("--events must be at least 1")
        if self.rate is not None and self.rate <= 0:
            raise ValueError("--rate must be above 0")
        if self.speed <= 0:
            raise ValueError("--speed must be above 0")
        if not (0 <= self.late_share <= 0.5 and 0 <= self.repeat_share <= 0.5):
            raise ValueError("the shares of late and repeated records must lie in 0-0.5")

    @property
    def wall_s(self) -> float:
        """How long the run would take at its rate, or at the usual one."""
        return self.events / (self.rate or DEFAULT_RATE)

    @property
    def span_ms(self) -> int:
        """Event time of the whole run."""
        return max(1, round(self.wall_s * self.speed * 1_000))

    def script(self, now_ms: int) -> Script:
        """The script when the run begins at `now_ms`: at its end, event time has reached the wall clock, never before."""
        start = self.start_ms
        if start is None:
            wall_ms = round(self.wall_s * 1_000) if self.rate is not None else 0
            start = now_ms + min(0, wall_ms - self.span_ms)
        return Script(
            self.events,
            self.seed,
            self.span_ms,
            start,
            self.incidents,
            self.late_share,
            self.repeat_share,
        )


@dataclass(frozen=True)
class SimulateResult:
    """What a run did: records accepted by the SDK, acknowledged by Kafka, not acknowledged; times in epoch ms and seconds."""

    events: int
    acked: int
    failed: int
    start_ms: int
    end_ms: int
    seconds: float
    truth: dict[str, object]

    @property
    def exit_code(self) -> int:
        """0 when every record was acknowledged."""
        return 0 if self.failed == 0 and self.acked == self.events else 1
