"""What was answered with 202 is never lost: not by SIGKILL, not by a broker that is away, not by a full disk."""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.kafka import KafkaServer
from infra.embedded.ports import free_port
from tests.collector.conftest import Served
from tests.producers.reading import read
from tests.torture.platform import Platform

pytestmark = pytest.mark.kafka
KILLS = int(os.environ.get("FOOTLIGHTS_TEST_KILLS", "3"))
Serve = Callable[..., Served]


class Sender(threading.Thread):
    """Sends small batches without a pause and repeats what was not answered; `taken` is what was."""

    def __init__(self, served: Served, token: str, name: str) -> None:
        super().__init__()
        self._served, self._token, self._name = served, token, name
        self.stopping = threading.Event()
        self.taken: set[str] = set()
        self.refusals: list[tuple[int, str | None]] = []

    def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            ids = [f"{self._name}-{number}-{n}" for n in range(5)]
            events = [{"type": "track", "event": "search", "userId": f"u{number % 50}", "messageId": i} for i in ids]
            try:
                answer = self._served.post("/v1/batch", {"batch": events}, self._token)
            except (OSError, ValueError, HTTPException):
                time.sleep(0.02)
                continue  # the same batch again
            if answer.status == 202:
                self.taken.update(ids)
                number += 1
            else:
                self.refusals.append((answer.status, answer.headers.get("retry-after")))
                time.sleep(0.05)


def sending(served: Served, token: str) -> list[Sender]:
    senders = [Sender(served, token, f"s{n}") for n in range(3)]
    for sender in senders:
        sender.start()
    return senders


def ended(senders: list[Sender]) -> set[str]:
    for sender in senders:
        sender.stopping.set()
    for sender in senders:
        sender.join()
    return set[str]().union(*(sender.taken for sender in senders))


def stored(served: Served, source: str, wanted: set[str]) -> list[Any]:
    """Records of a source, once all that is wanted is there."""
    deadline = time.monotonic() + 60
    while True:
        found = read(served.kafka, ["events.interaction"], source)
        missing = wanted - {r.record["original_id"] for r in found}
        if not missing:
            return found
        assert time.monotonic() < deadline, f"{len(missing)} of {len(wanted)} are lost"
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.clickhouse
def test_killed_in_the_middle_of_requests(tmp_path: Path) -> None:
    platform, chance = (
        Platform(tmp_path / "data", {"FOOTLIGHTS_WORKERS": "1", "FOOTLIGHTS_COLLECTOR": "true"}),
        random.Random(3),
    )
    platform.up()
    try:
        token = platform.json("token", "--name", "killed-collector")["token"]
        port = int(platform.json("status")["addresses"]["collector"].rpartition(":")[2])
        senders = sending(Served(tmp_path, "", "", port), token)
        for _ in range(KILLS):
            before = sum(len(sender.taken) for sender in senders)
            while sum(len(sender.taken) for sender in senders) < before + 30:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.3))
            platform.signal("collector", signal.SIGKILL)
        taken, deadline = ended(senders), time.monotonic() + 90
        while True:  # the last one's log is taken over by its successor, a few seconds after its start
            found = [row["original_id"] for row in platform.rows("SELECT original_id FROM events_interaction")]
            if not taken - set(found):
                break
            assert time.monotonic() < deadline, "lost"
        while platform.processes()["collector"]["state"] != "running":  # all may be stored before the last one is back
            assert time.monotonic() < deadline, "not back"
        assert (
            Served(tmp_path, "", "", port).post("/v1/identify", {"traits": {"name": "by-nobody"}}, token).status == 422
        )
        platform.run("wait", "--idle", "--timeout", "90", timeout=120)
        ledger = platform.json("ledger", check=False)
        books = platform.json("verify", check=False)
        [letter] = platform.json("deadletters", "list")
        shown = platform.json("deadletters", "show", "http", "0", str(letter["offset"]))
        again = platform.json("deadletters", "replay")
    finally:
        platform.down()
    assert len(found) == len(set(found)), "counted twice"
    assert len(taken) >= KILLS * 30 and ledger["gap"] == 0 and ledger["sources"][0]["unconfirmed"] == 0, ledger
    assert books["compared"] and not books["different"]
    assert (letter["topic"], letter["error_code"]) == ("http", "SCHEMA_VIOLATION") and "by-nobody" in shown["text"]
    assert again == {"found": 0, "published": 0}, "its sender was told, and sends it again itself"


@pytest.mark.slow
def test_a_broker_that_is_away_costs_nothing(serve: Serve, kafka_server: KafkaServer) -> None:
    served = serve()
    token = served.token("no-broker")
    senders = sending(served, token)
    time.sleep(0.5)
    kafka_server.kill()
    before = sum(len(sender.taken) for sender in senders)
    time.sleep(3)
    assert sum(len(sender.taken) for sender in senders) > before + 100, "it takes events into its log meanwhile"
    kafka_server.start(timeout=60)
    taken = ended(senders)
    stored(served, "no-broker", taken)


def test_a_registry_that_was_never_there_is_a_reason_to_come_again(serve: Serve) -> None:
    served = serve(schema_registry=f"http://127.0.0.1:{free_port()}")
    answer = served.post("/v1/track", {"event": "search", "userId": "u1"}, served.token())
    assert (answer.status, answer.body["error_code"]) == (503, "UNAVAILABLE"), answer
    assert int(answer.headers["retry-after"]) > 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)], check=False).returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_refuses_with_a_time_and_loses_nothing(
    platform: tuple[str, str], small_disk: Path, kafka_server: KafkaServer
) -> None:
    served = Served(small_disk, *platform).start()
    try:
        token = served.token("full-disk")
        assert served.post("/v1/track", {"event": "search", "userId": "u1"}, token).status == 202
        kafka_server.kill()
        filler = small_disk / "filler"
        filler.write_bytes(b"x" * (4 << 20))
        senders = sending(served, token)
        deadline = time.monotonic() + 60
        while not all(sender.refusals for sender in senders):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        full = sum(len(sender.taken) for sender in senders)
        filler.unlink()
        while sum(len(sender.taken) for sender in senders) == full:
            assert time.monotonic() < deadline + 30, "it takes events again once there is room"
            time.sleep(0.1)
        kafka_server.start(timeout=60)
        taken = ended(senders)
        assert {status for sender in senders for status, _ in sender.refusals} == {503}
        assert all(after and int(after) > 0 for sender in senders for _, after in sender.refusals)
        stored(served, "full-disk", taken)
    finally:
        served.kill()
