"""A worker that cannot go on, or must not, ends with its own exit code."""

import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Producer
from faust.types.tuples import TP

from stream_apps.batch_transport import EXIT_NO_PROGRESS, changelog_topic
from stream_apps.transport.config import TransportConfig
from stream_apps.transport.positions import Positions
from stream_apps.transport.watchdog import FreezeGuard, Patience, Watchdog
from tests.stream_apps.transport.cluster import CountingCluster

STUCK, MOVING = TP("events.commerce", 1), TP("measures", 0)


def test_patience_counts_from_the_last_change() -> None:
    patience = Patience(10.0)
    assert not patience.exceeded(1, now=0.0)
    assert not patience.exceeded(1, now=10.0)
    assert not patience.exceeded(2, now=15.0)
    assert not patience.exceeded(2, now=25.0)
    assert patience.exceeded(2, now=25.1)
    assert not patience.exceeded(None, now=100.0)
    assert not patience.exceeded(2, now=101.0)


def test_a_freeze_is_seen_before_the_next_beat() -> None:
    left: list[str] = []
    guard = FreezeGuard(freeze_limit_s=0.05, loop_limit_s=60, leave=left.append)
    assert not guard.frozen()
    time.sleep(0.1)
    assert guard.frozen()
    guard.check()
    assert left == ["process_was_frozen"]


class Left(Exception):
    """The watchdog would have ended the process."""


def watched(monkeypatch: pytest.MonkeyPatch, **app: Any) -> tuple[Watchdog, SimpleNamespace]:
    """A watchdog over counters that the test moves, with one partition behind and one that goes on."""
    monkeypatch.setattr(Watchdog, "leave", lambda _, reason, **__: (_ for _ in ()).throw(Left(reason)))
    recovery = SimpleNamespace(active_offsets={})
    state = {"rebalancing": False, "in_recovery": False, "rebalancing_count": 0, **app}
    consumer: Any = SimpleNamespace(
        app=SimpleNamespace(tables=SimpleNamespace(recovery=recovery), **state),
        config=TransportConfig(),
        delivered={STUCK: 5, MOVING: 0},
        delivered_batches=0,
        first_unfinished=lambda _: None,
        awaits_acks=lambda _: False,
        flow_active=True,
        positions=Positions(),
        _n_acked=0,
    )
    watchdog = Watchdog(consumer)
    watchdog._ends = {STUCK: 10, MOVING: 10_000}
    return watchdog, consumer


def test_a_partition_that_stands_still_beside_others_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    watchdog, consumer = watched(monkeypatch)
    with pytest.raises(Left, match="partitions_stand_still_beside_others"):
        for second in range(62):
            consumer.delivered_batches += 1
            consumer.delivered[MOVING] += 1
            watchdog.judge(float(second))
    assert second == 61


def test_partitions_that_all_go_on_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    watchdog, consumer = watched(monkeypatch)
    for second in range(0, 600, 20):
        consumer.delivered_batches += 1
        consumer.delivered = {STUCK: 5 - second, MOVING: second}
        watchdog.judge(float(second))


def test_rebalances_without_end_end_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    watchdog, consumer = watched(monkeypatch, in_recovery=True)
    consumer.flow_active = False
    with pytest.raises(Left, match="rebalances_lead_to_nothing"):
        for second in range(200):
            consumer.app.rebalancing_count = second // 10
            watchdog.judge(float(second))
    assert second == 91


@pytest.mark.kafka
def test_a_frozen_worker_leaves_when_it_wakes(kafka: str, tmp_path: Path) -> None:
    with CountingCluster(kafka, tmp_path, transport={"freeze_limit_s": 1.5}) as cluster:
        cluster.send(100)
        worker = cluster.start()
        cluster.wait_until_counted(40)
        worker.send_signal(signal.SIGSTOP)
        time.sleep(3)
        cluster.send(100)
        worker.send_signal(signal.SIGCONT)
        assert worker.wait(10) == EXIT_NO_PROGRESS
        assert {c.count for c in cluster.counted().values()} == {100}


@pytest.mark.kafka
def test_an_agent_that_hangs_ends_the_worker(kafka: str, tmp_path: Path) -> None:
    with CountingCluster(kafka, tmp_path, transport={"stall_deadline_s": 3, "min_rows": 100}) as cluster:
        cluster.send(3_000)
        worker = cluster.start(slow_s=1_000, maxsize=2, faust={"broker_max_poll_records": 200})
        assert worker.wait(40) == EXIT_NO_PROGRESS
        assert "records_wait_and_none_is_finished" in cluster.logs()


@pytest.mark.kafka
def test_a_recovery_that_stands_still_ends_the_worker(kafka: str, tmp_path: Path) -> None:
    with CountingCluster(kafka, tmp_path, transport={"recovery_deadline_s": 3}) as cluster:
        cluster.send(100)
        first = cluster.start()
        cluster.wait_until_counted(40)
        first.terminate()
        first.wait()
        worker = cluster.start(failpoint="lose_changelog_records")
        assert worker.wait(40) == EXIT_NO_PROGRESS
        assert "recovery_makes_no_progress" in cluster.logs()


@pytest.mark.kafka
def test_recovery_ends_though_the_changelog_ends_without_a_record(kafka: str, tmp_path: Path) -> None:
    with CountingCluster(kafka, tmp_path, partitions=1, transport={"recovery_deadline_s": 20}) as cluster:
        cluster.send(100)
        first = cluster.start()
        cluster.wait_until_counted(40)
        first.terminate()
        first.wait()
        producer = Producer({"bootstrap.servers": kafka, "transactional.id": cluster.app_id})
        producer.init_transactions(20)
        producer.begin_transaction()
        producer.produce(changelog_topic(cluster.app_id, "state"), b"null", key=b'"other"', partition=0)
        producer.commit_transaction(20)  # its marker takes the log's last offset
        cluster.send(100)
        worker = cluster.start()
        deadline = time.monotonic() + 30
        while cluster.committed().get(0) != 200:
            assert worker.poll() is None and time.monotonic() < deadline, cluster.logs()
            time.sleep(0.3)
        assert "changelog_ends_without_record" in cluster.logs()
