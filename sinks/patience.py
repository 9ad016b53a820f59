"""Tries again for as long as it takes, and notices when the process itself stood still.

In: a call that may fail for now.
Out: its result.
Never: another attempt after the process stood still for so long that its partitions may be another's.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from sinks.errors import Fenced, Transient

log = structlog.get_logger(__name__)
T = TypeVar("T")

_TICK_S = 0.2
_PAUSES_S = (0.05, 0.1, 0.3, 1.0, 2.0, 5.0)


def say_waiting(what: str, reason: str, failures: int) -> None:
    """Log that something is tried again, by its failures in a row: the first, the tenth, and each hundredth."""
    if failures in {1, 10} or failures % 100 == 0:
        log.warning("sink_waits", doing=what, reason=reason, failures=failures)


class Stopping(Exception):
    """The process is asked to end while the store does not answer; what it holds comes again from Kafka."""


class Pulse:
    """A thread that ticks; a long gap between ticks is a process that was stopped (SIGSTOP, a frozen machine)."""

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s, self._clock = limit_s, clock
        self._last = clock()
        self._stood_still = False
        self._end = threading.Event()

    def start(self) -> None:
        """Begin to tick."""
        self._last = self._clock()
        threading.Thread(target=self._run, name="sink-pulse", daemon=True).start()

    def check(self) -> None:
        """Raise Fenced when the process stood still longer than the limit."""
        if self._stood_still or self._clock() - self._last > self._limit_s:
            raise Fenced(
                f"this process stood still for more than {self._limit_s:g} s; it stops, and starts anew from the store"
            )

    def stop(self) -> None:
        """Tick no more."""
        self._end.set()

    def _run(self) -> None:
        while not self._end.wait(_TICK_S):
            now = self._clock()
            self._stood_still |= now - self._last > self._limit_s
            self._last = now


class Patience:
    """Runs calls until they succeed."""

    def __init__(self, pulse: Pulse, stop: threading.Event, failed: Callable[[], None]) -> None:
        self._pulse, self._stop, self._failed = pulse, stop, failed

    def __call__(self, what: str, call: Callable[[], T]) -> T:
        """The call's result; Transient is tried again for ever.

        Raises
        ------
        Fenced
            The process stood still for too long.
        Stopping
            The call failed and the process is asked to end.
        """
        failures = 0
        while True:
            self._pulse.check()
            try:
                return call()
            except Transient as problem:
                failures += 1
                self._failed()
                say_waiting(what, str(problem), failures)
            if self._stop.wait(_PAUSES_S[min(failures - 1, len(_PAUSES_S) - 1)]):
                raise Stopping(what)
