"""Who owns a data folder.

In: a folder.
Out: a lock that the kernel lets go of however its holder ends.
Never: two supervisors of one folder.
"""

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

LOCK_FILE = "supervisor.lock"
#: Somebody who only asks holds the lock for a moment.
ASKING_S = 0.5


class AlreadyRunning(RuntimeError):
    """Another supervisor owns the data folder."""


@contextlib.contextmanager
def owning(folder: Path) -> Iterator[None]:
    """Be the only supervisor of a folder.

    Raises
    ------
    AlreadyRunning
        When the folder has one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + ASKING_S
    with (folder / LOCK_FILE).open("a+") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise AlreadyRunning(
                        f"a stack already runs in {folder}: see `footlights status`, or stop it with `footlights down`"
                    ) from None
            time.sleep(0.02)
        yield


def is_owned(folder: Path) -> bool:
    """Whether a supervisor lives in the folder, be it too busy to answer."""
    try:
        with (folder / LOCK_FILE).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
