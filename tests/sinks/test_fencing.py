"""A sink that stood still must not write again."""

import signal
import threading
import time
import uuid

import pytest

from sinks.errors import Fenced, SinkError
from sinks.patience import Patience, Pulse
from sinks.positions import QUERY_PREFIX, LogRange, Position, read_positions, start_of, take_leases
from sinks.statements import batches_sql
from sinks.store import Store
from sinks.writer import json_lines
from tests.sinks.audit import audit
from tests.sinks.conftest import Bench, renew
from tests.sinks.traffic import TOPIC

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]
PLACE = (TOPIC, 0)


def patient() -> Patience:
    return Patience(Pulse(60), threading.Event(), lambda: None)


def line(first: int, last: int) -> bytes:
    return json_lines([{"topic": TOPIC, "partition": 0, "first": first, "last": last, "rows": 1, "stored": {}}])


def test_a_stopped_sink_does_not_write_when_it_goes_on(bench: Bench) -> None:
    group = uuid.uuid4().hex
    bench.traffic.mixed(2000)
    bench.traffic.flush()
    zombie = bench.start(group=group, flush_rows=50, session_timeout_s=2.5)
    bench.until(lambda: bench.rows("SELECT count() FROM footlights.batches")[0][0] > 3, process=zombie)
    zombie.send_signal(signal.SIGSTOP)
    heir = bench.start(group=group, flush_rows=70, session_timeout_s=2.5)
    bench.until(bench.done, process=heir)
    bench.traffic.mixed(500)
    bench.traffic.flush()
    zombie.send_signal(signal.SIGCONT)
    assert zombie.wait(20) == 70
    bench.drain(heir)
    audit(bench)
    assert "stood still" in bench.log() or "taken over" in bench.log()


def test_the_engine_refuses_an_owner_that_was_replaced(bench: Bench) -> None:
    store = Store(bench.config.clickhouse_url)
    take_leases(store, [PLACE], "old", patient())
    store.insert(batches_sql([PLACE], owner="old"), line(0, 9), token="a", query_id="q1")
    take_leases(store, [PLACE], "new", patient())
    with pytest.raises(Fenced):
        store.insert(batches_sql([PLACE], owner="old"), line(10, 19), token="b", query_id="q2")
    with pytest.raises(Fenced):
        store.insert(batches_sql([PLACE, (TOPIC, 1)], owner="new"), line(10, 19), token="c", query_id="q3")
    store.insert(batches_sql([PLACE], owner="new"), line(10, 19), token="b", query_id="q4")
    assert bench.rows("SELECT first, last FROM footlights.batches ORDER BY first") == [(0, 9), (10, 19)]


def test_an_insert_under_the_same_token_has_one_effect(bench: Bench) -> None:
    store = Store(bench.config.clickhouse_url)
    take_leases(store, [PLACE], "me", patient())
    for number in range(3):
        store.insert(batches_sql([PLACE], owner="me"), line(0, 9), token="same", query_id=f"q{number}")
    assert bench.rows("SELECT count() FROM footlights.batches") == [(1,)]


def test_a_new_owner_waits_for_an_insert_that_runs(bench: Bench) -> None:
    store = Store(bench.config.clickhouse_url)
    slow = (
        "INSERT INTO footlights.batches (topic, partition, first, last) "
        f"SELECT '{TOPIC}', 0, 0, 9 FROM numbers(4) WHERE sleepEachRow(0.5) = 0"
    )
    name = f"{QUERY_PREFIX}{TOPIC}:0:old:1"
    thread = threading.Thread(target=lambda: store.command(slow, query_id=name))
    thread.start()
    bench.until(lambda: bench.rows("SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow%'")[0][0] > 1)
    take_leases(store, [PLACE], "new", patient())
    assert read_positions(store, [PLACE]) == {PLACE: Position(10)}
    thread.join()


def test_a_store_ahead_of_its_topic_stops_the_sink(bench: Bench) -> None:
    bench.traffic.mixed(100)
    bench.traffic.flush()
    bench.drain(bench.start())
    renew(bench.config.bootstrap)
    assert bench.start().wait(30) == 70
    assert "was made anew, or the store belongs to another Kafka" in bench.log()


def test_where_to_read_on() -> None:
    held = LogRange(10, 100)
    assert start_of(PLACE, Position(None), held) == 10
    assert start_of(PLACE, Position(50), held) == 50
    assert start_of(PLACE, Position(100), held) == 100
    assert start_of(PLACE, Position(5), held) == 10
    assert start_of(PLACE, Position(50, (50, 99)), held) == 50
    with pytest.raises(SinkError):
        start_of(PLACE, Position(50, (50, 100)), held)


def test_the_pulse_notices_a_standstill() -> None:
    now = [0.0]
    pulse = Pulse(2.0, clock=lambda: now[0])
    now[0] = 1.9
    pulse.check()
    now[0] = 2.1
    with pytest.raises(Fenced):
        pulse.check()


def test_a_short_session_passes_while_the_process_runs() -> None:
    pulse = Pulse(1.0)
    pulse.start()
    time.sleep(1.5)
    pulse.check()
    pulse.stop()
