"""Runs the cohort metrics: on the one worker that owns the KPI stage, by a schedule, against the store.

In: the store's daily tables and events.
Out: points on `kpi-points`, like those of the stream.
Never: two owners that number revisions: an owner begins only when all points that were ever sent stand in the store, and asks
  before it sends whether it is the owner still.

Nothing of its own is stored: what was published is what the store holds. A crash between the answer and the sending loses
nothing but a round.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from faust.types import AppT
from faust.types.tuples import TP
from prometheus_client import Counter, Gauge

from schemas.cohorts import COHORTS
from schemas.topics import TOPICS
from schemas.windows import DAY, bucket_of, bucket_start_ms
from stream_apps.batch_transport import batch_consumer
from stream_apps.compute.cohorts import Place, Point, Query, Stood, due, place_of, point_of
from stream_apps.config import StreamConfig
from stream_apps.exits import crashing
from stream_apps.kpi_gauges import KpiGauges
from stream_apps.kpis import PointWriter
from stream_apps.publisher import Publisher
from stream_apps.registry import Schemas

log = structlog.get_logger(__name__)

SOURCE, TARGET = TOPICS["measures"], TOPICS["kpi-points"]
ROUND_SECONDS = Gauge("footlights_cohort_round_seconds", "Time of the newest round of cohort metrics.")
POINTS = Counter("footlights_cohort_points_total", "Points of cohort metrics published.", ["kpi"])
FAILURES = Counter("footlights_cohort_failures_total", "Rounds that the store or Kafka cut short.")
TOUCHED = "SELECT DISTINCT toInt32(day) FROM footlights.user_days WHERE touched_at >= toDateTime({since})"
OTHERS = """
SELECT DISTINCT toInt32(toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}')) FROM footlights.events_{family}
WHERE _inserted_at >= toDateTime({since}) AND _excluded = ''
"""
STOOD = """
SELECT tenant_id, kpi, by, revision, value, final FROM footlights.kpi_history
WHERE kpi IN ({names}) AND window_start = fromUnixTimestamp64Milli({start_ms})
"""
STORED = "SELECT max(last) + 1 FROM footlights.batches WHERE topic = 'kpi-points' AND partition = 0"
OVERLAP_S = 30
#: Longest time of a round: a replayed history is worked off in turns, and the last days come first in each.
MOST_S = 20.0
#: Figures whose published state is held in memory, at most, once the store has all of them: 200 bytes each.
MOST_HELD = 200_000


class CohortStage:
    """The schedule and what it knows to be published."""

    def __init__(self, app: AppT, config: StreamConfig, gauges: KpiGauges) -> None:
        self._app, self._config, self._gauges = app, config, gauges
        self._schemas, self._publisher = Schemas(config.schema_registry), Publisher(config.bootstrap)
        self._generation = -1
        #: What stands published of the days that were asked for, by day; None: the store may lack what was sent before.
        self._stood: dict[int, dict[Place, Stood]] | None = None
        self._since = 0
        self._waiting: list[Query] = []
        self._draining = False

    async def drain(self) -> None:
        """Begin no further round."""
        self._draining = True

    def _owner(self) -> bool:
        """Whether this worker owns the KPI stage now."""
        consumer = batch_consumer(self._app)
        return (
            not self._draining
            and consumer.flow_active
            and not self._app.rebalancing
            and TP(SOURCE.name, 0) in consumer.assignment()
        )

    async def keep(self) -> None:
        """Run rounds until cancelled. A store that does not answer costs a round and no more."""
        with crashing("cohorts"):
            writer = PointWriter(await self._schemas.id_of(TARGET.subject, TARGET.record.text))
            while True:
                await asyncio.sleep(self._config.cohorts_s)
                if self._owner():
                    await self._round(writer)
                else:
                    self._stood = None

    async def _round(self, writer: PointWriter) -> None:
        began, generation = time.monotonic(), self._app.consumer_generation_id
        if generation != self._generation:
            self._generation, self._stood, self._waiting, self._since = generation, None, [], 0
        try:
            points = await asyncio.to_thread(self._compute, generation)
        except Exception as problem:  # of a client of the store, whose errors have no root of their own worth naming
            if not _passes(problem):
                raise
            FAILURES.inc()
            log.warning("cohorts_wait", error=type(problem).__name__)
            return
        if not points or not self._owner() or generation != self._app.consumer_generation_id:
            self._stood = None if points else self._stood  # what was computed is sent by nobody: begin from the store
            return
        await self._publisher.send([writer(point) for point in points])
        assert self._stood is not None
        for point in points:
            place = place_of(point, self._config.reporting_zone)
            self._stood[place[-1]][place] = Stood(point["revision"], point["value"], point["final"])
            self._gauges.put(point)
            POINTS.labels(point["kpi"]).inc()
        ROUND_SECONDS.set(time.monotonic() - began)

    # -- in a thread

    def _compute(self, generation: int) -> list[Point]:
        client = self._connect()
        try:
            if self._stood is None:
                if not self._all_stored(client):
                    return []
                self._stood = {}
            if sum(map(len, self._stood.values())) > MOST_HELD and self._all_stored(client):
                self._stood.clear()
            now_ms, zone = int(time.time() * 1000), self._config.reporting_zone
            self._waiting = self._queries(client, bucket_of(now_ms, DAY, zone))
            mine, until = list[Point](), time.monotonic() + MOST_S
            while self._waiting and time.monotonic() < until:
                mine += self._points(client, self._waiting.pop(0), now_ms, generation)
            return mine
        finally:
            client.close()

    def _points(self, client: Any, query: Query, now_ms: int, generation: int) -> Iterable[Point]:
        assert self._stood is not None
        zone = self._config.reporting_zone
        if query.day not in self._stood:
            self._stood[query.day] = self._load(client, query.day)
        of_day = self._stood[query.day]
        for tenant, by, value, rows in client.query(query.metric.sql(query.day, zone)).result_rows:
            stood = of_day.get((tenant, query.metric.name, by, query.day))
            point = point_of(query, (tenant, by, value, rows), stood, now_ms=now_ms, zone=zone, generation=generation)
            if point is not None:
                yield point

    def _queries(self, client: Any, today: int) -> list[Query]:
        """What waits already, what rows that came since the last round make due, and today."""
        now = int(time.time())
        since = max(0, self._since - OVERLAP_S)
        touched = {row[0] for row in client.query(TOUCHED.format(since=since)).result_rows}
        for family in ("listing", "account"):
            sql = OTHERS.format(since=since, family=family, zone=self._config.reporting_zone)
            touched |= {row[0] for row in client.query(sql).result_rows}
        self._since = now
        fresh = due(COHORTS.values(), touched, today)
        newest = max(touched, default=today)
        first = [q for q in fresh if q.day >= newest - 1]
        # Figures become final by the clock alone, so those of the last days are looked at in every round.
        first += [Query(m, d - m.matures_days) for m in COHORTS.values() for d in (today, today - 1)]
        out = {(q.day, q.metric.name): q for q in [*first, *self._waiting, *fresh]}
        return list(out.values())

    def _all_stored(self, client: Any) -> bool:
        """Whether every point that was ever sent stands in the store."""
        consumer = Consumer(
            {"bootstrap.servers": self._config.bootstrap, "group.id": "footlights-cohorts", "log_level": 2}
        )
        try:
            end = consumer.get_watermark_offsets(TopicPartition(TARGET.name, 0), timeout=10)[1]
        finally:
            consumer.close()
        [(stored,)] = client.query(STORED).result_rows
        return int(stored or 0) >= end

    def _load(self, client: Any, day: int) -> dict[Place, Stood]:
        """What stands published of a day. The store has all of it: nothing of the day was sent since it was known to."""
        names = ", ".join(f"'{name}'" for name in COHORTS)
        start_ms = bucket_start_ms(day, DAY, self._config.reporting_zone)
        rows = client.query(STOOD.format(names=names, start_ms=start_ms)).result_rows
        return {(t, kpi, by, day): Stood(revision, value, bool(final)) for t, kpi, by, revision, value, final in rows}

    def _connect(self) -> Any:
        import clickhouse_connect

        url = urlsplit(self._config.clickhouse_url)
        return clickhouse_connect.get_client(
            host=url.hostname,
            port=url.port or (8443 if url.scheme == "https" else 8123),
            interface=url.scheme,
            username=self._config.clickhouse_user,
            password=self._config.clickhouse_password,
            autogenerate_session_id=False,
            connect_timeout=5,
            query_retries=0,
        )


def _passes(problem: Exception) -> bool:
    """Whether a problem is one that goes away: the store or Kafka is not there just now."""
    from clickhouse_connect.driver.exceptions import ClickHouseError

    return isinstance(problem, ClickHouseError | KafkaException | OSError)


def attach(app: AppT, config: StreamConfig, gauges: KpiGauges) -> CohortStage:
    """Declare the stage's task on an app that has not started; it needs the KPI stage's topic on the same app."""
    stage = CohortStage(app, config, gauges)
    app.task(stage.keep)
    return stage
