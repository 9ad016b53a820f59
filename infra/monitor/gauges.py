"""What the monitor tells Prometheus.

In: rows of the ledger, offsets, counts of the store.
Out: gauges in a registry.
Never: a figure of a part that did not answer: its gauges are absent, and `footlights_monitor_up` says which.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

_P = "footlights"


class Gauges:
    """All gauges of the monitor."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, help_: str, *labels: str) -> Gauge:
            return Gauge(f"{_P}_{name}", help_, labels, registry=registry)

        self.up = gauge("monitor_up", "1 when the part answered at the last look, else 0.", "part")
        self.looks = Counter(f"{_P}_monitor_looks", "Looks that were finished.", registry=registry)
        self.books = {
            name: gauge(f"ledger_{name}_records", f"{text}, by source.", "source")
            for name, text in (
                ("published", "Records that producers reported or that arrived"),
                ("stored", "Records stored"),
                ("dead_lettered", "Records refused into dead letters"),
                ("dropped", "Records that producers gave up"),
                ("duplicates", "Repeats kept out"),
                ("in_flight", "Records on their way"),
                ("unconfirmed", "Records of producers that ended without a report"),
                ("collisions", "Events lost, since another event had their id"),
                ("refused", "Events that producers refused as they were handed over"),
                ("gap", "Records that nobody can account for; anything but 0 is a loss"),
            )
        }
        self.lag = gauge("consumer_lag_seconds", "Age of the oldest record that an app has not taken yet.", "app")
        self.lag_records = gauge("consumer_lag_records", "Records that an app has not taken yet.", "app")
        self.duplicates = gauge(
            "store_duplicate_rows", "Rows of the last hour whose message_id is stored twice; must be 0."
        )
        self.collisions = gauge(
            "store_collisions", "Events of the last hour that were lost, since another event had their id; must be 0."
        )
        self.parts = gauge("clickhouse_parts", "Active parts of the fullest partition of a table.", "table")
        self.free = gauge("clickhouse_disk_free_ratio", "Free share of the store's disk.")
        self.letters = gauge("dead_letters_stored", "Dead letters of the last day.")
        self.canary = gauge("end_to_end_seconds", "From the newest canary's time to its row and to its point.", "stop")
        self.clear(self.duplicates, self.collisions, self.free, self.letters)  # unknown until the first look, and not 0
        self.canary_at = gauge(
            "canary_timestamp_seconds",
            "When the newest canary was found; until the first, when the monitor began.",
            "tenant",
        )
        self.canary_every = gauge(
            "canary_interval_seconds", "Seconds from one canary to the next; 0 when none is sent."
        )

    def clear(self, *gauges: Gauge) -> None:
        """Take samples away whose source does not answer."""
        for gauge in gauges:
            if gauge._labelnames:
                gauge.clear()
            else:
                gauge.set(float("nan"))

    def ledger(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Show the books."""
        for row in rows:
            for name, gauge in self.books.items():
                gauge.labels(row["source"]).set(row[name])
