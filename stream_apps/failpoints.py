"""Places at which a test lets a worker die.

In: the failpoint's name from the configuration.
Out: SIGKILL of the own process.
Never: anything at all unless a test asked for it.
"""

import os
import signal


class Failpoints:
    """Kills the process when it comes to the place `name` for the n-th time (`name:n`, else the first)."""

    def __init__(self, wanted: str) -> None:
        self._name, _, number = wanted.partition(":")
        self._left = int(number or 1)

    def armed(self, name: str) -> bool:
        """Whether this place is the wanted one, at whatever pass."""
        return name == self._name

    def __call__(self, name: str) -> None:
        """Pass a place."""
        if name != self._name:
            return
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
