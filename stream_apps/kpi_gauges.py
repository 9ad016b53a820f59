"""The newest value of each KPI as Prometheus gauges.

In: points as they are published.
Out: `footlights_kpi` with its trust stamp.
Never: the last good value of an outage: a gauge is absent once its newest window ended more than two steps ago.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from schemas.windows import DAY, STEP_MS, WINDOWS, Window

LABELS = ("tenant", "kpi", "window", "by")
#: Series of one KPI and window; beyond, points are stored but have no gauge.
MOST_SERIES = 500
DAY_MS = 86_400_000

Place = tuple[str, str, str, str]


def step_ms(window: Window) -> int:
    """Time from one window of a kind to the next.

    Examples
    --------
    >>> step_ms(WINDOWS["5m"]), step_ms(WINDOWS["1h"])
    (60000, 300000)
    """
    return DAY_MS if window.level == DAY else STEP_MS[window.level] * window.step


class KpiGauges(Collector):
    """Holds the newest point of each series; scraped from another thread than it is fed from.

    Parameters
    ----------
    now_ms
        Clock of the scrape, epoch milliseconds.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._newest: dict[Place, Mapping[str, Any]] = {}
        self._series: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def put(self, point: Mapping[str, Any]) -> None:
        """Take a published point; one of an older window than is held changes nothing."""
        place = (point["tenant_id"], point["kpi"], point["window"], point["by"])
        with self._lock:
            held = self._newest.get(place)
            if held is not None and held["window_end_ms"] > point["window_end_ms"]:
                return
            if held is None:
                kind = (point["kpi"], point["window"])
                if self._series.get(kind, 0) >= MOST_SERIES:
                    return
                self._series[kind] = self._series.get(kind, 0) + 1
            self._newest[place] = point

    def clear(self) -> None:
        """Forget everything: another worker owns the stage now."""
        with self._lock:
            self._newest, self._series = {}, {}

    def _fresh(self) -> list[tuple[Place, Mapping[str, Any]]]:
        now_ms = self._now_ms()
        with self._lock:
            stale = [
                place
                for place, point in self._newest.items()
                if point["window_end_ms"] < now_ms - 2 * step_ms(WINDOWS[point["window"]])
            ]
            for place in stale:
                del self._newest[place]
                self._series[place[1], place[2]] -= 1
            return sorted(self._newest.items())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families of one scrape; a null value has no sample."""
        value = GaugeMetricFamily("footlights_kpi", "Value of the newest window, in the KPI's unit.", labels=LABELS)
        complete = GaugeMetricFamily(
            "footlights_kpi_completeness_ratio", "How much of the window the watermark has passed.", labels=LABELS
        )
        late = GaugeMetricFamily(
            "footlights_kpi_late_ratio", "Share of the window's rows that came late.", labels=LABELS
        )
        mark = GaugeMetricFamily(
            "footlights_kpi_watermark_timestamp_seconds", "Event time up to which everything was seen.", labels=LABELS
        )
        for place, point in self._fresh():
            if point["value"] is not None:
                value.add_metric(place, point["value"])
            complete.add_metric(place, point["completeness"])
            late.add_metric(place, point["late_ratio"])
            if point["watermark_ms"] is not None:
                mark.add_metric(place, point["watermark_ms"] / 1000)
        yield from (value, complete, late, mark)


def registered(registry: CollectorRegistry = REGISTRY) -> KpiGauges:
    """Gauges of this process by its clock, in a registry."""
    gauges = KpiGauges(lambda: int(time.time() * 1000))
    registry.register(gauges)
    return gauges
