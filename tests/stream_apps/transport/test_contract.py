"""What an agent may rely on, on a real broker."""

import signal
import time
from pathlib import Path

import pytest

from tests.stream_apps.transport.cluster import CountingCluster

pytestmark = pytest.mark.kafka


def test_batches_come_in_order_complete_and_merged(kafka: str, tmp_path: Path) -> None:
    with CountingCluster(kafka, tmp_path, trace=True, transport={"min_rows": 1_000, "max_wait_ms": 500}) as cluster:
        cluster.send(10_000)
        cluster.start(faust={"broker_max_poll_records": 300})
        cluster.wait_until_counted(40)
        traced = cluster.traced()
    following = dict.fromkeys(range(4), 0)
    for batch in traced:
        assert batch["first"] == following[batch["partition"]]
        assert batch["last"] - batch["first"] + 1 == batch["rows"]
        following[batch["partition"]] = batch["last"] + 1
    assert set(following.values()) == {10_000}
    whole = [batch for batch in traced if batch["last"] < 9_000]
    assert min(batch["rows"] for batch in whole) >= 1_000  # merged from fetches of at most 300


def test_a_lone_record_does_not_wait_for_others(kafka: str, tmp_path: Path) -> None:
    with CountingCluster(kafka, tmp_path, transport={"min_rows": 1_000_000, "max_wait_ms": 100}) as cluster:
        cluster.send(1)
        cluster.start()
        assert {c.count for c in cluster.wait_until_counted(40).values()} == {1}


def test_nothing_is_committed_before_it_is_acknowledged(kafka: str, tmp_path: Path) -> None:
    with CountingCluster(kafka, tmp_path) as cluster:
        cluster.send(1_000)
        silent = cluster.start(ack=False)
        cluster.wait_until_counted(40)
        time.sleep(2)
        assert cluster.committed() == {}
        silent.terminate()
        silent.wait()
        assert cluster.committed() == {}
        cluster.send(1_000)
        cluster.start()
        cluster.wait_until_counted(40)
        deadline = time.monotonic() + 20
        while cluster.committed() != dict.fromkeys(range(4), 2_000):
            assert time.monotonic() < deadline, cluster.committed()
            time.sleep(0.3)
        assert not cluster.wrong()


def test_a_slow_agent_holds_the_reading_back(kafka: str, tmp_path: Path) -> None:
    options = {"slow_s": 0.1, "maxsize": 4, "trace": True, "faust": {"broker_max_poll_records": 500}}
    transport = {"min_rows": 500, "max_wait_ms": 20}
    with CountingCluster(kafka, tmp_path, partitions=2, transport=transport, **options) as cluster:
        cluster.send(20_000)
        cluster.start()
        cluster.wait_until_counted(60)
        furthest = max(batch["ahead"] for batch in cluster.traced())
    assert 500 <= furthest <= 6 * 1_000  # a queue of four batches and what was fetched when it filled


@pytest.mark.slow
def test_counts_are_exact_when_workers_are_killed_stopped_and_joined(kafka: str, tmp_path: Path) -> None:
    with CountingCluster(kafka, tmp_path, slow_s=0.05) as cluster:
        cluster.send(20_000)
        first, second = cluster.start(), cluster.start()
        time.sleep(5)
        first.send_signal(signal.SIGKILL)
        cluster.start()
        cluster.send(10_000)
        time.sleep(5)
        second.send_signal(signal.SIGTERM)
        cluster.send(10_000)
        time.sleep(1)
        cluster.start()
        cluster.send(10_000)
        cluster.wait_until_counted(60)
        assert not cluster.wrong()


@pytest.mark.slow
def test_the_partitions_of_a_killed_worker_work_again_within_15_s(kafka: str, tmp_path: Path) -> None:
    with CountingCluster(kafka, tmp_path) as cluster:
        cluster.send(1_000)
        worker = cluster.start()
        cluster.wait_until_counted(40)
        worker.kill()
        worker.wait()
        cluster.send(1_000)
        cluster.start()
        cluster.wait_until_counted(15)
        assert not cluster.wrong()
