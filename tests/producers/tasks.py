"""A Celery application whose tasks end in every way; what is recorded of them goes into a file.

In: FOLDER, where broker, results and records lie.
Out: `app`; `events.jsonl`.
Never: a Kafka.
"""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, Reject
from footlights.integrations.celery import instrument
from footlights.outcome import Outcome

from tests.producers.recorded import Recorder

FOLDER = Path(os.environ["FOLDER"])


class Told(Recorder):
    """A client whose events go into a file, since the tasks run in several processes."""

    def track(self, event_name: str, **values: Any) -> Outcome:
        """Append it, in one write."""
        values["pid"] = os.getpid()
        with (FOLDER / "events.jsonl").open("a") as file:
            file.write(json.dumps([event_name, values]) + "\n")
        return Outcome("spooled")


for name in ("queue", "control", "results"):
    (FOLDER / name).mkdir(exist_ok=True)
app = Celery("shop", broker="filesystem://", backend=f"file://{FOLDER}/results")
app.conf.update(
    broker_transport_options={
        "data_folder_in": f"{FOLDER}/queue", "data_folder_out": f"{FOLDER}/queue", "control_folder": f"{FOLDER}/control",
    },
    worker_prefetch_multiplier=1, worker_hijack_root_logger=False,
)  # fmt: skip
instrument(Told())


@app.task(name="good", trail=True)
def good() -> int:
    return 7


@app.task(name="fails")
def fails() -> None:
    raise ValueError("4111 1111 1111 1111")


@app.task(name="again", bind=True, max_retries=1)
def again(self: Any) -> str:
    if self.request.retries:
        return "done"
    raise self.retry(countdown=0, exc=KeyError("seat"))


@app.task(name="ignored")
def ignored() -> None:
    raise Ignore


@app.task(name="rejected", acks_late=True)
def rejected() -> None:
    raise Reject("no", requeue=False)


@app.task(name="soft", soft_time_limit=1)
def soft() -> None:
    time.sleep(30)


@app.task(name="hard", time_limit=1)
def hard() -> None:
    time.sleep(30)


@app.task(name="killed")
def killed() -> None:
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="exits")
def exits() -> None:
    raise SystemExit(3)


@app.task(name="expired")
def expired() -> None:
    raise AssertionError


@app.task(name="long")
def long() -> None:
    (FOLDER / "long").touch()
    time.sleep(30)


class Unpicklable(Exception):
    """An error that cannot be sent to another process."""

    def __init__(self, lock: Any) -> None:
        super().__init__(lock)


@app.task(name="unpicklable")
def unpicklable() -> None:
    raise Unpicklable(open(os.devnull))  # noqa: PTH123, SIM115
