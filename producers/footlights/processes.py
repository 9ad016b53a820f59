"""Which process this is: what one holds is nobody else's, and a fork need not say that it happened.

In: the process id, asked for on use; what servers and `multiprocessing` tell of this process.
Out: locks of this process; what to do at its end; whether it is about to fork, and whether its threads run.
Never: trust in `os.register_at_fork` alone. uWSGI and other programs in C fork without it.
"""

import sys
from collections.abc import Callable
from os import getpid
from typing import TYPE_CHECKING, Any

from footlights.native import Held, allocate_lock

try:
    import ctypes  # here: an import that a thread has begun is held for ever in a child forked meanwhile
except ImportError:  # a Python without it
    ctypes = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from _thread import LockType

#: After the host's own finalizers, which may still track.
LAST = -100
_kept: list[object] = []


class ProcessLock:
    """A lock that a child never finds held: each process has another. `with lock.held():`"""

    def __init__(self) -> None:
        self._locks: dict[int, LockType] = {}

    def held(self) -> Held:
        """The lock of this process, to be held in a `with` block."""
        pid = getpid()
        # Whoever comes first puts it there, in one step of the interpreter.
        return Held(self._locks.get(pid) or self._locks.setdefault(pid, allocate_lock()))


def keep(what: object) -> None:
    """Never use or destroy what belongs to the parent: its destructor would wait for threads that this process does not have.

    Not at the end of the interpreter either, when it clears lists; so it gets a reference that nothing takes back.
    """
    if what is None:
        return
    _kept.append(what)
    if ctypes is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(what))


def at_end_of_child(work: Callable[[], object]) -> None:
    """Do this when a child of `multiprocessing` or Celery's `billiard` ends: it does so without `atexit`."""
    for package in ("multiprocessing", "billiard"):
        process, util = sys.modules.get(f"{package}.process"), sys.modules.get(f"{package}.util")
        if process is not None and util is not None and _is_child(process):
            util.Finalize(None, work, exitpriority=LAST)


def _is_child(process: Any) -> bool:
    return getattr(process.current_process(), "_parent_pid", None) is not None


def _uwsgi() -> Any:
    """The module that uWSGI puts into a process that it runs, else None."""
    found = sys.modules.get("uwsgi")
    return found if hasattr(found, "worker_id") and hasattr(found, "opt") else None


def is_about_to_fork() -> bool:
    """Whether this is uWSGI before it forks its workers, or its master afterwards.

    It forks without Python's knowledge: a thread that is inside the interpreter at that moment stops the worker for ever. So no
    thread is started, and no connection made, before.
    """
    uwsgi = _uwsgi()
    if uwsgi is None or uwsgi.worker_id() or uwsgi.mule_id():
        return False
    return uwsgi.masterpid() in (0, getpid())


def threads_run_late() -> bool:
    """Whether threads run only while a request does: uWSGI keeps the interpreter to itself, unless it is told otherwise."""
    uwsgi = _uwsgi()
    return uwsgi is not None and not {"enable-threads", "threads"} & {_text(name) for name in uwsgi.opt}


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
