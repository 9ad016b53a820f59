"""Crashes: `install(client)` records what ends a process or a thread, `CrashHandler(client)` what is logged with a traceback.

In: sys.excepthook, threading.excepthook, logging.
Out: one `crash` for each, with the kind of error and where it arose.
Never: an error's message or a variable; the hooks that were there before are called as ever.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Any

from footlights.client import EXIT_FLUSH_S, Client
from footlights.integrations.web import crash


def install(client: Client) -> None:
    """Record exceptions that nobody catches."""
    before, before_thread = sys.excepthook, threading.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, Exception):  # Ctrl-C and exits are no crashes
            crash(client, _place(trace), kind.__name__, automatic=True)
            client.flush(EXIT_FLUSH_S)
        before(kind, error, trace)

    def thread_hook(args: Any) -> None:
        if args.exc_type is not SystemExit:
            crash(client, _place(args.exc_traceback), args.exc_type.__name__, automatic=True)
        before_thread(args)

    sys.excepthook, threading.excepthook = hook, thread_hook


class CrashHandler(logging.Handler):
    """Records what is logged with an exception; by default from ERROR on."""

    def __init__(self, client: Client, level: int = logging.ERROR) -> None:
        super().__init__(level)
        self._client = client

    def emit(self, record: logging.LogRecord) -> None:
        """Record it; a log of the SDK itself is left alone, or it would go round."""
        if record.exc_info and record.exc_info[0] and not record.name.startswith("footlights"):
            crash(self._client, _place(record.exc_info[2]), record.exc_info[0].__name__, automatic=True)


def _place(trace: TracebackType | None) -> str:
    """Module and function where an exception arose."""
    if trace is None:
        return "unknown"
    while trace.tb_next:
        trace = trace.tb_next
    code = trace.tb_frame
    return f"{code.f_globals.get('__name__', '?')}.{code.f_code.co_name}"[:200]
