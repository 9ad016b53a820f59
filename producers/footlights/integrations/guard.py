"""Nothing of ours raises into its host: the one guard of all integrations.

In: what we do in a framework's hooks, and the host's own hooks that we ask (its user objects, routes, headers, settings).
Out: the answer, or a default and a line in the log, at most once a minute for each place.
Never: an Exception into the host; nor is caught what ends a task or a process (CancelledError, GeneratorExit, KeyboardInterrupt,
SystemExit), which is the host's own.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from footlights.outcome import LOG

P = ParamSpec("P")
T = TypeVar("T")
QUIET_S = 60.0
_told: dict[tuple[str, str], float] = {}


def attempt(what: str, call: Callable[..., T], *args: Any, default: T) -> T:
    """The answer of a call, or the default when it raises.

    Examples
    --------
    >>> attempt("halving", lambda n: n // 2, 7, default=0)
    3
    """
    try:
        return call(*args)
    except Exception as problem:
        _tell(what, problem)
        return default


def guarded(call: Callable[P, Any]) -> Callable[P, None]:
    """A receiver of a framework's signal, or another hook, that answers nothing and never raises."""

    @wraps(call)
    def safe(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            call(*args, **kwargs)
        except Exception as problem:
            _tell(getattr(call, "__name__", "a hook").strip("_"), problem)

    return safe


def place_of(trace: TracebackType | None) -> str:
    """Module and function where an exception arose."""
    if trace is None:
        return "unknown"
    while trace.tb_next:
        trace = trace.tb_next
    code = trace.tb_frame
    return f"{code.f_globals.get('__name__', '?')}.{code.f_code.co_name}"[:200]


def _tell(what: str, problem: Exception) -> None:
    """One line; the message of the exception stays out, since it may hold anything."""
    with suppress(Exception):  # a host's log handler may fail too
        place, now = place_of(problem.__traceback__), time.monotonic()
        if now - _told.get((what, place), -QUIET_S) >= QUIET_S:
            if len(_told) > 1_000:
                _told.clear()
            _told[what, place] = now
            LOG.error("analytics goes on without %s: %s in %s", what, type(problem).__name__, place)
