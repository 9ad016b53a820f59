"""Places at which a test lets a sink die.

In: the failpoint's name from the configuration.
Out: SIGKILL of the own process.
Never: anything at all unless a test asked for it.
"""

import os
import signal

BEFORE_INSERT = "before_insert"
AFTER_INSERT = "after_insert_before_batches"
AFTER_BATCHES = "after_batches_before_commit"
PLACES = (BEFORE_INSERT, AFTER_INSERT, AFTER_BATCHES)


class Failpoints:
    """Kills the process when it comes to the place `name` for the n-th time (`name:n`, else the first)."""

    def __init__(self, wanted: str) -> None:
        self._name, _, number = wanted.partition(":")
        if self._name and self._name not in PLACES:
            raise ValueError(f"no failpoint {self._name!r}; there are {', '.join(PLACES)}")
        self._left = int(number or 1)

    def __call__(self, name: str) -> None:
        """Pass a place."""
        if name != self._name:
            return
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
