"""Tasks that end without their success path, in real workers and eagerly: each run is recorded once, with status and time."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.producers.test_integrations import until

Record = tuple[str, int | None, str | None]
#: Of each task: the records of its runs, as (event, status, error).
TIMED, CRASH = "operation_timed", "crash"
WANTED: dict[str, list[Record]] = {
    "good": [(TIMED, 200, None)],
    "fails": [(TIMED, 500, "ValueError"), (CRASH, None, "ValueError")],
    "again": [(TIMED, 503, None), (TIMED, 200, None)],
    "ignored": [(TIMED, 204, None)],
    "rejected": [(TIMED, 503, None)],
    "soft": [(TIMED, 500, "SoftTimeLimitExceeded"), (CRASH, None, "SoftTimeLimitExceeded")],
    "hard": [(TIMED, 500, "TimeLimitExceeded"), (CRASH, None, "TimeLimitExceeded")],
    "killed": [(TIMED, 500, "WorkerLostError"), (CRASH, None, "WorkerLostError")],
    "exits": [(TIMED, 500, "WorkerLostError"), (CRASH, None, "WorkerLostError")],
    "expired": [(TIMED, 499, None)],
    "long": [(TIMED, 499, None)],
    "unpicklable": [(TIMED, 500, "Unpicklable"), (CRASH, None, "Unpicklable")],
}
EAGER = """
from tests.producers.tasks import *
good.apply(); fails.apply(); ignored.apply(); again.apply()
try: fails.apply(throw=True)
except ValueError: pass
try: 1 / 0
except ZeroDivisionError: good.apply()
app.conf.task_always_eager = True
good.delay()
try: exits.apply()
except SystemExit: pass
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "FOLDER": str(tmp_path)}


def recorded(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    file = folder / "events.jsonl"
    return [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def shown(events: list[tuple[str, dict[str, Any]]]) -> Counter[tuple[str, Record]]:
    return Counter(
        (values["operation"].removeprefix("task "), (event, values.get("status"), values.get("error")))
        for event, values in events
    )


@pytest.mark.slow
def test_every_ending_in_a_forking_worker(environment: dict[str, str], tmp_path: Path) -> None:
    send = (
        "from tests.producers.tasks import *\n"
        f"for name in {[name for name in WANTED if name not in ('expired', 'long')]}: app.tasks[name].delay()\n"
        "expired.apply_async(expires=-1)\n"
    )
    subprocess.run([sys.executable, "-c", send], env=environment, check=True)
    end = (
        "from tests.producers.tasks import *\n"
        "task = long.apply_async()\n"
        "while not (FOLDER / 'long').exists(): time.sleep(0.1)\n"
        "task.revoke(terminate=True)\n"
    )
    words = ["worker", "--pool", "prefork", "-c", "2", "-l", "CRITICAL"]
    start = f"from tests.producers.tasks import app; app.worker_main({words!r})"
    wanted = Counter((task, record) for task, records in WANTED.items() for record in records)
    with subprocess.Popen([sys.executable, "-c", start], env=environment, stderr=subprocess.DEVNULL) as worker:
        try:
            until(
                lambda: (
                    len(recorded(tmp_path)) >= sum(len(records) for task, records in WANTED.items() if task != "long")
                ),
                60,
            )
            subprocess.run([sys.executable, "-c", end], env=environment, check=True, timeout=60)
            until(lambda: shown(recorded(tmp_path)) >= wanted, 60)
        finally:
            worker.terminate()
    events = recorded(tmp_path)
    assert shown(events) == wanted
    took = {
        values["operation"].removeprefix("task "): values["response_time_ms"]
        for event, values in events
        if event == TIMED
    }
    assert took["expired"] is None
    assert (
        all(900 <= took[task] < 20_000 for task in ("soft", "hard"))
        and took["killed"] >= 300
        and took["long"] is not None
    )


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_workers_that_do_not_fork(environment: dict[str, str], tmp_path: Path, pool: str) -> None:
    names = ("good", "fails", "again", "ignored", "rejected", "unpicklable")
    send = f"from tests.producers.tasks import *\nfor name in {names}: app.tasks[name].delay()\nexpired.apply_async(expires=-1)"
    subprocess.run([sys.executable, "-c", send], env=environment, check=True)
    words = ["worker", "--pool", pool, "-c", "2", "-l", "CRITICAL"]
    start = f"from tests.producers.tasks import app; app.worker_main({words!r})"
    wanted = Counter((task, record) for task in (*names, "expired") for record in WANTED[task])
    with subprocess.Popen([sys.executable, "-c", start], env=environment, stderr=subprocess.DEVNULL) as worker:
        try:
            until(lambda: shown(recorded(tmp_path)) >= wanted, 60)
        finally:
            worker.terminate()
    assert shown(recorded(tmp_path)) == wanted


def test_every_ending_of_an_eager_task(environment: dict[str, str], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", EAGER], env=environment, check=True)
    events = recorded(tmp_path)
    assert shown(events) == {
        ("good", (TIMED, 200, None)): 3,
        ("fails", (TIMED, 500, "ValueError")): 2,
        ("fails", (CRASH, None, "ValueError")): 2,
        ("ignored", (TIMED, 204, None)): 1,
        ("again", (TIMED, 503, None)): 1,
        ("again", (TIMED, 200, None)): 1,
        ("exits", (TIMED, 500, "SystemExit")): 1,
    }
    assert all(values["response_time_ms"] is not None for event, values in events if event == TIMED)
