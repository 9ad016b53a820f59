"""The whole stack through its commands: simulate, kill, recover, replay, dead letters.

In: one real stack for the module; the tests run in the order in which they stand.
Out: figures equal to counts that were made elsewhere.
Never: a process that outlives the stack.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import Producer

from tests.infra.access_log import Count, count
from tests.torture.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "data" / "access.log.gz"
REAL = ROOT.parent / "shared" / "data" / "apache-logs" / "apache_logs.log.gz"
NAMES = ["supervisor", "kafka", "registry", "clickhouse", "worker-1", "worker-2", "sink-1", "monitor-1", "collector"]
EVENTS = 6_000


@pytest.fixture(scope="module")
def stack(kafka_jars: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = Platform(
        tmp_path_factory.mktemp("stack"), {"FOOTLIGHTS_MONITOR": "true", "FOOTLIGHTS_COLLECTOR": "true"}
    )
    platform.up()
    yield platform
    platform.down()
    assert not platform.survivors()


def until(what: Callable[[], bool], seconds: float) -> float:
    """Wait until something holds; returns how long it took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.2)
    return time.monotonic() - began


def idle(stack: Platform) -> None:
    stack.run("wait", "--idle", "--timeout", "120")


def books(stack: Platform) -> dict[str, dict[str, Any]]:
    """Rows of the ledger by source; no gap."""
    found = stack.json("ledger")
    assert found["gap"] == 0 and all(row["in_flight"] == 0 for row in found["sources"]), found
    return {row["source"]: row for row in found["sources"]}


def verified(stack: Platform) -> None:
    """Every figure equals its recomputation."""
    checked = stack.json("verify")
    assert checked["compared"] == checked["equal"] > 0 and checked["different"] == []


def test_up_tells_where_everything_is(stack: Platform) -> None:
    status = stack.json("status")
    assert set(status) == {"ready", "addresses", "processes"} and status["ready"] is True
    at = status["addresses"]
    assert set(at) == {"kafka", "schema_registry", "clickhouse", "collector", "metrics", "api"}
    assert at["collector"].startswith("http://127.0.0.1:") and at["api"] is None and len(at["metrics"]) == 5
    assert "//" not in at["kafka"] and at["schema_registry"].startswith("http://")
    assert at["clickhouse"].startswith("http://reader@")
    assert [p["name"] for p in status["processes"]] == NAMES
    for process in status["processes"]:
        assert set(process) == {"name", "pid", "state", "restarts", "rss_bytes"}
        assert process["state"] == "running" and process["restarts"] == 0 and process["rss_bytes"] > 1_000_000
    kafka = next(p for p in status["processes"] if p["name"] == "kafka")
    assert psutil.Process(kafka["pid"]).name() == "java"


def test_a_second_up_starts_nothing(stack: Platform) -> None:
    before = stack.processes()
    assert "already up" in stack.run("up", "--detach").stderr
    refused = stack.run("up", check=False)
    assert refused.returncode == 1 and "already runs" in refused.stderr and "Traceback" not in refused.stderr
    assert {n: p["pid"] for n, p in stack.processes().items()} == {n: p["pid"] for n, p in before.items()}


def test_a_simulated_platform_is_counted_to_the_last_event(stack: Platform, tmp_path: Path) -> None:
    file = tmp_path / "truth.json"
    words = ["--events", str(EVENTS), "--seed", "5", "--incidents", "--repeats", "0.005", "--truth", str(file)]
    assert stack.json("simulate", *words)["acked"] == EVENTS
    idle(stack)
    truth = json.loads(file.read_text())
    found = stack.rows("SELECT event_name, count() AS n FROM merge('footlights', '^events_') GROUP BY 1")
    assert {row["event_name"]: row["n"] for row in found} == truth["by_name"]
    mine = books(stack)["simulate"]
    repeats = EVENTS - truth["distinct"]
    assert repeats > 0 and (mine["published"], mine["stored"], mine["duplicates"]) == (
        EVENTS, truth["distinct"], repeats,
    )  # fmt: skip
    verified(stack)


