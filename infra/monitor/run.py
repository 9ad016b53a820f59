"""The monitor: looks at the books, the lags and the store every few seconds, and sends a canary through the whole path.

In: settings.
Out: gauges on loopback.
Never: a crash because a part is away: that is what it is there to tell.
"""

import signal
import threading
import time
from collections.abc import Callable

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, start_http_server

from infra.addresses import resolve
from infra.idle import STORED, committed
from infra.ledger import balance, ends, positions, probe
from infra.monitor.canary import TENANT, Canary
from infra.monitor.gauges import Gauges
from infra.monitor.lag import Lag
from infra.query import json_rows
from infra.settings import Settings
from infra.store import connect
from schemas.families import BY_TOPIC

log = structlog.get_logger(__name__)

DUPLICATES_EVERY_S = 300.0
ANSWER_S = 5.0
PARTS = """
SELECT table, max(parts) AS parts FROM (
    SELECT table, partition, count() AS parts FROM system.parts WHERE database = 'footlights' AND active GROUP BY table, partition
) GROUP BY table
"""
FREE = "SELECT min(free_space / greatest(total_space, 1)) AS free FROM system.disks"
LETTERS = "SELECT count() AS n FROM footlights.dead_letters WHERE _inserted_at > now() - INTERVAL 1 DAY"
COLLISIONS = """
SELECT sum(arraySum(mapValues(collisions))) AS n FROM footlights.batches WHERE written_at > now() - INTERVAL 1 HOUR
"""
DUPLICATES = " UNION ALL ".join(
    f"SELECT count() - uniqExact(message_id) AS n FROM footlights.{family.table} WHERE _inserted_at > now() - INTERVAL 1 HOUR"
    for family in BY_TOPIC.values()
)


class Monitor:
    """One look after the other.

    Parameters
    ----------
    clock
        Monotonic seconds.
    """

    def __init__(
        self, settings: Settings, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._clock = settings, clock
        self._addresses = resolve(settings)
        self._gauges = Gauges(registry)
        self._consumer = probe(self._addresses.kafka)
        self._admin = AdminClient({"bootstrap.servers": self._addresses.kafka, "log_level": 2})
        self._lags = {"stream": Lag(), "kpis": Lag(), "sink": Lag()}
        self._duplicates_at: float | None = None
        every_s = settings["FOOTLIGHTS_CANARY_S"]
        self._canary = Canary(settings, self._addresses) if every_s else None
        self._gauges.canary_every.set(every_s)
        if every_s:
            self._gauges.canary_at.labels(TENANT).set(time.time())

    def look(self) -> None:
        """Look at everything once. What does not answer is told, its gauges are taken away, and the rest is looked at."""
        g, away = self._gauges, set[str]()
        self._part(away, {"kafka"}, self._stream, ())
        self._part(away, {"kafka", "clickhouse"}, self._books, tuple(g.books.values()))
        self._part(away, {"clickhouse"}, self._store, (g.parts, g.free, g.letters, g.collisions, g.duplicates))
        if self._canary is not None:
            self._part(away, {"clickhouse"}, self._look_for_canary, ())
        if away:
            g.clear(g.lag, g.lag_records)
        for name in ("kafka", "clickhouse"):
            g.up.labels(name).set(name not in away)
        g.looks.inc()

    def _part(self, away: set[str], needs: set[str], look: Callable[[], None], gauges: tuple[Gauge, ...]) -> None:
        """Look at one thing unless what it needs is away; `away` gets the name of what did not answer."""
        try:
            if not needs & away:
                look()
                return
        except KafkaException:
            away.add("kafka")
        except (ClickHouseError, OSError):
            away.add("clickhouse")
        log.warning("monitor_sees_nothing", away=sorted(away))
        self._gauges.clear(*gauges)

    def _stream(self) -> None:
        for app, topics in (("stream", list(BY_TOPIC)), ("kpis", ["measures"])):
            self._note_lag(app, ends(self._consumer, topics, ANSWER_S), committed(self._admin, topics))

    def _books(self) -> None:
        goal = ends(self._consumer, STORED, ANSWER_S)
        with connect(self._settings, self._addresses) as client:
            self._note_lag("sink", goal, positions(client))
            self._gauges.ledger(balance(client, self._consumer))

    def _note_lag(self, app: str, goal: dict[tuple[str, int], int], reached: dict[tuple[str, int], int]) -> None:
        now, lag = self._clock(), self._lags[app]
        lag.seen(now, goal)
        self._gauges.lag.labels(app).set(lag.of(now, reached))
        missing = sum(max(0, end - reached.get(place, 0)) for place, end in goal.items())
        self._gauges.lag_records.labels(app).set(missing)

    def _store(self) -> None:
        g, now = self._gauges, self._clock()
        with connect(self._settings, self._addresses) as client:
            for row in json_rows(client, PARTS)[1]:
                g.parts.labels(row["table"]).set(row["parts"])
            g.free.set(json_rows(client, FREE)[1][0]["free"])
            g.letters.set(json_rows(client, LETTERS)[1][0]["n"])
            g.collisions.set(json_rows(client, COLLISIONS)[1][0]["n"])
            if self._duplicates_at is None or now - self._duplicates_at >= DUPLICATES_EVERY_S:
                self._duplicates_at = now
                g.duplicates.set(sum(row["n"] for row in json_rows(client, DUPLICATES)[1]))

    def _look_for_canary(self) -> None:
        assert self._canary is not None
        with connect(self._settings, self._addresses) as client:
            took = self._canary.look(client)
        for stop, seconds in took.items():
            self._gauges.canary.labels(stop).set(seconds)
            self._gauges.canary_at.labels(TENANT).set(time.time())

    def close(self) -> None:
        """Let connections go."""
        self._consumer.close()
        if self._canary is not None:
            self._canary.close()


def run(settings: Settings, metrics_port: int | None) -> None:
    """Look until SIGTERM or SIGINT."""
    stop, registry = threading.Event(), CollectorRegistry()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    monitor = Monitor(settings, registry)
    ProcessCollector(registry=registry)
    if metrics_port is not None:
        start_http_server(metrics_port, addr="127.0.0.1", registry=registry)
    try:
        while not stop.is_set():
            monitor.look()
            stop.wait(settings["FOOTLIGHTS_MONITOR_S"])
    finally:
        monitor.close()
