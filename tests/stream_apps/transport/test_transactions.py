"""Transactions of other producers: what they committed counts once, what they aborted never, and no marker is a gap."""

import json
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.stream_apps.transport.cluster import CountingCluster

pytestmark = pytest.mark.kafka


def transactional(cluster: CountingCluster, name: str) -> Producer:
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "transactional.id": f"{cluster.app_id}-{name}"})
    producer.init_transactions(30)
    return producer


def transaction(cluster: CountingCluster, producer: Producer, rows: int, *, commit: bool, size: int = 100) -> None:
    producer.begin_transaction()
    for _ in range(rows):
        producer.produce(cluster.topic, b"t" * size, partition=0)
        producer.poll(0)
    assert producer.flush(30) == 0
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def wait_until(cluster: CountingCluster, *, count: int, next_offset: int, limit_s: float = 60) -> None:
    """Wait until so many records of partition 0 are counted and its whole log is committed, markers included."""
    deadline = time.monotonic() + limit_s
    while True:
        counted, committed = cluster.counted().get(0), cluster.committed().get(0)
        if counted and counted.count == count and counted.offset == next_offset - 1 and committed == next_offset:
            return
        alive = any(worker.poll() is None for worker in cluster.workers)
        assert alive and time.monotonic() < deadline, f"{counted}, {committed}\n{cluster.logs()}"
        time.sleep(0.2)


def test_committed_records_count_and_markers_are_no_gap(kafka: str, tmp_path: Path) -> None:
    with CountingCluster(kafka, tmp_path, partitions=1) as cluster:
        worker = cluster.start()
        cluster.send(1)
        wait_until(cluster, count=1, next_offset=1)
        producer = transactional(cluster, "a")
        transaction(cluster, producer, 1, commit=True)  # offsets 1, and 2 for its marker
        wait_until(cluster, count=2, next_offset=3)
        cluster.send(1)
        wait_until(cluster, count=3, next_offset=4)
        transaction(cluster, producer, 3, commit=False)  # 4, 5, 6, and 7 for its marker
        wait_until(cluster, count=3, next_offset=8)
        worker.kill()
        worker.wait()
        transaction(cluster, producer, 5, commit=True)
        cluster.start()
        wait_until(cluster, count=8, next_offset=14)
        assert "gap" not in cluster.logs() and "worker_exits" not in cluster.logs()


def test_a_topic_may_begin_with_what_was_aborted(kafka: str, tmp_path: Path) -> None:
    with CountingCluster(kafka, tmp_path, partitions=1) as cluster:
        producer = transactional(cluster, "a")
        transaction(cluster, producer, 3, commit=False)
        cluster.send(1)
        cluster.start()
        wait_until(cluster, count=1, next_offset=5)
        assert "seek_back" not in cluster.logs()


def test_aborted_records_may_fill_many_fetches(kafka: str, tmp_path: Path) -> None:
    with CountingCluster(kafka, tmp_path, partitions=1, trace=True, transport={"max_wait_ms": 0}) as cluster:
        cluster.send(10)
        producer = transactional(cluster, "a")
        transaction(cluster, producer, 4_000, commit=False, size=5_000)  # 20 MB, and a fetch takes one of a partition
        cluster.send(10)
        cluster.start()
        wait_until(cluster, count=20, next_offset=4_021)
        assert any(
            batch["rows"] == 0 for batch in cluster.traced()
        )  # a fetch of which nothing counts moves the state on


def test_transactions_of_two_producers_may_cross(kafka: str, tmp_path: Path) -> None:
    with CountingCluster(kafka, tmp_path, partitions=1) as cluster:
        one, other = transactional(cluster, "a"), transactional(cluster, "b")
        one.begin_transaction()
        other.begin_transaction()
        for producer in (one, other, one, other, one):
            producer.produce(cluster.topic, b"t", partition=0)
            assert producer.flush(30) == 0
        one.abort_transaction(30)
        cluster.send(1)
        other.commit_transaction(30)
        cluster.start()
        wait_until(cluster, count=3, next_offset=8)


@pytest.mark.slow
def test_a_transaction_that_stays_open_stops_no_worker(kafka: str, tmp_path: Path) -> None:
    with CountingCluster(kafka, tmp_path, partitions=1, transport={"stall_deadline_s": 4.0}) as cluster:
        cluster.send(5)
        worker = cluster.start()
        wait_until(cluster, count=5, next_offset=5)
        producer = transactional(cluster, "a")
        producer.begin_transaction()
        producer.produce(cluster.topic, b"t", partition=0)
        assert producer.flush(30) == 0
        cluster.producer.produce(cluster.topic, b"x", partition=0)  # waits behind the open transaction
        assert cluster.producer.flush(30) == 0
        time.sleep(15)
        assert worker.poll() is None, cluster.logs()
        producer.commit_transaction(30)
        wait_until(cluster, count=7, next_offset=8)
        assert json.dumps(cluster.logs()).count("worker_exits") == 0
