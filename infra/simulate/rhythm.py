"""How much happens when: day and week, on-sales and floods, as the time of the k-th record.

In: number of records, span, bursts.
Out: Rhythm, which turns a record's place in the run into its time.
Never: the calendar: the script's clock begins on a Monday at midnight, wherever the run starts, so that a run is the same
  wherever it starts. Start it on a Monday at midnight and its rhythm is the calendar's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
#: Relative traffic by hour: quiet at four in the morning, busiest at eight in the evening.
_BY_HOUR = np.array(
    [.45, .30, .22, .18, .16, .18, .28, .45, .65, .80, .90, 1.0, 1.1, 1.05, 1.0, 1.0, 1.05, 1.2, 1.45, 1.65, 1.7, 1.5, 1.1, .7]
)  # fmt: skip
_BY_DAY = np.array([0.85, 0.85, 0.9, 1.0, 1.2, 1.3, 1.1])
_MAX_GRID = 50_000


@dataclass(frozen=True)
class Burst:
    """Extra traffic from `begin` (share of the span): `height` times the usual, halved every `half_life` (share of the span)."""

    begin: float
    height: float
    half_life: float


@dataclass(frozen=True)
class Flood:
    """Traffic times `factor` between two shares of the span."""

    begin: float
    end: float
    factor: float


class Rhythm:
    """Times of the records of a run."""

    def __init__(
        self, records: int, span_ms: int, bursts: tuple[Burst, ...] = (), floods: tuple[Flood, ...] = ()
    ) -> None:
        self._records, self._span = records, span_ms
        points = int(min(_MAX_GRID, max(2_000, span_ms // 60_000)))
        self._grid = np.linspace(0.0, 1.0, points + 1)
        middle = (self._grid[1:] + self._grid[:-1]) / 2
        weight = usual(middle * span_ms)
        for burst in bursts:
            age = np.maximum(middle - burst.begin, 0.0) / burst.half_life
            weight = weight * np.where(middle >= burst.begin, 1 + burst.height * np.exp2(-age), 1.0)
        for flood in floods:
            weight = weight * np.where((middle >= flood.begin) & (middle < flood.end), flood.factor, 1.0)
        total = np.concatenate([[0.0], np.cumsum(weight)])
        self._cumulative = total / total[-1]

    def times(self, places: NDArray[np.float64]) -> list[int]:
        """Milliseconds from the start of the records at these places (0 ≤ place < records), as sorted as the places."""
        share = np.interp(places / self._records, self._cumulative, self._grid)
        found: list[int] = np.minimum((share * self._span).astype(np.int64), self._span - 1).tolist()
        return found


def usual(ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative traffic at milliseconds from a Monday at midnight, without bursts; joined up between the hours."""
    hour = ms / _HOUR_MS - 0.5
    low = np.floor(hour).astype(np.int64)
    part = hour - low
    by_hour = _BY_HOUR[low % 24] * (1 - part) + _BY_HOUR[(low + 1) % 24] * part
    day: NDArray[np.float64] = _BY_DAY[(ms / _DAY_MS).astype(np.int64) % 7]
    return by_hour * day
