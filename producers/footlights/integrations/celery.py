"""Celery: `instrument(client)` in the module that makes the app; each run of a task becomes a timed operation.

In: Celery's signals, in the processes that run tasks and in the one that watches over them.
Out: one `operation_timed` for each run, however it ends, and a crash for each that failed.
Never: a task's arguments or its result; an exception in the worker.
"""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

from footlights.checks import RANGES
from footlights.client import Client
from footlights.integrations.failures import crash, kind_of, resident_mb
from footlights.integrations.guard import guarded

#: Answers of a run, as HTTP would put them.
STATUS = {"SUCCESS": 200, "IGNORED": 204, "REVOKED": 499, "FAILURE": 500, "RETRY": 503, "REJECTED": 503}
#: What a task raises to end without failing, by the names of Celery's classes.
_ENDINGS = {"Retry": "RETRY", "Ignore": "IGNORED", "Reject": "REJECTED"}
#: What the pools of greenlets raise in a task that they end, and tell of themselves.
_TOLD_BY_POOL = frozenset({"GreenletExit", "Timeout"})
_LONGEST_MS = RANGES["response_time_ms"][1]
#: Runs whose end the watching process remembers, since it may hear of one twice.
_REMEMBERED = 1_000


def instrument(client: Client) -> None:
    """Record the tasks of this process and of its forks."""
    from celery import signals

    runs = _Runs(client)

    def leaving(**_: Any) -> None:
        client.close(3.0)

    receivers: tuple[tuple[Any, Callable[..., None]], ...] = (
        (signals.task_received, runs.received), (signals.task_prerun, runs.begin), (signals.task_postrun, runs.end),
        (signals.task_failure, runs.failed), (signals.task_retry, runs.retried), (signals.task_revoked, runs.revoked),
        (signals.task_internal_error, runs.broken),
        # A child of the prefork pool ends without atexit; what it leaves in the spool the others take over.
        (signals.worker_process_shutdown, leaving),
    )  # fmt: skip
    for signal, receiver in receivers:
        signal.connect(guarded(receiver), weak=False)


class _Runs:
    """Runs of tasks, by what this process hears of them: their begin and end where it runs them, their failure where it watches."""

    def __init__(self, client: Client) -> None:
        self._client = client
        #: Begins of runs, by task and thread; an eager task that is retried runs inside its first run, under the same id.
        self._began: dict[tuple[str, int], list[float]] = {}
        #: Errors that Celery told of before the end of their run.
        self._failed: dict[tuple[str, int], BaseException] = {}
        #: Begins of runs that Celery could not finish, and of which it tells after their end.
        self._broken: dict[tuple[str, int], float | None] = {}
        #: What the watching process received, and which of it has ended there.
        self._requests: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._ended: dict[str, None] = {}

    def received(self, request: Any, **_: Any) -> None:
        self._requests[request.id] = request
        self._ended.pop(request.id, None)

    def begin(self, task_id: str, **_: Any) -> None:
        self._began.setdefault(_key(task_id), []).append(time.perf_counter())

    def end(self, task_id: str, task: Any, state: str | None = None, **_: Any) -> None:
        key = _key(task_id)
        begun = self._began.get(key, [])
        began = begun.pop() if begun else None
        if not begun:
            self._began.pop(key, None)
        error, flying = self._failed.pop(key, None), _flying()
        if flying is None:
            self._record(task, state or "FAILURE", _since(began), error)
        elif isinstance(flying, Exception):
            self._broken[key] = began
        elif not (_is_watched() or type(flying).__name__ in _TOLD_BY_POOL):
            self._end_once(task_id)
            self._record(task, "FAILURE", _since(began), flying)

    def broken(self, sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
        """Record a run that Celery could not finish: a failing backend, or an error that an eager task hands to its caller."""
        began = self._broken.pop(_key(task_id), None)
        state = _ENDINGS.get(type(exception).__name__, "FAILURE")
        self._end_once(task_id)
        self._record(sender, state, _since(began), exception if state == "FAILURE" else None)

    def failed(self, sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
        """Keep the error for the end of a run of this process; record that of a run of which no process sees the end."""
        key = _key(task_id)
        if key in self._began:
            self._failed[key] = exception
        elif key not in self._broken and type(exception).__name__ != "Reject":  # the run itself told of that
            self._lost(sender, task_id, "FAILURE", exception)

    def retried(self, sender: Any, request: Any, **_: Any) -> None:
        """Record a run that was lost and whose task is sent again."""
        if _key(request.id) not in self._began:
            self._lost(sender, request.id, "RETRY")

    def revoked(self, sender: Any, request: Any, **_: Any) -> None:
        """Record a task that was revoked, before it ran or while it did."""
        self._lost(sender, request.id, "REVOKED")

    def _lost(self, task: Any, task_id: str, state: str, error: BaseException | None = None) -> None:
        request = self._requests.get(task_id)
        if self._end_once(task_id):
            started = getattr(request, "time_start", None)
            took = None if started is None else (time.time() - started) * 1000
            self._record(task, state, took, error, memory_mb=None)

    def _end_once(self, task_id: str) -> bool:
        """Whether the end of a run is told for the first time: of a time limit the watching process hears twice."""
        if task_id in self._ended:
            return False
        self._ended[task_id] = None
        while len(self._ended) > _REMEMBERED:
            self._ended.pop(next(iter(self._ended)))
        return True

    def _record(self, task: Any, state: str, took_ms: float | None, error: BaseException | None, **more: Any) -> None:
        operation = f"task {task.name}"
        told = error if error is None else _original(error)
        took = None if took_ms is None else max(0, min(_LONGEST_MS, round(took_ms)))
        values = {"memory_mb": resident_mb(), **more}
        status = STATUS.get(state, 500)
        try:
            self._client.performance(
                self._client.source,
                operation,
                took,
                status=status,
                error=told and kind_of(told),
                automatic=True,
                **values,
            )
        finally:
            if told is not None:
                crash(self._client, operation, told, automatic=True)


def _key(task_id: str) -> tuple[str, int]:
    return task_id, threading.get_ident()


def _since(began: float | None) -> float | None:
    return None if began is None else (time.perf_counter() - began) * 1000


def _flying() -> BaseException | None:
    """What leaves Celery's tracer while it tells of the end of a run; not what a caller of an eager task is just handling."""
    error = sys.exc_info()[1]
    trace = error.__traceback__ if error is not None else None
    return error if trace is not None and trace.tb_frame.f_code.co_name == "trace_task" else None


def _is_watched() -> bool:
    """Whether this is a child of the prefork pool, of whose death its parent tells."""
    from billiard import current_process

    return bool(current_process().name != "MainProcess")


def _original(error: BaseException) -> BaseException | str:
    """The error itself, or the name of one that could not be sent between processes."""
    return str(getattr(error, "exc_cls_name", "")) or error
