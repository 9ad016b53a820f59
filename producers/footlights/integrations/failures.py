"""Exceptions as events: what is a crash and what is not, and each crash once, whichever hooks see it.

In: exceptions, as middleware, signals and logs hand them over.
Out: one `crash` for each, with its kind.
Never: an exception's message or a variable.
"""

import os
from asyncio import CancelledError
from contextlib import suppress
from typing import Any

from footlights.client import Client
from footlights.integrations.guard import attempt

#: What ends a task or a process on purpose.
LEAVING = (CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)
#: The same of greenlets, by name.
_KILLED = "GreenletExit"
#: What frameworks raise when the client is gone, by name, since they need not be installed.
CLIENT_GONE = frozenset({"ClientDisconnect", "ClientDisconnected", "RequestAborted", "UnreadablePostError"})
_MARK = "_footlights_recorded"
_PAGE_MB = (os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4_096) / 1_048_576


def is_crash(error: BaseException) -> bool:
    """Whether an exception is a failure of its program: not one that cancels, ends a generator, a thread or a process.

    Examples
    --------
    >>> is_crash(ValueError()), is_crash(SystemExit()), is_crash(BaseExceptionGroup("both", [GeneratorExit(), KeyError()]))
    (True, False, True)
    """
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_crash, error.exceptions))
    return not (isinstance(error, LEAVING) or type(error).__name__ == _KILLED)


def is_departure(error: BaseException, sending: BaseException | None, *, told_gone: bool) -> bool:
    """Whether an exception only says that nobody waits for the answer any more.

    Parameters
    ----------
    error
        What the application raised.
    sending
        What the server raised when the application sent something.
    told_gone
        Whether the server told the application that the client is gone.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_departure(one, sending, told_gone=told_gone) for one in error.exceptions)
    if isinstance(error, (CancelledError, GeneratorExit)) or type(error).__name__ == _KILLED:
        return True
    if told_gone and type(error).__name__ in CLIENT_GONE:
        return True
    seen: BaseException | None = error
    for _ in range(8):  # frameworks wrap it
        if seen is None or sending is None:
            return False
        if seen is sending:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def crash(client: Client, operation: str, error: BaseException | str, **who: Any) -> None:
    """Record a crash, unless this very exception is recorded already: the kind of error, never its message."""
    if isinstance(error, BaseException) and not (is_crash(error) and _first_sight(error)):
        return
    attempt("a crash", _track, client, operation, kind_of(error), who, default=None)


def kind_of(error: BaseException | str) -> str:
    """The name of an exception's class."""
    return error if isinstance(error, str) else type(error).__name__


def resident_mb() -> float | None:
    """Resident memory of this process in MiB, None where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as told:  # noqa: PTH123  (a tenth of the time of a Path)
            return round(int(told.read().split()[1]) * _PAGE_MB, 1)
    except (OSError, ValueError, IndexError):
        return None


def _first_sight(error: BaseException) -> bool:
    with suppress(Exception):  # a class of the host may forbid attributes
        if getattr(error, _MARK, False):
            return False
        setattr(error, _MARK, True)
    return True


def _track(client: Client, operation: str, error: str, who: dict[str, Any]) -> None:
    client.track("crash", component=client.source, operation=operation, error=error, memory_mb=resident_mb(), **who)
