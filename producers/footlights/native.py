"""The interpreter's own threads, locks and pauses, whatever gevent or eventlet put in their place.

In: work, locks.
Out: work done on a real thread; a lock that is held.
Never: a greenlet that stops the others of its thread for longer than a call into the kernel.

Greenlets share one thread. A real lock that one of them holds while another waits for it stops that thread for ever, and a call
that blocks stops all of them for as long. So the SDK's own threads are real ones and use real locks among themselves; a greenlet
that comes upon a lock asks again and again, and what blocks for longer is done by a real thread while the greenlet waits.
"""

import importlib
import os
import sys
import time

# The class of the C library of Python, which neither gevent nor eventlet replaces: they put others into the module `queue`.
from _queue import Empty, SimpleQueue
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _thread import LockType

T = TypeVar("T")
#: Between two looks of a greenlet at a lock.
ASK_AGAIN_S = 0.001


def patched() -> str:
    """Which of the two has replaced the standard library's threads and sockets: now, since a host may do so at any time."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if getattr(gevent, "saved", None):
        return "gevent"
    return "eventlet" if getattr(eventlet, "already_patched", None) else ""


def _original(module: str, name: str) -> Any:
    by = patched()
    if by == "gevent":
        return sys.modules["gevent.monkey"].get_original(module, name)
    if by:
        return getattr(sys.modules["eventlet.patcher"].original(module), name)
    return getattr(importlib.import_module(module), name)


allocate_lock: "Callable[[], LockType]" = _original("_thread", "allocate_lock")
_start: Callable[[Callable[[], None], tuple[()]], int] = _original("_thread", "start_new_thread")
_identity: Callable[[], int] = _original("_thread", "get_ident")
_native_id: Callable[[], int] = _original("_thread", "get_native_id")
sleep: Callable[[float], None] = _original("time", "sleep")
#: Threads of the SDK: nothing else runs on them.
_ours: set[int] = set()


def among_greenlets() -> str:
    """Which library's greenlets may share the thread that calls, "" for none: a process has them on its main thread."""
    by = patched()
    if not by or _identity() in _ours:
        return ""
    return by if not sys.platform.startswith("linux") or _native_id() == os.getpid() else ""


def acquire(lock: "LockType") -> None:
    """Wait for a real lock, as a thread does, or as a greenlet must."""
    if lock.acquire(blocking=False):
        return
    if not among_greenlets():
        lock.acquire()
        return
    while not lock.acquire(blocking=False):
        time.sleep(ASK_AGAIN_S)  # the host's: it lets other greenlets go on, the one that holds the lock among them


def waited(work: Callable[[], T]) -> T:
    """Do what blocks; beside greenlets on a real thread, while the one that calls waits and the others go on.

    Raises
    ------
    Exception
        What the work raises.
    """
    by = among_greenlets()
    if not by:
        return work()

    def noted() -> tuple[T | None, Exception | None]:  # gevent prints what is raised on its threads
        try:
            return work(), None
        except Exception as problem:
            return None, problem

    if by == "gevent":
        result, problem = importlib.import_module("gevent").get_hub().threadpool.apply(noted)
    else:
        result, problem = importlib.import_module("eventlet.tpool").execute(noted)
    if problem is not None:
        raise problem
    return result  # type: ignore[no-any-return]


class Flag:
    """What `threading.Event` is, for real threads."""

    def __init__(self) -> None:
        self._is_set = False
        self._raised: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._is_set

    def set(self) -> None:
        """Let all go on who wait, now and later."""
        self._is_set = True
        self._raised.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, so many seconds at most; whether it is."""
        if not self._is_set:
            try:
                self._raised.get(timeout=None if timeout is None else max(0.0, timeout))
            except Empty:
                return self._is_set
            self._raised.put(None)  # for the next
        return True


class Thread:
    """A real thread that ends with its process. It is started at once.

    Not one of `threading`, whose list of threads is under a lock: a child that was forked without Python's knowledge may find it
    held by a thread that it does not have.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work, self._ended, self._ident = work, Flag(), 0
        _start(self._run, ())

    def join(self, timeout: float) -> bool:
        """Wait for its end; whether it has come. It blocks: `waited` is for those that may not."""
        return self._ended.wait(timeout)

    @property
    def is_current(self) -> bool:
        """Whether it is the thread that asks."""
        return self._ident == _identity()

    def _run(self) -> None:
        self._ident = _identity()
        _ours.add(self._ident)
        try:
            self._work()
        finally:
            _ours.discard(self._ident)
            self._ended.set()


class Held:
    """`with Held(lock):` by `acquire`."""

    __slots__ = ("_lock",)

    def __init__(self, lock: "LockType") -> None:
        self._lock = lock

    def __enter__(self) -> None:
        """Wait for it."""
        acquire(self._lock)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it go."""
        self._lock.release()
