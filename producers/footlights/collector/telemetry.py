"""What the collector tells of itself, for Prometheus.

In: answers and results.
Out: metrics of a registry of its own.
Never: a label with a client's words in it.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from operator import attrgetter

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector as Collected

from footlights.collector.lanes import DROP, OK, RETRY, WARNING, Lanes, Result
from footlights.collector.letters import Letters

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
#: Route of requests that have none.
OTHER = "other"
#: Answers that are the collector's own fault, and those to requests of which no repetition comes to anything.
FAILED, REFUSED = (500, 503), (400, 408, 413, 415, 422)
#: What may become of an event.
CODES = {
    OK: ("",), WARNING: ("REDACTED", "IGNORED"), RETRY: ("UNAVAILABLE",),
    DROP: ("INVALID_JSON", "SCHEMA_VIOLATION", "UNKNOWN_SCHEMA", "EVENT_TOO_LARGE", "OPTED_OUT", "NAIVE_DATETIME", "RESERVED_NAME"),
}  # fmt: skip
_kind = attrgetter("status", "code")


class Telemetry:
    """Counters of one collector.

    Those that alerts read are there from the start with all their labels, at 0: for Prometheus a counter that appears with its
    first increment has not grown.

    Parameters
    ----------
    routes
        Names of the routes.
    """

    def __init__(self, lanes: Lanes, letters: Letters | None = None, routes: Iterable[str] = ()) -> None:
        self.registry = CollectorRegistry()
        answers = Histogram(
            "footlights_collector_request_duration_seconds", "Time to answer a request, its fsync included.",
            ("route", "status"), buckets=_BUCKETS, registry=self.registry,
        )  # fmt: skip
        events = Counter(
            "footlights_collector_events", "Events by what became of them.", ("result", "code"), registry=self.registry
        )
        refused = Counter(
            "footlights_collector_refused_requests", "Requests that were refused as a whole and are of no use a second time.",
            ("route", "status"), registry=self.registry,
        )  # fmt: skip
        self._refused = {(r, s): refused.labels(r, str(s)) for r in (*routes, OTHER) for s in REFUSED}
        for route in (*routes, OTHER):
            for status in FAILED:
                answers.labels(route, str(status))
        for result, codes in CODES.items():
            for code in codes:
                events.labels(result, code)
        # To look up labels takes the client of Prometheus as long as to count.
        self._timer, self._counter = lru_cache(answers.labels), lru_cache(events.labels)
        self.registry.register(_Held(lanes, letters))

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._timer(route, str(status)).observe(seconds)
        if (refused := self._refused.get((route, status))) is not None:
            refused.inc()

    def events(self, results: Iterable[Result]) -> None:
        """Count events."""
        counts: dict[tuple[str, str], int] = {}
        for kind in map(_kind, results):
            counts[kind] = counts.get(kind, 0) + 1
        for kind, number in counts.items():
            self._counter(*kind).inc(number)


class _Held(Collected):
    def __init__(self, lanes: Lanes, letters: Letters | None) -> None:
        self._lanes, self._letters = lanes, letters

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        yield GaugeMetricFamily(
            "footlights_collector_spool_bytes", "Bytes that wait on the disk.", value=self._lanes.waiting_bytes
        )
        yield GaugeMetricFamily(
            "footlights_collector_unacknowledged_events", "Events that Kafka has not acknowledged.",
            value=self._lanes.relay.waiting,
        )  # fmt: skip
        redacted = CounterMetricFamily(
            "footlights_collector_redactions", "Personal data that was redacted, by kind.", labels=("kind",)
        )
        for kind, number in self._lanes.redacted.items():
            redacted.add_metric((kind,), number)
        yield redacted
        if self._letters is not None:
            copies = CounterMetricFamily(
                "footlights_collector_dead_letters", "Refused events by whether a copy was kept.", labels=("outcome",)
            )
            copies.add_metric(("kept",), self._letters.kept)
            copies.add_metric(("left_out",), self._letters.left_out)
            yield copies