def test_metrics_show_what_the_truth_holds(stack: Platform, tmp_path: Path) -> None:
    file = tmp_path / "truth.json"
    # A day of its own, so that one window holds exactly this run.
    words = ["--events", "3000", "--seed", "8", "--start", "2026-03-02T06:00:00Z", "--tenant", "other"]
    stack.run("simulate", *words, "--truth", str(file))
    idle(stack)
    truth = json.loads(file.read_text())["kpis"]
    at = ["--at", "2026-03-02T07:00:00Z", "--tenant", "other"]
    shown = {row["name"]: row for row in stack.json("metrics", "--window", "1h", *at)}
    assert next(iter(shown["page_views"])) == "name"
    for name in (
        "page_views", "tickets_sold", "revenue_gross_minor", "revenue_net_minor", "payment_failure_ratio",
        "error_ratio", "csat_ratio",
    ):  # fmt: skip
        assert shown[name]["value"] == truth[name], name
    assert shown["api_latency_p50_ms"]["value"] == pytest.approx(truth["api_latency_p50_ms"], rel=0.03)  # bins
    assert stack.json("metrics", "page_views", "--tenant", "nobody")[0]["value"] is None
    stack.run("simulate", "--events", "500", "--seed", "9", "--start", "2026-03-02T06:01:00Z", "--tenant", "other")
    idle(stack)
    minute = stack.json("metrics", "page_views", "--window", "1m", *at)[0]
    before = minute["window_start"].replace(" ", "T") + "Z"
    earlier = stack.json("metrics", "page_views", "--window", "1m", "--at", before, "--tenant", "other")[0]
    assert earlier["window_end"] == minute["window_start"]
    assert minute["previous"] == earlier["value"] > 0
    assert minute["change"] == pytest.approx((minute["value"] - earlier["value"]) / earlier["value"])


def test_a_killed_workers_partitions_work_again(stack: Platform) -> None:
    stack.kill("worker-1")
    began = time.monotonic()
    stack.run("simulate", "--events", "400", "--seed", "21", "--source", "after-the-kill")
    stack.run("wait", "--idle", "--timeout", "30")
    print(f"counted {time.monotonic() - began:.1f} s after the kill")
    assert books(stack)["after-the-kill"]["stored"] == 400
    until(lambda: stack.processes()["worker-1"]["state"] == "running", 30)
    assert stack.processes()["worker-1"]["restarts"] == 1
    verified(stack)


def test_a_killed_supervisor_leaves_nobody_and_the_next_up_recovers(stack: Platform) -> None:
    stack.run("simulate", "--events", "2000", "--seed", "22", "--source", "before-the-kill")
    os.kill(stack.processes()["supervisor"]["pid"], signal.SIGKILL)
    until(lambda: not stack.survivors(), 5)
    status = stack.run("status", "--json", check=False)
    told = json.loads(status.stdout)
    assert status.returncode == 1 and told["ready"] is False
    assert [(p["name"], p["state"], p["pid"]) for p in told["processes"]] == [(n, "stopped", None) for n in NAMES]
    refused = stack.run("query", "SELECT 1", check=False)
    assert refused.returncode == 1 and "Traceback" not in refused.stderr and "footlights up" in refused.stderr
    stack.up()
    idle(stack)
    assert books(stack)["before-the-kill"]["stored"] == 2_000
    verified(stack)


def replayed(stack: Platform, log: Path, name: str, expected: Count) -> None:
    """Replay a log twice under a tenant of its own and compare table and figures to a count."""
    for _ in range(2):
        said = stack.json("replay", str(log), "--source", name, "--tenant", name)
        assert said["published"] == 2 * expected.lines
    idle(stack)
    mine = books(stack)[name]
    assert (mine["published"], mine["stored"], mine["duplicates"]) == (4 * expected.lines, *[2 * expected.lines] * 2)
    views = stack.rows(
        "SELECT countIf(event_name = 'page_view') AS pages, uniqExact(anonymous_id) AS users, countIf(automatic) AS bots "
        f"FROM events_interaction WHERE tenant_id = '{name}'"
    )
    assert views == [{"pages": expected.pages, "users": len(expected.users), "bots": expected.bots}]
    timed = stack.rows(
        f"SELECT count() AS n, countIf(status >= 500) AS errors FROM events_performance WHERE tenant_id = '{name}'"
    )
    assert timed == [{"n": expected.lines, "errors": expected.errors}]
    sums = stack.rows(
        "SELECT kpi, sum(value) AS total, sum(rows) AS n FROM kpi_history "
        f"WHERE tenant_id = '{name}' AND by = '' AND window = '1d' GROUP BY kpi"
    )
    figures = {row["kpi"]: row for row in sums}
    people = sum(len(who) for who in expected.people.values())
    # A sketch of 16,384 registers with keys of this stack: its error is 0.8 %, and one collision among a hundred is no news.
    assert abs(figures["daily_active_users"]["total"] - people) <= max(3, 0.03 * people)


def minutes(stack: Platform, name: str) -> tuple[float, float]:
    """Page views, and errors, of the KPI's minutes."""
    rows = stack.rows(
        "SELECT sumIf(value, kpi = 'page_views') AS pages, sumIf(value * rows, kpi = 'error_ratio') AS errors "
        f"FROM kpi_history WHERE tenant_id = '{name}' AND by = '' AND window = '1m'"
    )
    return rows[0]["pages"], rows[0]["errors"]


