"""A worker with both stages on the real broker: killed inside a checkpoint, it loses no point and contradicts none."""

import io
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest

from schemas.families import INTERNAL
from stream_apps.compute.kpi.stage import KpiStage
from stream_apps.compute.records import Records
from tests.stream_apps.measures.cluster import MeasuresCluster
from tests.stream_apps.measures.traffic import rows

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
STAGES = ("measures", "kpis")
FAMILIES = ("interaction", "commerce")
Window = tuple[str, str, str, str, int]


@pytest.fixture
def cluster(kafka: str, registry_url: str, tmp_path: Path) -> Iterator[MeasuresCluster]:
    with MeasuresCluster(kafka, registry_url, tmp_path) as made:
        yield made


def decoded(cluster: MeasuresCluster, topic: str, record: str) -> list[dict[str, Any]]:
    """All records of a topic."""
    schema = fastavro.parse_schema(INTERNAL[record].schema)
    held: list[Any] = [fastavro.schemaless_reader(io.BytesIO(v[5:]), schema, None) for _, v in cluster.consume(topic)]
    return held


def window(point: dict[str, Any]) -> Window:
    return point["tenant_id"], point["kpi"], point["window"], point["by"], point["window_start_ms"]


def wanted(cluster: MeasuresCluster) -> dict[Window, float | None]:
    """What a stage says that reads all of `measures` at once and never dies."""
    stage = KpiStage(Records(), 1)
    for offset, partial in enumerate(decoded(cluster, "measures", "partial")):
        stage.take(partial, offset, 0)
    stage.evaluate(0, quiet=True)
    return {window(p): p["value"] for p in stage.checkpoint(0).points}


def feed_until_killed(cluster: MeasuresCluster, logs: dict[str, list[dict[str, Any]]], failpoint: str) -> None:
    """Publish a little at a time until the worker comes to the failpoint."""
    victim = cluster.start(stages=STAGES, failpoint=failpoint)
    deadline = time.monotonic() + 90
    while victim.poll() is None:
        assert time.monotonic() < deadline, cluster.log_of(victim)[-2000:]
        for family, log in logs.items():
            cluster.produce(family, log[:20])
            del log[:20]
        time.sleep(0.2)
    assert victim.returncode == -signal.SIGKILL, cluster.log_of(victim)[-2000:]


def test_kills_around_publication_lose_and_contradict_no_point(cluster: MeasuresCluster) -> None:
    logs = {f: rows(f, 900, seed=41, repeated=0.1, late=0.02) for f in FAMILIES}
    for family, log in logs.items():
        cluster.produce(family, log[:200])
        del log[:200]
    for failpoint in ("kpis.checkpointed:2", "kpis.published:2"):
        feed_until_killed(cluster, logs, failpoint)
    for family, log in logs.items():
        cluster.produce(family, log)
    cluster.start(stages=STAGES)
    cluster.wait()
    expected, deadline = wanted(cluster), time.monotonic() + 90
    assert len(expected) > 1_000
    while True:
        points = decoded(cluster, "kpi-points", "kpi_point")
        latest = {window(p): p["value"] for p in points}
        if latest == expected or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    wrong = [w for w in latest.keys() | expected.keys() if latest.get(w, "none") != expected.get(w, "none")]
    assert wrong == [], cluster.log_of(cluster.workers[-1])[-2000:]
    said = defaultdict(set)
    for point in points:
        if point["final"]:
            said[window(point), point["revision"]].add(point["value"])
    assert [place for place, values in said.items() if len(values) > 1] == []
