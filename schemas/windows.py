"""Windows and the buckets that they are made of, in event time.

In: epoch milliseconds and bucket numbers.
Out: buckets, window bounds.
Never: the clock.

A bucket is numbered from the epoch at its level: minutes and hours of UTC, calendar days of the reporting zone. A window is
named by its last bucket; it covers that one and the `length - 1` before it.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
MINUTE, HOUR, DAY = 0, 1, 2
LEVELS = (MINUTE, HOUR, DAY)
LEVEL_NAMES = {MINUTE: "minute", HOUR: "hour", DAY: "day"}
STEP_MS = {MINUTE: 60_000, HOUR: 3_600_000}
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Window:
    """A kind of window: `length` buckets of one level; it ends on multiples of `step` buckets."""

    name: str
    level: int
    length: int
    step: int = 1

    def reach(self, newest: int) -> int:
        """Last bucket of the newest window that exists when `newest` is the greatest bucket with a row.

        Examples
        --------
        >>> WINDOWS["1h"].reach(61), WINDOWS["1h"].reach(64), WINDOWS["5m"].reach(61)
        (64, 64, 61)
        """
        return newest + (-(newest + 1)) % self.step

    def aligned(self, lasts: Array) -> Array:
        """Those of these last buckets that a window of this kind can end with."""
        out: Array = lasts[(lasts + 1) % self.step == 0] if self.step > 1 else lasts
        return out


WINDOWS: dict[str, Window] = {
    w.name: w
    for w in (
        Window("1m", MINUTE, 1),
        Window("5m", MINUTE, 5),
        Window("1h", MINUTE, 60, 5),
        Window("24h", HOUR, 24),
        Window("1d", DAY, 1),
        Window("7d", DAY, 7),
        Window("30d", DAY, 30),
    )
}


def bucket_of(ms: int, level: int, zone: str = "UTC") -> int:
    """Number of the bucket that holds an instant.

    Examples
    --------
    >>> bucket_of(90_000, MINUTE), bucket_of(86_400_000, DAY), bucket_of(0, DAY, "America/New_York")
    (1, 1, -1)
    """
    if level != DAY:
        return ms // STEP_MS[level]
    return _day_of_minute(ms // 60_000, zone)


@lru_cache(maxsize=65_536)
def _day_of_minute(minute: int, zone: str) -> int:
    if zone == "UTC":
        return minute // 1_440
    return (datetime.fromtimestamp(minute * 60, UTC).astimezone(ZoneInfo(zone)).date() - _EPOCH).days


@lru_cache(maxsize=65_536)
def bucket_start_ms(bucket: int, level: int, zone: str = "UTC") -> int:
    """First instant of a bucket, epoch milliseconds.

    Examples
    --------
    >>> bucket_start_ms(1, HOUR), bucket_start_ms(0, DAY, "America/New_York")
    (3600000, 18000000)
    """
    if level != DAY:
        return bucket * STEP_MS[level]
    day = _EPOCH + timedelta(days=bucket)
    return int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp()) * 1000


def window_bounds_ms(window: Window, last_bucket: int, zone: str = "UTC") -> tuple[int, int]:
    """Start (inclusive) and end (exclusive) of the window whose last bucket is given, epoch milliseconds."""
    return (
        bucket_start_ms(last_bucket - window.length + 1, window.level, zone),
        bucket_start_ms(last_bucket + 1, window.level, zone),
    )


def bucket_sql(level: int, zone: str = "UTC") -> str:
    """ClickHouse expression of a row's bucket number."""
    if level != DAY:
        return f"intDiv(occurred_at_ms, {STEP_MS[level]})"
    return f"toInt64(toDate(toDateTime(intDiv(occurred_at_ms, 1000), '{ZoneInfo(zone).key}')))"
