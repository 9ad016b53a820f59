"""Let a child process die with its parent, however the parent ends.

In: a command.
Out: the same command behind a tiny launcher that asks the kernel for SIGKILL at the parent's death, then becomes the command
(the process id stays).
Never: Python code between fork and exec of a process that has threads.

The kernel watches the *thread* that forked: start children from the main thread. Beyond Linux the tie is absent and the
command starts untied.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def tethered(command: Sequence[str], folder: Path | None = None) -> list[str]:
    """Return the command that starts `command` tied to the calling process, in a working folder of its own if one is given."""
    parent = str(os.getpid()) if sys.platform.startswith("linux") else ""
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), parent, str(folder or ""), *command]


def tie_to(parent: int) -> None:
    """Ask for SIGKILL when the parent dies; exit at once when it is dead already.

    Raises
    ------
    OSError
        When the kernel refuses.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    # The parent may have died between fork and prctl; then nobody would ever send the signal.
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    if sys.argv[1]:
        tie_to(int(sys.argv[1]))
    if sys.argv[2]:
        os.chdir(sys.argv[2])
    os.execvp(sys.argv[3], sys.argv[3:])  # becomes the command, so there is no second process
