"""The simulated platform: equal for equal seeds, as many records as asked for, and a truth that a recount finds.

In: scripts. Out: their records. Never: a broker; tests on the real one stand in test_on_kafka.py.
"""

import json
import math
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.replay.event import Event
from infra.simulate.config import Script, SimulateConfig
from infra.simulate.records import records
from infra.simulate.rhythm import Rhythm, usual
from infra.simulate.run import NotAccepted, simulate
from infra.simulate.truth import Truth
from schemas.families import FAMILIES
from schemas.money import reporting_minor
from schemas.validity import RANGES
from tests.infra_collect.memory_client import Connector

START = 1_790_000_000_000
SCRIPT = Script(events=20_000, seed=7, span_ms=6 * 3_600_000, start_ms=START, incidents=True, repeat_share=0.001)


@pytest.fixture(scope="module")
def run() -> list[Event]:
    return list(records(SCRIPT))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 700), st.integers(0, 2**40), st.integers(1, 10**9), st.booleans())
def test_any_script_gives_exactly_its_records(events: int, seed: int, span_ms: int, incidents: bool) -> None:
    made = list(records(Script(events, seed, span_ms, START, incidents)))
    assert len(made) == len({e.message_id for e in made}) == events
    assert all(START <= e.occurred_at_ms <= e.received_at_ms < START + span_ms + 1 for e in made)


def test_the_same_seed_gives_the_same_records_relative_to_the_start(run: list[Event]) -> None:
    assert list(records(SCRIPT)) == run
    moved = [
        replace(
            e,
            occurred_at_ms=e.occurred_at_ms - 5_000,
            received_at_ms=e.received_at_ms - 5_000,
            message_id="",
            fields={},
        )
        for e in records(replace(SCRIPT, start_ms=START + 5_000))
    ]
    assert moved == [replace(e, message_id="", fields={}) for e in run]
    assert [e.name for e in records(replace(SCRIPT, seed=8))] != [e.name for e in run]


def test_records_arrive_in_order_and_a_few_are_late(run: list[Event]) -> None:
    arrivals = [e.received_at_ms for e in distinct(run) if e.received_at_ms == e.occurred_at_ms]
    assert arrivals == sorted(arrivals)
    late = [e.received_at_ms - e.occurred_at_ms for e in run if e.received_at_ms > e.occurred_at_ms]
    assert 0.004 < len(late) / len(run) < 0.012 and max(late) > 600_000


def test_repeats_are_the_same_record(run: list[Event]) -> None:
    times = Counter(e.message_id for e in run)
    assert 5 < sum(n - 1 for n in times.values()) < 60
    held: dict[str, Event] = {}
    assert all(held.setdefault(e.message_id, e) == e for e in run)


def test_records_fit_the_contract(run: list[Event]) -> None:
    names: dict[str, str | tuple[str, ...]] = {
        "listing": "hosted_event_", "commerce": ("checkout_", "payment_", "ticket_purchased", "refund_"), "feedback": "feedback_",
        "attendance": "ticket_checked_", "performance": ("operation_", "page_loaded", "crash"),
        "account": ("user_", "profile_", "consent_"),
    }  # fmt: skip
    for event in run:
        family = next((f for f, prefix in names.items() if event.name.startswith(prefix)), "interaction")
        assert set(event.fields) | set(event.context) <= set(FAMILIES[family].kinds)
        for column, value in event.fields.items():
            low, high = RANGES.get(column, (-math.inf, math.inf))
            assert isinstance(value, str) or low <= value <= high
    assert {e.fields["currency"] for e in run if e.name == "ticket_purchased"} >= {"USD", "EUR", "INR", "BRL"}
    assert any(e.fields.get("quantity", 0) > 1 for e in run) and any(e.name == "refund_issued" for e in run)


def distinct(run: list[Event]) -> Iterator[Event]:
    seen: set[str] = set()
    for event in run:
        if event.message_id not in seen:
            seen.add(event.message_id)
            yield event


