"""Keeps the table of sessions: on the one worker that owns the KPI stage, in rounds, against the store.

In: the events of the store.
Out: states of sessions on the topic `sessions`.
Never: a session that the records do not tell, once a round has passed after the last of them; nor a round that begins before all
  that was ever sent stands in the store: what is there decides what has changed.

A complete round is noted on the topic, so that a new owner looks at what came since, and not at all that there ever was.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from faust.types import AppT
from prometheus_client import Counter

from schemas.sessions import NOTED_SQL, PERSON, ROUND_OVERLAP_S, records_sql, sessions_sql
from schemas.topics import TOPICS
from stream_apps.compute.sessions import IDLE_MS, Person, Session, Span, changes, span_of
from stream_apps.config import StreamConfig
from stream_apps.rounds import MOST_S, Record, Rounds

PUBLISHED = Counter("footlights_sessions_total", "States of sessions published.", ["what"])
CLOCK = "SELECT toUnixTimestamp64Milli(now64(3))"
# People's days say from where on to look: rows of the present day come in nearly always.
TOUCHED = f"""
SELECT tenant_id, person, toUnixTimestamp64Milli(min(occurred_at)), toUnixTimestamp64Milli(max(occurred_at)) FROM ({
    records_sql(
        "_inserted_at >= toDateTime(%(since_s)s) AND occurred_at >= "
        "(SELECT min(first_at) FROM footlights.user_days WHERE touched_at >= toDateTime(%(since_s)s))"
    )
}) GROUP BY tenant_id, person
"""
_COLUMNS = """tenant_id, person, toUnixTimestamp64Milli(started_at), toUnixTimestamp64Milli(ended_at),
    toUnixTimestamp64Milli(run_started_at), records, page_views, purchases, crashes"""
STOOD = f"""
SELECT {_COLUMNS} FROM footlights.session_versions FINAL WHERE (tenant_id, person) IN %(people)s AND records > 0
    AND run_started_at <= fromUnixTimestamp64Milli(%(last_ms)s) AND ended_at >= fromUnixTimestamp64Milli(%(first_ms)s)
"""
# The people stand once in the statement, whose size the engine limits, and not once for each family.
NOW = f"""
WITH people AS (SELECT one.1 AS tenant_id, one.2 AS person FROM (SELECT arrayJoin(%(people)s) AS one))
SELECT {_COLUMNS} FROM ({
    sessions_sql(
        f"(tenant_id, assumeNotNull({PERSON})) IN (SELECT tenant_id, person FROM people) "
        "AND occurred_at BETWEEN fromUnixTimestamp64Milli(%(first_ms)s) AND fromUnixTimestamp64Milli(%(last_ms)s)"
    )
})
"""
#: What one statement asks for at most: people, and characters of their ids.
PEOPLE, LETTERS = 4_000, 180_000


class SessionStage(Rounds):
    """The schedule, and the people who wait to be looked at."""

    def __init__(self, app: AppT, config: StreamConfig) -> None:
        super().__init__(app, config, "sessions", TOPICS["sessions"], "tenant_id", "person")
        self.begin()

    def begin(self) -> None:
        """Forget everything: the store knows the last complete round."""
        self._since_ms: int | None = None
        self._waiting: dict[Person, Span] = {}

    def compute(self, client: Any, generation: int) -> list[Record]:
        """The changed sessions of this round, and its note when nobody waits any more."""
        if not self.all_stored(client):
            return []
        if self._since_ms is None:
            self._since_ms = client.query(NOTED_SQL).result_rows[0][0]
        store_ms = client.query(CLOCK).result_rows[0][0]
        since_s = max(0, self._since_ms // 1000 - ROUND_OVERLAP_S)
        for tenant, person, first_ms, last_ms in client.query(TOUCHED, parameters={"since_s": since_s}).result_rows:
            span = Span(first_ms, last_ms)
            self._waiting[tenant, person] = span.joined(self._waiting.get((tenant, person), span))
        self._since_ms = store_ms
        # Records of one time together, newest first: a statement reads what lies between the first and the last.
        order = sorted(self._waiting, key=lambda person: self._waiting[person].first_ms)
        worked, found, until = bool(order), list[Session](), time.monotonic() + MOST_S
        while order and time.monotonic() < until:
            found += _changed(client, self._last(order))
        if worked and not order:
            found.append(Session("", "", 0, store_ms, 0, 0, 0, 0, 0))
        now_ms = int(time.time() * 1000)
        return [_record(one, generation, now_ms) for one in found]

    def _last(self, order: list[Person]) -> dict[Person, Span]:
        """Take as many people as one statement may ask for from the end of the order."""
        some: dict[Person, Span] = {}
        letters = 0
        while order and len(some) < PEOPLE:
            letters += sum(map(len, order[-1])) + 10
            if some and letters > LETTERS:
                break
            person = order.pop()
            some[person] = self._waiting.pop(person)
        return some

    def sent(self, records: list[Record]) -> None:
        """Count."""
        for record in records:
            if record["person"]:
                PUBLISHED.labels("changed" if record["records"] else "gone").inc()


def _changed(client: Any, touched: dict[Person, Span]) -> list[Session]:
    near = _around(touched.values(), IDLE_MS)
    stood = list(_asked(client, STOOD, touched, near))
    by_person: dict[Person, list[Session]] = {}
    for one in stood:
        by_person.setdefault(one.of, []).append(one)
    spans = {person: span_of(span, by_person.get(person, ())) for person, span in touched.items()}
    return changes(spans, stood, _asked(client, NOW, touched, _around(spans.values(), 0)))


def _around(spans: Iterable[Span], more_ms: int) -> Span:
    spans = list(spans)
    return Span(min(s.first_ms for s in spans) - more_ms, max(s.last_ms for s in spans) + more_ms)


def _asked(client: Any, sql: str, people: Iterable[Person], span: Span) -> Iterator[Session]:
    parameters = {"people": list(people), "first_ms": span.first_ms, "last_ms": span.last_ms}
    return (Session(*row) for row in client.query(sql, parameters=parameters).result_rows)


def _record(one: Session, generation: int, now_ms: int) -> Record:
    return {
        "tenant_id": one.tenant_id, "person": one.person, "started_at_ms": one.started_ms, "ended_at_ms": one.ended_ms,
        "run_started_at_ms": one.run_started_ms, "records": one.records, "page_views": one.page_views,
        "purchases": one.purchases, "crashes": one.crashes, "generation": generation, "published_at_ms": now_ms,
    }  # fmt: skip


def attach(app: AppT, config: StreamConfig) -> SessionStage:
    """Declare the stage's task on an app that has not started; it needs the KPI stage's topic on the same app."""
    stage = SessionStage(app, config)
    app.task(stage.keep)
    return stage
