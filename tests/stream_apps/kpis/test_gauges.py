"""Gauges show the newest window, and nothing in an outage."""

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from stream_apps.kpi_gauges import MOST_SERIES, KpiGauges

MINUTE = 60_000
NOW = 30_000_000 * MINUTE


def point(end_ms: int, value: float | None, window: str = "5m", by: str = "") -> dict[str, Any]:
    return {
        "tenant_id": "default", "kpi": "error_ratio", "window": window, "by": by, "window_end_ms": end_ms, "value": value,
        "completeness": 0.5, "late_ratio": 0.25, "watermark_ms": end_ms - MINUTE,
    }  # fmt: skip


class Scrape:
    """Gauges in a registry of their own, under a clock of the test."""

    def __init__(self) -> None:
        self.now_ms = NOW
        self.gauges = KpiGauges(lambda: self.now_ms)
        self._registry = CollectorRegistry()
        self._registry.register(self.gauges)

    def lines(self, name: str = "footlights_kpi") -> list[str]:
        return [line for line in generate_latest(self._registry).decode().splitlines() if line.startswith(name + "{")]


def test_the_newest_window_is_shown_with_its_stamp() -> None:
    scrape = Scrape()
    for at in (point(NOW, 0.02), point(NOW - MINUTE, 0.5), point(NOW, 0.03)):
        scrape.gauges.put(at)
    labels = '{by="",kpi="error_ratio",tenant="default",window="5m"}'
    assert scrape.lines() == [f"footlights_kpi{labels} 0.03"]
    assert scrape.lines("footlights_kpi_completeness_ratio") == [f"footlights_kpi_completeness_ratio{labels} 0.5"]
    assert scrape.lines("footlights_kpi_late_ratio") == [f"footlights_kpi_late_ratio{labels} 0.25"]
    assert len(scrape.lines("footlights_kpi_watermark_timestamp_seconds")) == 1


def test_it_is_gone_two_steps_after_its_window_ended() -> None:
    scrape = Scrape()
    scrape.gauges.put(point(NOW, 0.02))
    scrape.gauges.put(point(NOW, 0.04, window="1h"))
    scrape.now_ms = NOW + 2 * MINUTE
    assert len(scrape.lines()) == 2
    scrape.now_ms += 1
    assert [line.split('window="')[1][:2] for line in scrape.lines()] == ["1h"]
    scrape.now_ms = NOW + 10 * MINUTE + 1
    assert scrape.lines() == []


def test_replayed_history_and_null_have_no_value() -> None:
    scrape = Scrape()
    scrape.gauges.put(point(NOW - 86_400_000, 0.9))
    scrape.gauges.put(point(NOW, None, by="component=api"))
    assert scrape.lines() == []
    assert len(scrape.lines("footlights_kpi_completeness_ratio")) == 1


def test_series_are_bounded_and_forgotten() -> None:
    scrape = Scrape()
    for number in range(MOST_SERIES + 5):
        scrape.gauges.put(point(NOW, 0.1, by=f"operation={number}"))
    assert len(scrape.lines()) == MOST_SERIES
    scrape.now_ms += 3 * MINUTE
    assert scrape.lines() == []
    scrape.gauges.put(point(scrape.now_ms, 0.2, by="operation=new"))
    assert len(scrape.lines()) == 1
    scrape.gauges.clear()
    assert scrape.lines() == []
