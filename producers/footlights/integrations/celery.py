"""Celery: `instrument(client)` in the module that makes the app; each task becomes a timed operation.

In: Celery's signals.
Out: one `operation_timed` for each run of a task, and a crash for each that failed.
Never: a task's arguments or its result.
"""

import time
from typing import Any

from footlights.client import Client
from footlights.integrations.web import crash, resident_mb

#: Answers of a run, as HTTP would put them: retried, failed, done.
_STATUS = {"SUCCESS": 200, "RETRY": 503, "FAILURE": 500, "REVOKED": 499, "REJECTED": 503, "IGNORED": 204}


def instrument(client: Client) -> None:
    """Record the tasks of this process and of its forks."""
    from celery import signals

    began: dict[str, float] = {}
    failed: dict[str, str] = {}

    def before(task_id: str, **_: Any) -> None:
        began[task_id] = time.perf_counter()

    def failure(task_id: str, exception: BaseException, **_: Any) -> None:
        failed[task_id] = type(exception).__name__

    def after(task_id: str, task: Any, state: str | None = None, **_: Any) -> None:
        started, error = began.pop(task_id, None), failed.pop(task_id, None)
        took = round((time.perf_counter() - started) * 1000) if started is not None else None
        client.performance(
            client.source, f"task {task.name}", took, status=_STATUS.get(state or "", 200), memory_mb=resident_mb(),
            error=error, automatic=True,
        )  # fmt: skip
        if error:
            crash(client, f"task {task.name}", error, automatic=True)

    def leaving(**_: Any) -> None:
        client.close(3.0)

    signals.task_prerun.connect(before, weak=False)
    signals.task_failure.connect(failure, weak=False)
    signals.task_postrun.connect(after, weak=False)
    # A child of the prefork pool ends without atexit; what it leaves in the spool the others take over.
    signals.worker_process_shutdown.connect(leaving, weak=False)
