"""A point as it is published, with its trust stamp.

In: a window's state, its rows, the watermarks.
Out: one value for the topic `kpi-points`.
Never: a field that the record does not have, but `dims` and `held`, which travel with a pending point only.
"""

import math
from dataclasses import dataclass
from typing import Any

from schemas.kpis import Kpi, by_text
from schemas.money import RATES_VERSION
from schemas.windows import Window, window_bounds_ms
from stream_apps.compute.kpi.published import HELD, Series, State
from stream_apps.compute.kpi.watermarks import Watermarks

Point = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """What goes with a value: rows and late rows of the window; reason and cause of a revision."""

    rows: int
    late: int
    reason: str | None = None
    cause: str | None = None


@dataclass(frozen=True)
class Publisher:
    """Who publishes: its generation, the offset of `measures` that it has read, its clock, its reporting zone."""

    generation: int
    offset: int
    now_ms: int
    zone: str


def point_of(
    kpi: Kpi, window: Window, last: int, series: Series, state: State, told: Told, marks: Watermarks, by: Publisher
) -> Point:
    """The point of the window that ends with bucket `last`."""
    start_ms, end_ms = window_bounds_ms(window, last, by.zone)
    return {
        "tenant_id": series.key[0],
        "kpi": series.kpi,
        "window": series.window,
        "by": by_text(series.by, series.key[1:]),
        "window_start_ms": start_ms,
        "window_end_ms": end_ms,
        "value": None if math.isnan(state.value) else state.value,
        "revision": state.revision,
        "final": state.final,
        "reason": told.reason,
        "watermark_ms": marks.of(kpi.families),
        "completeness": marks.completeness(kpi.families, start_ms, end_ms),
        "late_ratio": told.late / told.rows if told.rows else 0.0,
        "rows": told.rows,
        "duplicates": marks.duplicates(kpi.families),
        "definition_version": state.version,
        "rates_version": RATES_VERSION,
        "published_at_ms": by.now_ms,
        "generation": by.generation,
        "source_offset": by.offset,
        "cause": told.cause,
        "dims": list(series.key),
        "held": state.status == HELD,
    }