def test_the_truth_is_what_a_recount_finds(run: list[Event]) -> None:
    truth = Truth(SCRIPT)
    for event in run:
        truth.add(event)
    found: Any = json.loads(json.dumps(truth.as_json()))
    once = list(distinct(run))
    assert found["events"] == len(run) == 20_000 and found["distinct"] == len(once) < 20_000
    assert found["by_name"] == dict(Counter(e.name for e in once))
    figures = found["kpis"]
    sales = [e for e in once if e.name == "ticket_purchased"]
    assert figures["tickets_sold"] == sum(e.fields["quantity"] for e in sales)
    amounts = [reporting_minor(e.fields["amount_minor"], e.fields["currency"], e.occurred_at_ms) for e in sales]
    assert figures["revenue_gross_minor"] == sum(a for a in amounts if a is not None)
    assert None in amounts and figures["amounts_without_rate"] >= amounts.count(None)
    assert figures["page_views"] == sum(e.name == "page_view" and not e.automatic for e in once)
    days: dict[int, set[str | None]] = defaultdict(set)
    silent = ("hosted_", "operation_", "page_loaded", "crash", "user_", "profile_", "consent_")
    for e in once:
        if not e.automatic and not e.name.startswith(silent):
            days[e.occurred_at_ms // 86_400_000].add(e.user_id or e.anonymous_id)
    assert list(figures["daily_active_users"].values()) == [len(days[d]) for d in sorted(days)]
    loads = sorted(e.fields["response_time_ms"] for e in once if e.name == "page_loaded")
    assert figures["page_load_p95_ms"] == loads[math.ceil(0.95 * len(loads)) - 1]
    failed, good = figures["payments_failed"], figures["payments_authorised"]
    assert figures["payment_failure_ratio"] == failed / (failed + good)


def test_incidents_show_and_nothing_else_moves(run: list[Event]) -> None:
    truth = Truth(SCRIPT)
    for event in run:
        truth.add(event)
    found: Any = truth.as_json()
    during = {i["name"]: i["during"] for i in found["incidents"]}
    assert set(during) == {"payment_outage", "crash_wave", "slow_page", "bot_flood"}
    usual_day: Any = Truth(replace(SCRIPT, incidents=False))
    for event in records(replace(SCRIPT, incidents=False)):
        usual_day.add(event)
    normal = usual_day.as_json()["kpis"]
    assert during["payment_outage"]["payment_failure_ratio"] > 0.6
    assert normal["payment_failure_ratio"] < 0.1
    assert during["crash_wave"]["error_ratio"] > 0.2
    assert normal["error_ratio"] < 0.02
    assert during["slow_page"]["page_load_p95_ms"] > 3 * normal["page_load_p95_ms"]
    flood = during["bot_flood"]
    assert flood["bot_records"] > 2 * flood["page_views"]
    assert usual_day.as_json()["incidents"] == []


def test_a_flood_comes_on_top_of_the_people() -> None:
    calm, flooded = (
        [e for e in records(replace(SCRIPT, incidents=i)) if e.name == "page_view" and not e.automatic]
        for i in (False, True)
    )
    shares = [(e.occurred_at_ms - START) / SCRIPT.span_ms for e in flooded]
    before, inside = sum(0.72 <= s < 0.80 for s in shares) / 0.08, sum(0.80 <= s < 0.90 for s in shares) / 0.10
    calm_shares = [(e.occurred_at_ms - START) / SCRIPT.span_ms for e in calm]
    expected = (sum(0.80 <= s < 0.90 for s in calm_shares) / 0.10) / (sum(0.72 <= s < 0.80 for s in calm_shares) / 0.08)
    assert inside / before == pytest.approx(expected, rel=0.2)


def test_the_rhythm_has_days_and_weeks() -> None:
    hour = 3_600_000.0
    assert usual(np.array([20 * hour]))[0] > 4 * usual(np.array([4 * hour]))[0]
    assert usual(np.array([(5 * 24 + 12) * hour]))[0] > usual(np.array([12 * hour]))[0]
    times = Rhythm(10_000, 7 * 24 * 3_600_000).times(np.arange(10_000.0))
    assert times == sorted(times) and times[-1] < 7 * 24 * 3_600_000


def test_memory_does_not_grow_with_the_run() -> None:
    def peak(events: int) -> int:
        tracemalloc.start()
        for _ in records(Script(events, 1, events * 10, START)):
            pass
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(2_000)
    assert peak(60_000) < 3 * peak(15_000)


def test_the_default_start_lets_the_run_end_now() -> None:
    now = START + 10**9
    fast = SimulateConfig(events=1_000, seed=1, speed=60).script(now)
    assert fast.start_ms + fast.span_ms == now and fast.span_ms == 600_000
    live = SimulateConfig(events=1_000, seed=1, rate=100).script(now)
    assert (live.start_ms, live.span_ms) == (now, 10_000)
    squeezed = SimulateConfig(events=1_000, seed=1, rate=100, speed=60).script(now)
    assert squeezed.start_ms + squeezed.span_ms == now + 10_000


def test_a_run_publishes_and_writes_its_truth(tmp_path: Path) -> None:
    connector, path = Connector(), tmp_path / "truth.json"
    config = SimulateConfig(events=3_000, seed=5, speed=100, start_ms=START, incidents=True, truth=path)
    result = simulate(config, connector)
    assert (result.events, result.acked, result.failed, result.exit_code) == (3_000, 3_000, 0, 0)
    found = json.loads(path.read_text())
    assert set(found) >= {"events", "by_name", "kpis", "incidents", "start"}
    assert found["by_name"] == dict(Counter(c["event_name"] for c in connector.calls))
    assert found["events"] == found["distinct"] == sum(found["by_name"].values()) == 3_000
    again = Connector()
    simulate(config, again)
    assert again.calls == connector.calls


def test_a_refused_record_ends_the_run() -> None:
    with pytest.raises(NotAccepted, match="page_view"):
        simulate(SimulateConfig(events=500, seed=5), Connector({"refuses": frozenset({"page_view"})}))


@pytest.mark.parametrize("wrong", [{"events": 0}, {"rate": 0.0}, {"speed": -1.0}, {"late_share": 0.9}])
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        SimulateConfig(**{"events": 1, "seed": 1, **wrong})
