"""What every metric says about itself, however it is computed.

In: nothing.
Out: Metric, Alert, the units and the kinds.
Never: a way of computing; `schemas.kpis` has formulas of the stream, `schemas.cohorts` SQL over days.
"""

from dataclasses import dataclass

KPI, KRI, KR = "KPI", "KRI", "KR"
COUNT, RATIO, MONEY, USERS, MILLISECONDS = "count", "ratio", "minor units", "users", "ms"
SECONDS, SCORE, VIEWS, RATING = "s", "score", "views", "stars"
ROLLING = ("1m", "5m", "1h", "24h")


@dataclass(frozen=True)
class Alert:
    """When to wake somebody: `value > above` (or `< below`) for a time, in one window."""

    window: str
    for_: str
    severity: str
    above: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class Metric:
    """A figure that is published in windows, for the whole and for each combination of `by`.

    `definition` is a formula over measures or a SQL query, by the class of the metric; `version` grows when it changes. `good` is
    the direction that is welcome: "up", "down" or "flat". `families` are the event families that it is computed from. A ratio lies
    between 0 and 1, but where it is `open_ended`: a change, or a room that may hold more people than it has places.
    """

    name: str
    definition: str
    unit: str
    help: str
    kind: str = KPI
    windows: tuple[str, ...] = ROLLING
    by: tuple[tuple[str, ...], ...] = ()
    good: str = "up"
    owner: str = "product"
    alert: Alert | None = None
    version: int = 1
    families: tuple[str, ...] = ()
    open_ended: bool = False

    @property
    def series(self) -> tuple[tuple[str, ...], ...]:
        """The whole, then each combination of dimensions."""
        return ((), *self.by)
