"""Each of the three ways in which stock Faust loses records in a rebalance, forced: lost without its cure, exact with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stream_apps.transport.cluster import CountingCluster

pytestmark = pytest.mark.kafka

SMALL_BATCHES: dict[str, Any] = {"min_rows": 500, "max_wait_ms": 20}
#: Sixty batches of a thousand at most, a tenth of a second each: some still wait in the queues when these are cleared.
SLOW_AGENT: dict[str, Any] = {"slow_s": 0.1, "maxsize": 32, "faust": {"broker_max_poll_records": 1_000}}


def restart_into(cluster: CountingCluster, failpoint: str, **transport: bool) -> None:
    """Count a little, stop, send much, and start again: this worker recovers its table, then meets the failpoint."""
    cluster.send(1_000)
    first = cluster.start()
    cluster.wait_until_counted(40)
    first.terminate()
    first.wait()
    cluster.send(15_000)
    cluster.start(failpoint=failpoint, transport={**SMALL_BATCHES, **transport}, loglevel="INFO", **SLOW_AGENT)
    cluster.wait_until_logged("Worker ready", 30)
    cluster.send(1_000)  # what comes after a loss shows it
    cluster.wait_until_counted(60)


#: A failpoint widens the race, a busy machine may still miss it.
ATTEMPTS = 6
CURES = pytest.mark.parametrize(
    ("failpoint", "cure"), [("linger_after_seek", "hold_sources"), ("fetch_across_seek", "fence_fetches")]
)


def restarts(kafka: str, folder: Path, failpoint: str, **transport: bool) -> Iterator[CountingCluster]:
    """Clusters after a restart into the failpoint, each anew."""
    for attempt in range(ATTEMPTS):
        (home := folder / str(attempt)).mkdir()
        with CountingCluster(kafka, home) as cluster:
            restart_into(cluster, failpoint, **transport)
            yield cluster


@CURES
def test_records_are_lost_without_the_cure(kafka: str, tmp_path: Path, failpoint: str, cure: str) -> None:
    clusters = restarts(kafka, tmp_path, failpoint, **{cure: False}, guard=False)
    assert any(cluster.wrong() for cluster in clusters)


@CURES
def test_the_guard_alone_makes_up_for_a_missing_cure(kafka: str, tmp_path: Path, failpoint: str, cure: str) -> None:
    for cluster in restarts(kafka, tmp_path, failpoint, **{cure: False}):
        assert not cluster.wrong()
        if "seek_back" in cluster.logs():
            return
    pytest.fail("the guard had nothing to do")


@pytest.mark.parametrize("failpoint", ["linger_after_seek", "fetch_across_seek"])
def test_records_stay_with_the_cures_alone(kafka: str, tmp_path: Path, failpoint: str) -> None:
    with CountingCluster(kafka, tmp_path) as cluster:
        restart_into(cluster, failpoint, guard=False)
        assert not cluster.wrong()


@pytest.mark.parametrize("cured", [False, True])
def test_partitions_without_a_commit_begin_at_the_logs_start(kafka: str, tmp_path: Path, cured: bool) -> None:
    with CountingCluster(kafka, tmp_path) as cluster:
        cluster.send(15_000)
        transport = {**SMALL_BATCHES, "seek_uncommitted": cured, "guard": False}
        cluster.start(failpoint="drain_before_seek", transport=transport)
        cluster.wait_until_counted(60)
        assert bool(cluster.wrong()) is not cured
