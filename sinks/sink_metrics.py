"""What a sink tells Prometheus about itself.

In: counts from the writer.
Out: metrics on loopback.
Never: a label with unbounded values.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server


@dataclass(frozen=True)
class SinkMetrics:
    """Metrics of one process, in a registry of their own.

    Parameters
    ----------
    topics
        Topics of events that this process may get. What is counted by topic is there from the start, at 0: a counter that appears
        with its first increment has not grown for Prometheus.
    """

    topics: Sequence[str] = ()
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    records: Counter = field(init=False)
    collisions: Counter = field(init=False)
    inserts: Histogram = field(init=False)
    failures: Counter = field(init=False)
    position: Gauge = field(init=False)
    waiting: Gauge = field(init=False)
    ids: Gauge = field(init=False)

    def __post_init__(self) -> None:
        def put(name: str, metric: object) -> None:
            object.__setattr__(self, name, metric)

        own, p = self.registry, "footlights_sink"
        records = Counter(f"{p}_records", "Records taken, by what became of them.", ["topic", "outcome"], registry=own)
        put("records", records)
        collisions = Counter(
            f"{p}_collisions", "Events lost, since their id was taken by another event.", ["topic"], registry=own
        )
        for topic in self.topics:
            collisions.labels(topic)
        put("collisions", collisions)
        put("inserts", Histogram(f"{p}_insert_seconds", "Duration of an insert, retries included.", registry=own))
        put("failures", Counter(f"{p}_failures", "Calls that failed for now and were tried again.", registry=own))
        put("position", Gauge(f"{p}_next_offset", "Next offset.", ["topic", "partition"], registry=own))
        put("waiting", Gauge(f"{p}_buffered_records", "Records read and not yet written.", registry=own))
        put("ids", Gauge(f"{p}_ids_held", "Ids held in memory, 8 bytes each.", registry=own))

    def serve(self, port: int) -> None:
        """Answer on loopback; the process's own CPU, memory and start are there too."""
        ProcessCollector(registry=self.registry)
        start_http_server(port, addr="127.0.0.1", registry=self.registry)
