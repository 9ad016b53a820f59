"""Each narrow gap by itself: a process dies exactly there, another takes over, and the books are exact.

In: real Kafka, registry and ClickHouse, shared by the module. Out: verdicts.
Never: a pass without the death at the place.
"""

import signal
import time
from collections.abc import Iterator
from itertools import count

import pytest

from tests.torture.lone import append_garbage, bare_platform, publish, repeat_records, running, settled
from tests.torture.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

# The KPI stage's first checkpoint may hold heads alone, its second holds the windows of the run.
STREAM_PLACES = [
    "measures.torn",
    "measures.published",
    "measures.flushed",
    "kpis.checkpointed:2",
    "kpis.published:2",
]
SINK_PLACES = ["before_insert", "after_insert_before_batches", "after_batches_before_commit"]
FROZEN_S = 30
SEEDS = count(1)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with bare_platform(tmp_path_factory.mktemp("failpoints") / "data") as platform:
        publish(platform, next(SEEDS))
        with running(platform, "worker"), running(platform, "sink"):
            check(platform)  # every death below meets a state that it must go on from
        yield platform


def check(platform: Platform) -> None:
    verdict = settled(platform)
    assert verdict.exact, verdict


@pytest.mark.parametrize("place", STREAM_PLACES)
def test_a_worker_dies_there(platform: Platform, place: str) -> None:
    with running(platform, "sink"):
        publish(platform, next(SEEDS))
        with running(platform, "worker", FOOTLIGHTS_FAILPOINT=place) as victim:
            assert victim.wait(60) == -signal.SIGKILL
        with running(platform, "worker"):
            check(platform)


@pytest.mark.parametrize("place", SINK_PLACES)
def test_a_sink_dies_there(platform: Platform, place: str) -> None:
    with running(platform, "worker"):
        publish(platform, next(SEEDS))
        with running(platform, "sink", FOOTLIGHTS_FAILPOINT=place) as victim:
            assert victim.wait(60) == -signal.SIGKILL
        with running(platform, "sink"):
            check(platform)


@pytest.mark.parametrize("kind", ["duplicates", "dead letters"])
def test_a_sink_dies_at_a_batch_without_an_event(platform: Platform, kind: str) -> None:
    with running(platform, "worker"):
        with running(platform, "sink"):
            publish(platform, next(SEEDS))
            check(platform)
        if kind == "duplicates":
            assert repeat_records(platform, "events.interaction", 50) == 50
        else:
            append_garbage(platform, "events.interaction", 50)
        with running(platform, "sink", FOOTLIGHTS_FAILPOINT="after_insert_before_batches") as victim:
            assert victim.wait(60) == -signal.SIGKILL
        with running(platform, "sink"):
            check(platform)


def test_a_worker_and_a_sink_wake_after_others_took_over(platform: Platform) -> None:
    with running(platform, "worker") as worker, running(platform, "sink") as sink:
        publish(platform, next(SEEDS))
        platform.run("wait", "--idle", "--timeout", "120")  # both work, and own everything
        publish(platform, next(SEEDS))
        for frozen in (worker, sink):
            frozen.send_signal(signal.SIGSTOP)
        with running(platform, "worker"), running(platform, "sink"):
            publish(platform, next(SEEDS))
            time.sleep(FROZEN_S)
            for frozen in (worker, sink):
                frozen.send_signal(signal.SIGCONT)
            assert worker.wait(30) == 75, "a worker that slept longer than its session must end"
            check(platform)
