"""A backfill restates what differs and nothing else, and what comes late afterwards is the stage's again.

The stages run without Kafka; the store is a real one, and `verify` has the last word.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from infra.backfill.plan import Plan, Span, plan, requests
from infra.verify.run import verify_store
from schemas.kpis import KPIS, Kpi
from schemas.metric_catalogue import METRICS
from schemas.partials import HEAD_LEVEL, RESTATEMENT, pack_restatement
from stream_apps.compute.kpi.stage import KpiStage
from tests.infra_trust import FAMILY
from tests.infra_trust.stored import Stored
from tests.schemas.rows import START_MS, frame
from tests.stream_apps.kpis.pipeline import Kpis, Source, _copy, partitioned

pytestmark = pytest.mark.clickhouse
NAME = "tickets_sold"
HOUR_MS = 3_600_000


class Flow:
    """Commerce through both stages into the store, in two parts: what comes first, and what comes late."""

    def __init__(self, stored: Stored, kpis: tuple[Kpi, ...]) -> None:
        self.stored, self.kpis = stored, Kpis()
        self._declared, self._now_ms, self._told = kpis, 1_790_000_000_000, 0
        logs = partitioned(frame(FAMILY, 500, seed=3, span_ms=2 * HOUR_MS))
        later = int(0.9 * logs[0].height)
        self._late = [log[later:] for log in logs]
        self.sources = [Source(FAMILY, p, log[:later], "UTC") for p, log in enumerate(logs)]
        self.own(kpis)
        for partition, log in enumerate(logs):
            stored.events(partition, log[:later])
        self.settle()

    def own(self, kpis: tuple[Kpi, ...]) -> None:
        """A new owner of the revisions, with these declarations."""
        self.kpis.generation += 1
        self.kpis.live = KpiStage(_copy(self.kpis.stored), self.kpis.generation, kpis=kpis)
        self.kpis.read = self.kpis.acked

    def settle(self) -> None:
        """Let both stages read to the end, and store the points."""
        for source in self.sources:
            while not source.done or source.live is None:
                self.kpis.log += source.step(1_000, False)
        for _ in range(3):
            self._now_ms += 1_500
            self.kpis.step(10_000, self._now_ms, quiet=True)
        self.stored.points(self.kpis.published[self._told :])
        self._told = len(self.kpis.published)

    def late(self) -> None:
        """The rest of the rows, which lies all over the two hours."""
        for source, rest in zip(self.sources, self._late, strict=True):
            source.log = pl.concat([source.log, rest])
            self.stored.events(source.partition, rest)
        self.settle()

    def ask(self, made: Plan) -> None:
        """Put a plan's requests on the log."""
        for restatement in requests(KPIS[NAME], made, "r1"):
            self.kpis.log.append({
                "kind": RESTATEMENT, "family": RESTATEMENT, "topic": "", "partition": 0, "level": HEAD_LEVEL, "bucket": 0,
                "piece": "", "offset": 0, "generation": 0, "body": pack_restatement(restatement),
            })  # fmt: skip
        self.settle()

    def plan(self, span: Span | None = None, **options: Any) -> Plan:
        """What a backfill would do now."""
        return plan(self.stored, KPIS[NAME], span, **options)

    def differences(self) -> list[Any]:
        """What `verify` finds of the KPI, open windows left out."""
        sql = f"SELECT window, toUnixTimestamp64Milli(window_start) FROM footlights.kpi_history WHERE kpi = '{NAME}' AND NOT final"
        still_open = set(self.stored.rows(sql))
        found = verify_store(self.stored).different
        return [d for d in found if d.kpi == NAME and (d.window, d.window_start_ms) not in still_open]

    def reasons(self) -> dict[str, int]:
        """How many restatements have each reason."""
        return dict(
            self.stored.rows(f"SELECT reason, count() FROM footlights.restatements WHERE kpi = '{NAME}' GROUP BY 1")
        )


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kpi]:
    """Another definition of the KPI, which can be put in place."""
    newer = replace(KPIS[NAME], definition="tickets_sold + orders", version=2)

    def put() -> Kpi:
        monkeypatch.setitem(KPIS, NAME, newer)
        monkeypatch.setitem(METRICS, NAME, newer)
        return newer

    put.kpi = newer  # type: ignore[attr-defined]
    yield put  # type: ignore[misc]


