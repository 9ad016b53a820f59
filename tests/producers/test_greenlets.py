"""Beside gevent and eventlet: the client stops no greenlet for long, and is stopped by none."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.producers.reading import read
from tests.producers.test_client_unit import NOWHERE, cached

__all__ = ["cached"]
#: A greenlet that sleeps a millisecond, again and again, is late by so much at most in 99 of 100 naps.
LATE_MS = 20.0
TOPICS = ["events.interaction", "events.commerce", "events.feedback", "events.attendance", "events.performance"]
both = pytest.mark.parametrize("library", ["gevent", "eventlet"])
either = pytest.mark.parametrize("order", ["early", "late"])


def run(*words: str) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.producers.greenlets_app", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["naps"] > 500 and told["p99_ms"] <= LATE_MS, told
    return told


@pytest.mark.kafka
@both
@either
def test_greenlets_go_on_beside_a_busy_client(
    library: str, order: str, platform: tuple[str, str], tmp_path: Path
) -> None:
    told = run(library, order, *platform, str(tmp_path))
    assert told["left"] == 0 and told["taken"] == told["different"] > 500
    found = read(platform[0], TOPICS, f"{library}-{order}")
    assert len({one.record["message_id"] for one in found}) == len(found) == told["taken"]


@both
@either
def test_greenlets_go_on_while_kafka_is_away(library: str, order: str, cached: Path) -> None:
    told = run(library, order, NOWHERE, f"http://{NOWHERE}", str(cached))
    assert told["left"] == told["taken"] == told["different"] > 500


@both
def test_greenlets_go_on_while_the_registry_or_the_collector_is_silent(library: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        told = run(library, "early", NOWHERE, url, str(tmp_path))
        assert told["taken"] == 0 and 400 < told["slowest_call_ms"] < 2_000
        told = run(library, "early", "-", "-", str(tmp_path), url)
        assert told["taken"] == told["different"] == told["left"] > 500 and told["slowest_call_ms"] < 500
