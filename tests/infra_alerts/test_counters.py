"""Every counter that a rule reads is there before it counts, with all the labels that its process knows.

A counter that appears with its first increment has not grown for Prometheus, so that an alert on its growth is silent.
"""

import itertools
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from footlights import HmacPseudonymiser
from footlights.collector.app import ROUTES, Collector
from footlights.collector.geo import Cities, Places
from footlights.collector.keys import KeyFile
from footlights.collector.lanes import Lanes
from footlights.spool import Limits
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from infra.alerts.files import all_rules
from infra.alerts.operational import KINDS, RECORDINGS
from infra.alerts.rule import Rule
from infra.monitor.run import Monitor
from infra.settings import load
from schemas.families import BY_TOPIC, FAMILIES
from schemas.topics import TOPICS
from sinks.config import SinkConfig
from sinks.loop import Loop

NOBODY = "127.0.0.1:9"
WORKER = """
import sys
from pathlib import Path
from prometheus_client import generate_latest
from stream_apps.app import build
from stream_apps.config import StreamConfig
address, folder = sys.argv[1:]
build(StreamConfig(address, f"http://{address}", Path(folder), b"k" * 32, clickhouse_url=f"http://{address}"))
sys.stdout.write(generate_latest().decode())
"""
#: Counters by source, which no process knows until it comes; the expression itself takes care of them.
BY_SOURCE = {"footlights_ledger_dropped_records"}
#: Histograms without a label are there with all their buckets.
WINDOWED = re.compile(r"\b(?:increase|rate)\((\w+)(\{[^}]*\})?\[")
Labels = frozenset[tuple[str, str]]
Shown = dict[str, dict[Labels, float]]


def shown(text: str) -> Shown:
    out: Shown = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            out.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return out


def worker(folder: Path) -> Shown:
    """A process of its own, since the stages count in Prometheus' default registry."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER, NOBODY, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return shown(done.stdout)


def sink(folder: Path) -> Shown:
    config = SinkConfig(
        bootstrap=NOBODY, schema_registry=f"http://{NOBODY}", clickhouse_url=f"http://{NOBODY}", group="g"
    )
    return shown(generate_latest(Loop(config, threading.Event())._metrics.registry).decode())


def monitor(folder: Path) -> Shown:
    registry = CollectorRegistry()
    addresses = {
        "FOOTLIGHTS_KAFKA": NOBODY,
        "FOOTLIGHTS_SCHEMA_REGISTRY": f"http://{NOBODY}",
        "FOOTLIGHTS_CLICKHOUSE": f"http://{NOBODY}",
    }
    watching = Monitor(load({"FOOTLIGHTS_DATA_DIR": str(folder), "FOOTLIGHTS_CANARY_S": "0", **addresses}), registry)
    try:
        return shown(generate_latest(registry).decode())
    finally:
        watching.close()


def collector(folder: Path) -> Shown:
    lanes = Lanes(
        bootstrap_servers=NOBODY, schema_registry=f"http://{NOBODY}", folder=folder, pseudonymise=HmacPseudonymiser(b"k" * 32),
        limits=Limits(1 << 20, 60.0), kafka_config={},
    )  # fmt: skip
    try:
        app = Collector(lanes, KeyFile(folder / "keys.json"), Places(None), Cities(10))
        return shown(generate_latest(app.telemetry.registry).decode())
    finally:
        lanes.close(1.0)


PROCESSES: dict[str, Callable[[Path], Shown]] = {f.__name__: f for f in (worker, sink, monitor, collector)}


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shown]:
    return {name: show(tmp_path_factory.mktemp(name)) for name, show in PROCESSES.items()}


def combinations(**values: Iterable[object]) -> set[Labels]:
    pairs = [[(name, str(value)) for value in of] for name, of in values.items()]
    return {frozenset(chosen) for chosen in itertools.product(*pairs)}


PARTITIONS = {(f.name, p) for f in FAMILIES.values() for p in range(TOPICS[f.topic].partitions)}
ANYWHERE = (*ROUTES, "other")
#: All that must be there, in plain words; a counter without a label is one series.
WANTED: dict[str, set[Labels]] = {
    "footlights_stream_rows_total": combinations(family=FAMILIES),
    "footlights_stream_dead_letters_total": combinations(family=FAMILIES, stage=("decode", "validate")),
    "footlights_stream_cold_rows_total": combinations(family=FAMILIES, level=("minute", "hour", "day")),
    "footlights_stream_truncated_total": {frozenset({("family", f), ("partition", str(p))}) for f, p in PARTITIONS},
    "footlights_round_failures_total": combinations(work=("cohorts", "sessions")),
    "footlights_sink_collisions_total": combinations(topic=BY_TOPIC),
    "footlights_collector_request_duration_seconds_count": combinations(route=ANYWHERE, status=(500, 503)),
    "footlights_collector_refused_requests_total": combinations(route=ANYWHERE, status=(400, 408, 413, 415, 422)),
    "footlights_collector_events_total": combinations(result=("ok",), code=("",))
    | combinations(result=("warning",), code=("REDACTED", "IGNORED"))
    | combinations(result=("retry",), code=("UNAVAILABLE",))
    | combinations(
        result=("drop",),
        code=(
            "INVALID_JSON",
            "SCHEMA_VIOLATION",
            "UNKNOWN_SCHEMA",
            "EVENT_TOO_LARGE",
            "OPTED_OUT",
            "NAIVE_DATETIME",
            "RESERVED_NAME",
        ),
    ),
}


def counters() -> list[str]:
    expressions = [r.expr for r in all_rules()] + [r.expr for r in RECORDINGS]
    return sorted({name for expr in expressions for name, _ in WINDOWED.findall(expr)} - BY_SOURCE)


def test_the_walk_finds_the_counters() -> None:
    assert {
        "footlights_stream_truncated_total",
        "footlights_sink_failures_total",
        "footlights_monitor_looks_total",
    } <= {*counters()}
    assert WANTED.keys() <= {*counters()}


@pytest.mark.parametrize("name", counters())
def test_a_counter_of_a_rule_is_there_from_the_start(processes: dict[str, Shown], name: str) -> None:
    holders = [shown[name] for shown in processes.values() if name in shown]
    assert len(holders) == 1, f"{name} is exported by {len(holders)} kinds of process as they start"
    [series] = holders
    assert set(series.values()) == {0.0}
    if name.endswith("_bucket"):
        assert {labels - {*((k, v) for k, v in labels if k == "le")} for labels in series} == {frozenset()}
    else:
        assert series.keys() == WANTED.get(name, {frozenset()}), json.dumps([name, [dict(s) for s in series]])


@pytest.mark.parametrize("rule", all_rules(), ids=lambda r: r.name)
def test_growth_is_asked_for_in_one_way(rule: Rule) -> None:
    """`increase` and `rate` alone are blind to a first increment; a histogram without labels and a clock may be asked plainly."""
    expr = rule.expr
    for name, selector in WINDOWED.findall(expr):
        if not name.endswith("_bucket") and name != KINDS["monitor"]:
            assert f"{name}{selector} unless last_over_time({name}{selector}[" in expr, expr


@pytest.mark.parametrize(("kind", "name"), KINDS.items())
def test_a_kind_of_process_is_told_by_what_it_always_shows(processes: dict[str, Shown], kind: str, name: str) -> None:
    assert [k for k, found in processes.items() if name in found] == ["worker" if kind == "kpis" else kind]
