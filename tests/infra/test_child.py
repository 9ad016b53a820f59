"""One child: readiness, back-off, the exit that nobody restarts, the end.

In: tiny processes; the clock is a number.
Out: states and restarts.
Never: a wait longer than the process itself.
"""

import os
import time
from pathlib import Path

import psutil
import pytest

from infra.supervisor import child as module
from infra.supervisor.child import BACKOFF, RUNNING, STARTING, STOPPED, Child
from tests.infra.children import plain, server

FOREVER = "import time\nwhile True: time.sleep(1)"


def ended(child: Child) -> None:
    """Wait for the process to end by itself."""
    deadline = time.monotonic() + 20
    while not child.gone:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def finish(child: Child) -> None:
    child.kill()
    ended(child)


def test_it_is_running_only_when_the_probe_says_so(tmp_path: Path) -> None:
    ready = False
    child = plain(tmp_path, FOREVER, lambda: ready)
    assert (child.state, child.pid, child.rss_bytes, child.gone) == (STOPPED, None, None, True)
    child.start(0)
    child.tick(1)
    assert child.state == STARTING and child.pid and (child.rss_bytes or 0) > 0
    ready = True
    child.tick(2)
    assert child.state == RUNNING
    child.terminate()
    ended(child)
    child.tick(100)
    assert (child.state, child.restarts, child.pid) == (STOPPED, 0, None)


def test_back_off_doubles_to_five_seconds_and_no_child_is_given_up(tmp_path: Path) -> None:
    child, now, waits = plain(tmp_path, "raise SystemExit(3)", lambda: False), 0.0, []
    child.start(now)
    for _ in range(6):
        ended(child)
        child.tick(now)
        assert child.state == BACKOFF
        wait = 0.0
        while child.state == BACKOFF:
            wait += 0.25
            child.tick(now + wait)
        waits.append(wait)
        now += wait
    finish(child)
    assert waits == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0] and child.restarts == 6


@pytest.mark.parametrize(("steady", "wait"), [(9.0, 1.0), (10.0, 0.5)])
def test_ten_seconds_of_running_forgive(tmp_path: Path, steady: float, wait: float) -> None:
    child = plain(tmp_path, FOREVER)
    child.start(0)
    child.tick(0)
    finish(child)
    child.tick(0)  # the first failure: 0.5 s, and the next would be 1 s
    child.tick(0.5)
    assert child.state == RUNNING and child.restarts == 1
    child.tick(0.5 + steady)
    finish(child)
    child.tick(20)
    child.tick(20 + wait - 0.01)
    assert child.state == BACKOFF
    child.tick(20 + wait)
    assert child.state == RUNNING and child.restarts == 2
    finish(child)


def test_time_of_starting_is_no_time_of_running(tmp_path: Path) -> None:
    ready = False
    child = plain(tmp_path, FOREVER, lambda: ready)
    child.start(0)
    finish(child)
    child.tick(0)
    child.tick(0.5)
    ready = True
    child.tick(60)  # it took a minute to be ready
    child.tick(61)
    finish(child)
    child.tick(62)
    child.tick(62.9)
    assert child.state == BACKOFF
    child.tick(63)
    assert child.state == RUNNING
    finish(child)


def test_exit_78_is_held_until_somebody_starts_it(tmp_path: Path) -> None:
    child = plain(tmp_path, "raise SystemExit(78)", lambda: False)
    child.start(0)
    ended(child)
    child.tick(0)
    assert (child.state, child.held) == (STOPPED, True)
    child.tick(1_000)
    assert (child.state, child.restarts) == (STOPPED, 0)
    child.start(1_000)
    assert (child.state, child.held) == (STARTING, False)
    finish(child)


def test_a_command_that_cannot_be_made_is_tried_again(tmp_path: Path) -> None:
    def command() -> list[str]:
        raise RuntimeError("another broker is using the folder")

    child = Child("kafka", command, lambda: True, tmp_path / "kafka.log")
    child.start(0)
    assert child.state == BACKOFF and child.pid is None
    assert child.last_word == "kafka cannot start: another broker is using the folder"
    child.tick(0.5)
    assert child.restarts == 1 and child.state == BACKOFF


def test_output_goes_to_the_log_and_a_long_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_BYTES", 10)
    child = plain(tmp_path, "import sys; print('to stdout', flush=True); print('to stderr', file=sys.stderr)")
    child.start(0)
    ended(child)
    log = tmp_path / "logs" / "child.log"
    assert log.read_text() == "to stdout\nto stderr\n" and child.last_word == "to stderr"
    child.start(1)
    ended(child)
    assert log.read_text() == log.with_suffix(".log.1").read_text() == "to stdout\nto stderr\n"


def test_its_pid_is_the_process_itself_in_a_session_of_its_own(tmp_path: Path) -> None:
    child = server(tmp_path, "x")
    child.start(0)
    pid = child.pid
    assert pid is not None
    deadline = time.monotonic() + 20
    while not (tmp_path / "x.ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert psutil.Process(pid).children() == [] and os.getsid(pid) == pid  # no Ctrl-C of the terminal reaches it
    child.terminate()
    ended(child)
    assert (tmp_path / "notes").read_text().splitlines() == ["x starts", "x ready", "x ends", "x gone"]