def test_a_changed_definition_gets_its_history_and_what_comes_late_supersedes_it(stored: Stored, changed: Any) -> None:
    flow = Flow(stored, (KPIS[NAME],))
    assert flow.plan().differences == () and flow.plan().compared > 100
    flow.own((changed(),))
    made = flow.plan()
    final = [d for d in made.differences if not d.open]
    assert len(final) > 50 and {d.reason for d in final} == {"definition"}
    flow.ask(made)
    assert [d for d in flow.plan().differences if not d.open] == []
    assert flow.reasons() == {"definition": len(final)}
    before = len(flow.kpis.published)
    flow.ask(made)  # the same requests again, as after a crash of the command
    assert [p for p in flow.kpis.published[before:] if p["revision"]] == []
    flow.late()
    reasons = flow.reasons()
    assert reasons["late"] > 10 and reasons["definition"] == len(final)
    assert flow.differences() == []
    assert [d for d in flow.plan().differences if not d.open] == []
    numbers = (
        "SELECT max(revision) + 1 - count() FROM footlights.kpi_revisions GROUP BY window, window_start, by, tenant_id"
    )
    assert set(stored.rows(numbers)) == {(0,)}  # no number is left out


def test_a_new_kpi_gets_its_history(stored: Stored) -> None:
    flow = Flow(stored, (KPIS["orders"],))
    made = flow.plan()
    assert {d.published for d in made.differences} == {None}
    flow.own((KPIS["orders"], KPIS[NAME]))
    flow.ask(made)
    left = flow.plan().differences
    assert len(left) < len(made.differences) / 10  # what is still open
    held = stored.rows(f"SELECT DISTINCT revision, reason FROM footlights.kpi_points WHERE kpi = '{NAME}' AND final")
    assert held == [(0, "backfill")]


def test_a_row_that_went_is_restated_and_its_windows_are_named(stored: Stored) -> None:
    flow = Flow(stored, (KPIS[NAME],))
    bought = "event_name = 'ticket_purchased' AND quantity > 0 AND _excluded = ''"
    [(victim, at_ms)] = stored.rows(
        f"SELECT message_id, occurred_at_ms FROM footlights.events_commerce WHERE {bought} ORDER BY occurred_at_ms LIMIT 1"
    )
    stored.run(
        f"ALTER TABLE footlights.events_commerce DELETE WHERE message_id = '{victim}' SETTINGS mutations_sync = 2"
    )
    minute = at_ms // 60_000 * 60_000
    one = flow.plan(Span(minute, minute + 60_000), reason="erasure")
    assert [(d.found.window.name, d.start_ms, d.reason) for d in one.differences] == [("1m", minute, "erasure")]
    flow.ask(flow.plan(reason="erasure"))
    assert flow.differences() == [] and set(flow.reasons()) == {"erasure"}


def test_a_window_whose_rows_are_all_gone_exists_no_more(stored: Stored) -> None:
    flow = Flow(stored, (KPIS[NAME],))
    [(start_ms,)] = stored.rows(
        f"SELECT toUnixTimestamp64Milli(window_start) FROM footlights.kpi_history WHERE kpi = '{NAME}' AND window = '1m' "
        "AND final AND value > 0 AND tenant_id = 'default' ORDER BY 1 LIMIT 1"
    )
    minute = f"occurred_at_ms >= {start_ms} AND occurred_at_ms < {start_ms + 60_000}"
    stored.run(f"ALTER TABLE footlights.events_commerce DELETE WHERE {minute} SETTINGS mutations_sync = 2")
    flow.ask(flow.plan(reason="erasure"))
    newest = (
        "SELECT value, rows, revision FROM footlights.kpi_history WHERE window = '1m' AND tenant_id = 'default' "
        f"AND window_start = fromUnixTimestamp64Milli({start_ms})"
    )
    assert stored.rows(newest) == [(None, 0, 1)]
    assert flow.differences() == [] and not [d for d in flow.plan().differences if not d.open]


def test_what_retention_may_have_taken_is_left_alone(stored: Stored) -> None:
    flow = Flow(stored, (KPIS[NAME],))
    stored.run("ALTER TABLE footlights.events_commerce DELETE WHERE quantity > 0 SETTINGS mutations_sync = 2")
    assert flow.plan().differences
    made = flow.plan(cutoff_ms=1 << 42)  # all was stored before
    assert made.differences == () and made.expired > 100 and made.compared == 0


def test_span_of_windows() -> None:
    span = Span(START_MS, START_MS + HOUR_MS)
    assert span.has(START_MS, START_MS + HOUR_MS) and not span.has(START_MS - 1, START_MS + 1)
    assert not span.has(START_MS, START_MS + HOUR_MS + 1)
