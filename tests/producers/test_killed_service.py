"""A service is killed in the middle of `track`, again and again, and the broker is away for a while: nothing taken is lost.

In: a stack, a service that notes what was taken. Out: its notes beside the tables, and the ledger.
Never: a kill before the service has begun.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.torture.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
KILLS = int(os.environ.get("FOOTLIGHTS_TEST_KILLS", "3"))


def kill_in_the_middle(command: list[str], notes: Path, chance: random.Random) -> None:
    before = notes.stat().st_size
    with subprocess.Popen(command) as service:
        deadline = time.monotonic() + 60
        while notes.stat().st_size == before:
            assert service.poll() is None and time.monotonic() < deadline, "the service tracks nothing"
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.3))
        service.send_signal(signal.SIGKILL)


def test_killed_in_the_middle_of_track(tmp_path: Path) -> None:
    notes, spool, chance = tmp_path / "notes", tmp_path / "spool", random.Random(6)
    notes.touch()
    platform = Platform(tmp_path / "data", {"FOOTLIGHTS_WORKERS": "1"})
    platform.up()
    try:
        addresses = platform.json("status", check=False)["addresses"]
        to = [addresses["kafka"], addresses["schema_registry"]]
        command = [sys.executable, "-m", "tests.producers.tracking_app", str(notes), *to, str(spool)]
        for number in range(KILLS):
            if number == KILLS // 2:
                platform.kill("kafka")  # its next services find no broker for a while
            kill_in_the_middle(command + ["computes"] * (number % 2 == 0), notes, chance)
        drain = [
            "-m",
            "footlights",
            "spool",
            str(spool),
            "--drain",
            "--bootstrap-servers",
            to[0],
            "--schema-registry",
            to[1],
        ]
        done = subprocess.run([sys.executable, *drain], capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stdout) == (0, "nothing waits\n"), done
        platform.run("wait", "--idle", "--timeout", "90", timeout=120)
        taken = notes.read_text().split()
        (row,) = platform.rows("SELECT count() AS n, uniqExact(message_id) AS ids FROM events_interaction")
        stored = {
            r["message_id"] for r in platform.rows("SELECT toString(message_id) AS message_id FROM events_interaction")
        }
        ledger = platform.json("ledger", check=False)
        books = platform.json("verify", check=False)
    finally:
        platform.down()
    assert len(taken) == len(set(taken)) > KILLS
    assert not set(taken) - stored
    # A kill between a record's write and its note leaves one more than was noted, at most one for each kill.
    assert row["n"] == row["ids"] and 0 <= row["ids"] - len(taken) <= KILLS
    (source,) = [s for s in ledger["sources"] if s["source"] == "tracking-app"]
    assert (ledger["gap"], source["gap"], source["unconfirmed"], source["stored"]) == (0, 0, 0, row["n"]), ledger
    assert books["compared"] and not books["different"]
