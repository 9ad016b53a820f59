"""The supervisor over tiny processes: order, restarts, signals, its own death, its socket.

In: a fake stack in a process of its own.
Out: what the children noted, and what the socket answers.
Never: a child left behind.
"""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.supervisor.control import ask, socket_path
from infra.supervisor.ownership import AlreadyRunning, is_owned, owning

Start = Callable[..., "subprocess.Popen[str]"]
ORDER = ["kafka", "registry", "clickhouse", "worker-1", "sink-1"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts supervisors; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(*fields: str, folder: Path = tmp_path) -> "subprocess.Popen[str]":
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.infra.run_fake", str(folder), *fields]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def until(what: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)
    return found


def ready(folder: Path) -> dict[str, Any]:
    def answer() -> dict[str, Any] | None:
        found = ask(folder, {"do": "status"})
        return found if found and found["ready"] else None

    found: dict[str, Any] = until(answer)
    return found


def notes(folder: Path) -> list[str]:
    file = folder / "notes"
    return file.read_text().splitlines() if file.exists() else []


def pids(status: dict[str, Any]) -> dict[str, int]:
    return {p["name"]: p["pid"] for p in status["processes"]}


def survivors(folder: Path) -> list[int]:
    return [p.pid for p in psutil.process_iter(["cmdline"]) if any(str(folder) in w for w in p.info["cmdline"] or [])]


def test_groups_start_when_the_one_before_is_ready(start: Start, tmp_path: Path) -> None:
    start()
    status = ready(tmp_path)
    told = notes(tmp_path)
    assert told[:2] == ["kafka starts", "kafka ready"]
    stores, consumers = told[2:6], told[7:]
    assert sorted(stores) == sorted(f"{n} {w}" for n in ("registry", "clickhouse") for w in ("starts", "ready"))
    assert told[6] == "migrated"
    assert sorted(consumers) == sorted(f"{n} {w}" for n in ("worker-1", "sink-1") for w in ("starts", "ready"))
    assert [p["name"] for p in status["processes"]] == ["supervisor", *ORDER]
    assert all(p["state"] == "running" and p["restarts"] == 0 and p["rss_bytes"] > 0 for p in status["processes"])
    assert json.loads((tmp_path / "state.json").read_text())["internal"]["kafka"] == "127.0.0.1:1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_drains_consumers_first(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    process = start("delay=0.3")
    ready(tmp_path)
    before = len(notes(tmp_path))
    process.send_signal(number)
    assert process.wait(20) == 0
    ends = notes(tmp_path)[before:]
    for earlier, later in (("worker-1", "registry"), ("sink-1", "clickhouse"), ("registry", "kafka")):
        assert ends.index(f"{earlier} gone") < ends.index(f"{later} ends")
    assert survivors(tmp_path) == [] and not socket_path(tmp_path).exists() and not is_owned(tmp_path)


def test_a_second_signal_hurries(start: Start, tmp_path: Path) -> None:
    process = start("delay=60", "grace_s=60")
    ready(tmp_path)
    process.send_signal(signal.SIGINT)
    until(lambda: "worker-1 ends" in notes(tmp_path))
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert survivors(tmp_path) == [] and "worker-1 gone" not in notes(tmp_path)


def test_who_does_not_end_in_time_is_killed(start: Start, tmp_path: Path) -> None:
    process = start("delay=60", "grace_s=0.5")
    ready(tmp_path)
    assert ask(tmp_path, {"do": "down"}) == {"stopping": True}
    assert process.wait(15) == 0 and survivors(tmp_path) == []


def test_a_killed_supervisor_leaves_nobody_and_the_next_one_starts(start: Start, tmp_path: Path) -> None:
    process = start()
    ready(tmp_path)
    process.kill()
    process.wait()
    until(lambda: not survivors(tmp_path), 3)
    assert socket_path(tmp_path).exists() and ask(tmp_path, {"do": "status"}) is None and not is_owned(tmp_path)
    start()
    assert ready(tmp_path)["ready"]


def test_a_killed_child_comes_back_under_its_name(start: Start, tmp_path: Path) -> None:
    start()
    before = pids(ready(tmp_path))
    os.kill(before["worker-1"], signal.SIGKILL)

    def back() -> dict[str, Any] | None:
        found = ready(tmp_path)
        assert pids(found)["worker-1"], "running without a process"
        return found if pids(found)["worker-1"] != before["worker-1"] else None

    after = until(back)
    assert {p["name"]: p["restarts"] for p in after["processes"]}["worker-1"] == 1
    assert {n: p for n, p in pids(after).items() if n != "worker-1"} == {
        n: p for n, p in before.items() if n != "worker-1"
    }


def test_a_worker_that_dead_letters_stopped_waits_for_its_release(start: Start, tmp_path: Path) -> None:
    start("bad=1")
    until(lambda: (ask(tmp_path, {"do": "held"}) or {}).get("held") == ["worker-1"])
    status = ask(tmp_path, {"do": "status"})
    assert status is not None and not status["ready"]
    assert {p["name"]: (p["state"], p["pid"], p["restarts"]) for p in status["processes"]}["worker-1"] == (
        "stopped",
        None,
        0,
    )
    assert ask(tmp_path, {"do": "resume"}) == {"resumed": ["worker-1"]}
    assert ready(tmp_path)["ready"] and ask(tmp_path, {"do": "held"}) == {"held": []}


def test_a_release_holds_for_who_is_about_to_stop_and_only_once(start: Start, tmp_path: Path) -> None:
    def held() -> list[str]:
        return list((ask(tmp_path, {"do": "held"}) or {}).get("held", []))

    def stop(name: str) -> None:
        (tmp_path / f"{name}.stop").touch()

    start("bad=1")
    until(lambda: held() == ["worker-1"])
    assert ask(tmp_path, {"do": "resume"}) == {"resumed": ["worker-1"]}
    assert ask(tmp_path, {"do": "resume"}) == {"resumed": []}  # takes nothing back
    stop("sink-1")  # any other that still ran at the release; in a stack it is the next owner of the partitions
    until(lambda: "sink-1 released" in notes(tmp_path))
    assert ready(tmp_path)["ready"] and held() == []
    stop("sink-1")
    until(lambda: held() == ["sink-1"])
    stop("worker-1")  # was released and found more of them
    until(lambda: held() == ["worker-1", "sink-1"])
    time.sleep(1)
    assert held() == ["worker-1", "sink-1"]
    assert [note for note in notes(tmp_path) if "released" in note] == ["worker-1 released", "sink-1 released"]
    assert ask(tmp_path, {"do": "resume"}) == {"resumed": ["worker-1", "sink-1"]}
    assert ready(tmp_path)["ready"]


def test_a_migration_that_fails_is_tried_again(start: Start, tmp_path: Path) -> None:
    process = start("failures=2")
    ready(tmp_path)
    process.terminate()
    said = process.communicate(timeout=20)[0]
    assert said.count("migration waits: the store is not there yet") == 2 and said.count("ready\n") == 1


def test_a_long_migration_leaves_the_supervisor_answering(start: Start, tmp_path: Path) -> None:
    process = start("slow_s=60")
    until(lambda: "clickhouse ready" in notes(tmp_path))
    began = time.monotonic()
    status = until(lambda: ask(tmp_path, {"do": "status"}))
    assert time.monotonic() - began < 3 and not status["ready"]
    assert {p["name"]: p["state"] for p in status["processes"]}["worker-1"] == "stopped"
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 0 and "worker-1 starts" not in notes(tmp_path)


def test_the_socket_is_private_and_survives_strangers(start: Start, tmp_path: Path) -> None:
    start()
    ready(tmp_path)
    path = socket_path(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for words in (b"", b"nonsense\n", b"[1]\n", b'{"do": "dance"}\n', b"\xff\n"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(5)
            client.connect(str(path))
            client.sendall(words)
            client.shutdown(socket.SHUT_WR)
            assert json.loads(client.makefile("rb").readline() or "{}") == {"error": "unknown request"}
    assert ask(tmp_path, {"do": "resume"}) == {"resumed": []}
    assert ready(tmp_path)["ready"]


def test_two_folders_run_side_by_side_and_one_folder_runs_once(start: Start, tmp_path: Path) -> None:
    start(folder=tmp_path / "one")
    start(folder=tmp_path / "two")
    first, second = ready(tmp_path / "one"), ready(tmp_path / "two")
    assert not set(pids(first).values()) & set(pids(second).values())
    again = start(folder=tmp_path / "one")
    assert again.wait(20) == 1 and again.stdout is not None and "already runs" in again.stdout.read()
    with pytest.raises(AlreadyRunning), owning(tmp_path / "two"):
        pass


def test_a_folder_with_a_long_name(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / ("ä" * 60)  # more than a hundred bytes, fewer characters
    process = start(folder=folder)
    assert ready(folder)["ready"] and len(os.fsencode(socket_path(folder))) < 100
    process.terminate()
    assert process.wait(20) == 0 and not socket_path(folder).exists()


def test_asking_whether_somebody_owns_a_folder_makes_none(tmp_path: Path) -> None:
    assert not is_owned(tmp_path / "absent") and not (tmp_path / "absent").exists()
    with owning(tmp_path):
        assert is_owned(tmp_path)
    assert not is_owned(tmp_path)
