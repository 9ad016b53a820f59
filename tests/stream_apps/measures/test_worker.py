"""A worker on the real broker: exact totals through kills, dead letters beside, a clean end."""

import io
import signal
import time
from pathlib import Path

import fastavro
import pytest

from schemas.catalogue import MEASURES
from schemas.families import FAMILY_NAMES, INTERNAL
from stream_apps.batch_transport import EXIT_NO_PROGRESS
from stream_apps.config import EXIT_BREAKER
from stream_apps.dead_letters import decrypt
from tests.stream_apps.measures.cluster import KEY, MeasuresCluster
from tests.stream_apps.measures.reference import totals
from tests.stream_apps.measures.stored import said
from tests.stream_apps.measures.traffic import rows

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
DECLARED = list(MEASURES.values())


@pytest.fixture
def cluster(kafka: str, registry_url: str, tmp_path: Path):
    with MeasuresCluster(kafka, registry_url, tmp_path) as made:
        yield made


def wrong_cells(cluster: MeasuresCluster) -> int:
    """Cells in which `measures` differs from plain loops over the partitions' logs."""
    states, _ = cluster.partials()
    wrong = 0
    for family, logs in cluster.logs.items():
        for partition, log in enumerate(logs):
            got = said(states[family, partition])
            want = totals(family, [r for r in log if r is not None], DECLARED)
            wrong += sum(got.get(k) != want.get(k) for k in got.keys() | want.keys())
    return wrong


def test_totals_and_heads(cluster: MeasuresCluster) -> None:
    for family in ("interaction", "commerce", "performance"):
        cluster.produce(family, rows(family, 1_500, seed=11))
    worker = cluster.start()
    cluster.wait()
    _, heads = cluster.partials()
    assert wrong_cells(cluster) == 0
    deadline = time.monotonic() + 60
    while len(heads) < 28 and time.monotonic() < deadline:
        _, heads = cluster.partials()
    assert {f for f, _ in heads} == set(FAMILY_NAMES)
    assert heads["account", 3].offset == -1
    assert heads["account", 3].at_end
    worker.send_signal(signal.SIGTERM)
    started = time.monotonic()
    assert worker.wait(15) == 0, cluster.log_of(worker)[-2000:]
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("failpoint", ["measures.published:2", "measures.torn:2", "measures.flushed:2"])
def test_exact_after_a_kill_in_a_checkpoint(cluster: MeasuresCluster, failpoint: str) -> None:
    records = {f: rows(f, 900, seed=17, repeated=0.1) for f in ("interaction", "commerce")}
    for family, log in records.items():
        cluster.produce(family, log[:500])
    victim = cluster.start(failpoint=failpoint)
    deadline = time.monotonic() + 90
    sent = 500
    while victim.poll() is None:
        assert time.monotonic() < deadline, cluster.log_of(victim)[-2000:]
        for family, log in records.items():
            cluster.produce(family, log[sent : sent + 20])
        sent += 20
        time.sleep(0.2)
    assert victim.returncode == -signal.SIGKILL
    for family, log in records.items():
        cluster.produce(family, log[sent:])
    cluster.start()
    cluster.wait()
    assert wrong_cells(cluster) == 0


def test_exact_through_joins_and_kills(cluster: MeasuresCluster) -> None:
    log = rows("commerce", 3_000, seed=29, repeated=0.1)
    workers = [cluster.start(), cluster.start()]
    for step in range(30):
        cluster.produce("commerce", log[step * 100 : step * 100 + 100])
        time.sleep(0.5)
        if step == 10:
            workers[0].send_signal(signal.SIGKILL)
            workers.append(cluster.start())
        if step == 20:
            workers[1].send_signal(signal.SIGTERM)
    cluster.wait()
    assert wrong_cells(cluster) == 0
    # One that is told to stop in the middle of a rebalance may find that it makes no progress; its rows are another's then.
    assert workers[1].wait(15) in (0, EXIT_NO_PROGRESS), cluster.log_of(workers[1])[-2000:]
    assert workers[2].poll() is None


def test_bad_records_go_to_dead_letters(cluster: MeasuresCluster) -> None:
    log = rows("commerce", 300, seed=23)
    cluster.produce("commerce", log[:150])
    cluster.poison("commerce", 1, [b"", b"\x00\x00\x0f\xff\xffunknown", b"no header", b"\x00\x00\x00\x00\x01"])
    cluster.produce("commerce", log[150:])
    cluster.start()
    cluster.wait()
    assert wrong_cells(cluster) == 0
    _, heads = cluster.partials()
    assert heads["commerce", 1].dead_lettered == 4
    schema = fastavro.parse_schema(INTERNAL["dead_letter"].schema)
    letters = {}
    for key, value in cluster.consume("dead-letters"):
        letter = fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None)
        letters[key] = (letter["error_code"], decrypt(bytes.fromhex(KEY), letter))
        assert key.decode() == f"events.commerce|1|{letter['offset']}"
    assert sorted(code for code, _ in letters.values()) == ["EMPTY", "NO_HEADER", "UNDECODABLE", "UNKNOWN_SCHEMA"] or (
        sorted(code for code, _ in letters.values()) == ["EMPTY", "NO_HEADER", "UNKNOWN_SCHEMA", "UNKNOWN_SCHEMA"]
    )
    assert (b"no header") in {payload for _, payload in letters.values()}


def test_breaker_stops_stays_and_is_released(cluster: MeasuresCluster) -> None:
    cluster.poison("feedback", 2, [b"rubbish"] * 1_100)
    first = cluster.start()
    assert first.wait(40) == EXIT_BREAKER, cluster.log_of(first)[-2000:]
    again = cluster.start()
    assert again.wait(40) == EXIT_BREAKER, cluster.log_of(again)[-2000:]
    assert "footlights deadletters resume" in cluster.log_of(again)
    cluster.produce("feedback", rows("feedback", 200, seed=5))
    cluster.start(resume_dead_letters=True)
    cluster.wait()
    assert wrong_cells(cluster) == 0
    assert len({key for key, _ in cluster.consume("dead-letters")}) == 1_100
