"""The crash tests can fail: without the rules that they test, the same runs come out wrong.

In: real parts with a rule switched off. Out: wrong books.
Never: a control that is wrong for another reason: each has a twin with the rule on that is exact.

The gaps that Faust makes in rebalances are a matter of milliseconds, so that a run of the platform hits them at random only.
Their controls therefore force the interleavings on a real broker, on a small app over the platform's own transport; its
cures one by one are in `tests/stream_apps/transport/test_causes_of_loss.py`.
"""

import signal
from pathlib import Path

import pytest

from tests.stream_apps.transport.cluster import CountingCluster
from tests.stream_apps.transport.test_causes_of_loss import restart_into, restarts
from tests.torture.lone import bare_platform, publish, running, settled

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

CURES = ("hold_sources", "fence_fetches", "seek_uncommitted", "guard")


@pytest.mark.parametrize("off", ["", "offset_rule"])
def test_replayed_rows_count_twice_without_the_offset_rule(tmp_path: Path, off: str) -> None:
    with bare_platform(tmp_path / "data") as platform, running(platform, "sink"):
        publish(platform, 1)
        with running(platform, "worker", FOOTLIGHTS_FAILPOINT="measures.flushed") as victim:
            assert victim.wait(60) == -signal.SIGKILL
        with running(platform, "worker", FOOTLIGHTS_SWITCH_OFF=off):
            platform.run("wait", "--idle", "--timeout", "90")  # all is replayed
            # The KPI stage replaces by offset, so that a wrong partial shows once a later row touches its bucket.
            publish(platform, 2)
            verdict = settled(platform)
    assert verdict.compared
    assert bool(verdict.different) is bool(off), verdict


INTERLEAVINGS = ("linger_after_seek", "fetch_across_seek")


@pytest.mark.parametrize("interleaving", INTERLEAVINGS)
def test_rebalances_lose_records_without_guard_and_cures(kafka: str, tmp_path: Path, interleaving: str) -> None:
    clusters = restarts(kafka, tmp_path, interleaving, **dict.fromkeys(CURES, False))
    assert any(cluster.wrong() for cluster in clusters)


@pytest.mark.parametrize("interleaving", INTERLEAVINGS)
def test_the_same_rebalances_are_exact_with_guard_and_cures(kafka: str, tmp_path: Path, interleaving: str) -> None:
    with CountingCluster(kafka, tmp_path) as cluster:
        restart_into(cluster, interleaving)
        assert not cluster.wrong()
