"""Whatever kills the sink, each record has one effect."""

import random
import signal
import time

import pytest

from sinks.failpoints import AFTER_BATCHES, AFTER_INSERT, PLACES
from tests.sinks.audit import audit, contents
from tests.sinks.conftest import Bench
from tests.sinks.traffic import START_MS, record

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


def test_a_healthy_run(bench: Bench) -> None:
    bench.traffic.mixed(3000)
    bench.traffic.flush()
    bench.drain(bench.start())
    audit(bench)


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_at_each_place(bench: Bench, place: str) -> None:
    bench.traffic.mixed(1500)
    bench.traffic.flush()
    dead = bench.start(failpoint=f"{place}:2", flush_rows=300)
    assert dead.wait(30) == -signal.SIGKILL, bench.log()
    # Other limits than before: only the plan that is read back from the store makes the same batch again.
    bench.drain(bench.start(flush_rows=170))
    audit(bench)


@pytest.mark.parametrize("place", [AFTER_INSERT, AFTER_BATCHES])
@pytest.mark.parametrize("kind", ["repeats", "garbage"])
def test_a_kill_at_a_batch_without_a_row(bench: Bench, kind: str, place: str) -> None:
    first = record(bench.traffic.rng, START_MS)
    bench.traffic.send(first, partition=0)
    bench.traffic.flush()
    bench.drain(bench.start())
    for _ in range(50):
        if kind == "repeats":
            bench.traffic.send(first, partition=0)
        else:
            bench.traffic.garbage(partition=0)
    bench.traffic.flush()
    assert bench.start(failpoint=place, flush_s=1.0).wait(30) == -signal.SIGKILL, bench.log()
    bench.drain(bench.start(flush_rows=7))
    audit(bench)
    assert bench.rows("SELECT count() FROM footlights.events_commerce") == [(1,)]


def test_damaged_answers_are_fetched_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAMAGE", "3")
    sink = bench.start(flush_rows=170)
    deadline = time.monotonic() + 60
    while (
        "another checksum" not in bench.log()
    ):  # a busy machine fetches much at once, and every third answer is damaged
        assert time.monotonic() < deadline
        bench.traffic.mixed(500)
        bench.traffic.flush()
        time.sleep(0.3)
    bench.drain(sink)
    audit(bench)


def test_random_kills(bench: Bench) -> None:
    rng = random.Random(5)
    for _ in range(4):
        bench.traffic.mixed(700)
        bench.traffic.flush()
        written = bench.rows("SELECT count() FROM footlights.batches")[0][0]
        sink = bench.start(flush_rows=rng.choice([10, 20, 40]))
        until = written + rng.randint(1, 6)
        bench.until(lambda n=until: bench.rows("SELECT count() FROM footlights.batches")[0][0] >= n, process=sink)
        time.sleep(rng.random() * 0.1)
        sink.kill()
        sink.wait()
    bench.drain(bench.start())
    audit(bench)
    assert len({*bench.rows("SELECT lease FROM footlights.batches")}) > 2


def test_the_table_is_a_function_of_the_log(bench: Bench) -> None:
    bench.traffic.mixed(1500)
    bench.traffic.flush()
    bench.drain(bench.start())
    once = contents(bench)
    for table in ("events_commerce", "duplicates", "batches"):
        bench.store.command(f"TRUNCATE TABLE footlights.{table}")
    bench.drain(bench.start(flush_rows=37, rebuild=1, dedup_ids=28 * 100))
    assert contents(bench) == once
    audit(bench)
