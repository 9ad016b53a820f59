"""Runs the cohort metrics: on the one worker that owns the KPI stage, by a schedule, against the store.

In: the store's daily tables and events.
Out: points on `kpi-points`, like those of the stream.
Never: two owners that number revisions: an owner begins only when all points that were ever sent stand in the store.

Nothing of its own is stored: what was published is what the store holds. A crash between the answer and the sending loses
nothing but a round.
"""

import time
from collections.abc import Iterable
from typing import Any

from faust.types import AppT
from prometheus_client import Counter

from schemas.cohorts import COHORTS
from schemas.sessions import ROUND_OVERLAP_S
from schemas.windows import DAY, bucket_of, bucket_start_ms
from stream_apps.compute.cohorts import Place, Point, Query, Stood, due, place_of, point_of
from stream_apps.config import StreamConfig
from stream_apps.kpi_gauges import KpiGauges
from stream_apps.kpis import POINT_KEY, TARGET
from stream_apps.rounds import MOST_S, Rounds

POINTS = Counter("footlights_cohort_points_total", "Points of cohort metrics published.", ["kpi"])
TOUCHED = "SELECT DISTINCT toInt32(day) FROM footlights.user_days WHERE touched_at >= toDateTime({since})"
OTHERS = """
SELECT DISTINCT toInt32(toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}')) FROM footlights.events_{family}
WHERE _inserted_at >= toDateTime({since}) AND _excluded = ''
"""
STOOD = """
SELECT tenant_id, kpi, by, revision, value, final, definition_version FROM footlights.kpi_history
WHERE kpi IN ({names}) AND window_start = fromUnixTimestamp64Milli({start_ms})
"""
#: Figures whose published state is held in memory, at most, once the store has all of them: 200 bytes each.
MOST_HELD = 200_000


class CohortStage(Rounds):
    """The schedule and what it knows to be published."""

    def __init__(self, app: AppT, config: StreamConfig, gauges: KpiGauges) -> None:
        super().__init__(app, config, "cohorts", TARGET, *POINT_KEY)
        self._gauges = gauges
        self.begin()

    def begin(self) -> None:
        """Forget everything: the store knows what stands."""
        #: What stands published of the days that were asked for, by day; None: the store may lack what was sent before.
        self._stood: dict[int, dict[Place, Stood]] | None = None
        self._since = 0
        self._waiting: list[Query] = []

    def compute(self, client: Any, generation: int) -> list[Point]:
        """The points of this round."""
        if self._stood is None:
            if not self.all_stored(client):
                return []
            self._stood = {}
        if sum(map(len, self._stood.values())) > MOST_HELD and self.all_stored(client):
            self._stood.clear()
        now_ms, zone = int(time.time() * 1000), self._config.reporting_zone
        self._waiting = self._queries(client, bucket_of(now_ms, DAY, zone))
        mine, until = list[Point](), time.monotonic() + MOST_S
        while self._waiting and time.monotonic() < until:
            mine += self._points(client, self._waiting.pop(0), now_ms, generation)
        return mine

    def sent(self, records: list[Point]) -> None:
        """Note what stands published now."""
        assert self._stood is not None
        for point in records:
            place = place_of(point, self._config.reporting_zone)
            self._stood[place[-1]][place] = Stood(
                point["revision"], point["value"], point["final"], point["definition_version"]
            )
            self._gauges.put(point)
            POINTS.labels(point["kpi"]).inc()

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
        since = max(0, self._since - ROUND_OVERLAP_S)
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

    def _load(self, client: Any, day: int) -> dict[Place, Stood]:
        """What stands published of a day. The store has all of it: nothing of the day was sent since it was known to."""
        names = ", ".join(f"'{name}'" for name in COHORTS)
        start_ms = bucket_start_ms(day, DAY, self._config.reporting_zone)
        rows = client.query(STOOD.format(names=names, start_ms=start_ms)).result_rows
        return {
            (t, kpi, by, day): Stood(revision, value, bool(final), version)
            for t, kpi, by, revision, value, final, version in rows
        }


def attach(app: AppT, config: StreamConfig, gauges: KpiGauges) -> CohortStage:
    """Declare the stage's task on an app that has not started; it needs the KPI stage's topic on the same app."""
    stage = CohortStage(app, config, gauges)
    app.task(stage.keep)
    return stage