def test_a_small_log_replayed_twice_equals_its_count(stack: Platform) -> None:
    expected = count(SMALL)
    assert expected.lines > 200 and expected.errors > 0
    replayed(stack, SMALL, "smalllog", expected)
    pages, errors = minutes(stack, "smalllog")
    assert pages == expected.seen_by_people and errors == pytest.approx(expected.errors)


@pytest.mark.skipif(not REAL.exists(), reason="no ../shared/data/apache-logs beside the repository")
def test_a_real_log_replayed_twice_equals_its_count(stack: Platform) -> None:
    expected = count(REAL)
    assert expected.lines > 9_000
    replayed(stack, REAL, "reallog", expected)
    pages, errors = minutes(stack, "reallog")
    assert pages == expected.seen_by_people and errors == pytest.approx(expected.errors)
    verified(stack)


def poison(stack: Platform, number: int, partition: int) -> None:
    """Publish records that nobody can decode."""
    producer = Producer({"bootstrap.servers": stack.json("status", check=False)["addresses"]["kafka"], "log_level": 0})
    for i in range(number):
        producer.produce("events.feedback", b"poison %d" % i, partition=partition, headers=[("origin", b"poison")])
    assert producer.flush(30) == 0


def letters(stack: Platform) -> int:
    return int(stack.rows("SELECT count() AS n FROM dead_letters FINAL")[0]["n"])


def test_poison_among_good_records_becomes_dead_letters(stack: Platform) -> None:
    poison(stack, 25, 0)
    stack.run("simulate", "--events", "1500", "--seed", "31", "--source", "beside-poison")
    poison(stack, 25, 3)
    idle(stack)
    assert stack.rows("SELECT stored FROM ledger WHERE source = 'beside-poison'") == [{"stored": 1_500}]
    listed = stack.json("deadletters", "list")
    assert len(listed) == 50 and {(row["topic"], row["source"]) for row in listed} == {("events.feedback", "poison")}
    assert all("poison" not in str(row.get("payload", "")) for row in listed)
    first = min((row for row in listed if row["partition"] == 0), key=lambda row: row["offset"])
    shown = stack.json("deadletters", "show", "events.feedback", "0", str(first["offset"]))
    assert shown["text"] == "poison 0"
    stored = stack.rows("SELECT countIf(position(payload, 'poison') > 0) AS clear FROM dead_letters")
    assert stored == [{"clear": 0}]
    again = ["deadletters", "replay", "--topic", "events.feedback", "--limit", "1"]
    assert stack.json(*again) == {"found": 1, "published": 1}
    idle(stack)
    assert letters(stack) == 51  # what still cannot be read comes back, at its new place
    nowhere = stack.run("deadletters", "show", "events.feedback", "0", "999999", check=False)
    assert nowhere.returncode == 1 and "no dead letter" in nowhere.stderr


def test_too_many_stop_the_workers_until_they_are_released(stack: Platform) -> None:
    workers = ("worker-1", "worker-2")
    poison(stack, 1_500, 1)

    def stopped() -> bool:
        held = stack.processes()
        return any(held[name]["state"] == "stopped" for name in workers)

    until(stopped, 90)
    name = next(n for n in workers if stack.processes()[n]["state"] == "stopped")
    restarts = stack.processes()[name]["restarts"]
    time.sleep(6)  # longer than any back-off
    held = stack.processes()[name]
    assert (held["state"], held["restarts"], held["pid"]) == ("stopped", restarts, None)
    assert stack.run("status", check=False).returncode == 1
    for _ in range(6):
        released = stack.run("deadletters", "resume").stderr
        assert "released: worker-" in released
        if counted(stack) and not stopped():  # one may have read to the end after the other stopped once more
            break
    idle(stack)
    until(lambda: stack.run("status", check=False).returncode == 0, 60)
    assert letters(stack) == 1_551 and books(stack)["poison"]["dead_lettered"] == 1_550


def counted(stack: Platform) -> bool:
    """Whether a release led past the bad records; otherwise the workers are stopped again."""
    began = time.monotonic()
    while time.monotonic() - began < 40:
        if stack.run("wait", "--idle", "--timeout", "3", check=False).returncode == 0:
            return True
        if all(stack.processes()[name]["state"] == "stopped" for name in ("worker-1", "worker-2")):
            return False
    return False


def test_down_stops_all(stack: Platform) -> None:
    assert subprocess.run([*stack_command(), "down"], env=stack.environment, check=False).returncode == 0
    assert not stack.survivors()
    assert "nothing runs" in stack.run("down").stderr


def stack_command() -> list[str]:
    from tests.torture.platform import COMMAND

    return COMMAND
