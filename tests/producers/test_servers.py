"""Real servers that fork their workers: what each worker took arrives while the server runs, once, under a number of its own."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.ports import free_port
from tests.producers.reading import Read, read

pytestmark = pytest.mark.kafka
APP, TOPIC = "tests.producers.served_app:application", "events.interaction"
UWSGI = [
    str(Path(sys.executable).with_name("pyuwsgi")),
    "--module",
    APP,
    "--need-app",
    "--disable-logging",
    "--http-socket",
]
GUNICORN = [sys.executable, "-m", "gunicorn", APP, "--workers", "2", "--log-level", "warning", "--bind"]
PREFORK = ["--master", "--processes", "2"]
SERVERS: dict[str, tuple[list[str], list[str]]] = {
    "uwsgi": (UWSGI, [*PREFORK, "--enable-threads"]),
    "uwsgi-threads": (UWSGI, [*PREFORK, "--threads", "4"]),
    "uwsgi-without-threads": (UWSGI, PREFORK),
    "uwsgi-without-master": (UWSGI, ["--processes", "2", "--enable-threads"]),
    "uwsgi-fork-hooks": (UWSGI, [*PREFORK, "--enable-threads", "--py-call-uwsgi-fork-hooks"]),
    "uwsgi-lazy": (UWSGI, [*PREFORK, "--enable-threads", "--lazy-apps"]),
    "gunicorn-sync": (GUNICORN, []),
    "gunicorn-preload": (GUNICORN, ["--preload"]),
    "gunicorn-gthread": (GUNICORN, ["--preload", "--worker-class", "gthread", "--threads", "4"]),
    "gunicorn-gevent": (GUNICORN, ["--worker-class", "gevent"]),
    "gunicorn-gevent-preload": (GUNICORN, ["--worker-class", "gevent", "--preload"]),
}
REQUESTS, AT_ONCE, ARRIVED_S = 200, 8, 30.0


def get(port: int, path: str = "/A1") -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        told: dict[str, Any] = json.loads(answer.read())
        return told
    finally:
        connection.close()


@contextmanager
def serving(server: str, environment: dict[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The port of a server that answers, and its first answer."""
    (command, options), port = SERVERS[server], free_port()
    with subprocess.Popen(
        [*command, f"127.0.0.1:{port}", *options], env=environment, start_new_session=True
    ) as running:
        try:
            deadline = time.monotonic() + 60
            while True:
                assert running.poll() is None and time.monotonic() < deadline, "the server does not answer"
                try:
                    first = get(port)
                    break
                except OSError:
                    time.sleep(0.1)
            yield port, first
        finally:
            how = signal.SIGINT if command is UWSGI else signal.SIGTERM
            # Without a master uWSGI's first process leaves the others alone.
            os.killpg(running.pid, how) if server == "uwsgi-without-master" else running.send_signal(how)
            running.wait(30)


def arrived(bootstrap: str, source: str, count: int) -> list[Read]:
    """What came of a source, as soon as it is so much."""
    deadline = time.monotonic() + ARRIVED_S
    while len(found := read(bootstrap, [TOPIC], source)) < count and time.monotonic() < deadline:
        time.sleep(0.3)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("before", [0, 3], ids=["", "tracked-before"])
@pytest.mark.parametrize("server", SERVERS)
def test_each_worker_is_a_producer_of_its_own(
    server: str, before: int, platform: tuple[str, str], tmp_path: Path
) -> None:
    source = f"{server}-{before}"
    environment = {
        **os.environ, "KAFKA": platform[0], "REGISTRY": platform[1], "SOURCE": source, "FOLDER": str(tmp_path / "spool"),
        "BEFORE": str(before),
    }  # fmt: skip
    with serving(server, environment) as (port, first), ThreadPoolExecutor(AT_ONCE) as pool:
        answers = [first, *pool.map(lambda _: get(port), range(REQUESTS))]
        taken = [one["id"] for one in answers]
        told_before = {one for answer in answers for one in answer["before"]}
        count = len(taken) + len(told_before)
        found = arrived(platform[0], source, count)  # while the server runs
    assert {one["status"] for one in answers} == {"spooled"}
    # What follows the millisecond, which lets workers go unseen that draw the same ids at different times.
    drawn = [{one["id"][14:] for one in answers if one["pid"] == pid} for pid in {one["pid"] for one in answers}]
    assert len(drawn) == 2, "one worker did it all"
    assert not drawn[0] & drawn[1]
    assert all(len(answer["before"]) == before for answer in answers)
    ids = [one.record["message_id"] for one in found]
    assert sorted(ids) == sorted({*taken, *told_before}) and len(ids) == count
    assert len({(one.record["producer_id"], one.record["sequence"]) for one in found}) == count
    words = ["--bootstrap-servers", platform[0], "--schema-registry", platform[1]]
    drain = [sys.executable, "-m", "footlights", "spool", environment["FOLDER"], "--drain", *words]
    assert subprocess.run(drain, capture_output=True, text=True, timeout=60, check=False).stdout == "nothing waits\n"
    assert len(read(platform[0], [TOPIC], source)) == count, "what came after the server sent some of them again"
