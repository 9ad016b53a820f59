"""Crashes: `install(client)` records what ends a process or a thread, `CrashHandler(client)` what is logged with a traceback.

In: sys.excepthook, threading.excepthook, logging.
Out: one `crash` for each, with the kind of error and where it arose.
Never: an error's message or a variable, or an exception in the host; the hooks that were there before are called as ever.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Any

from footlights.client import EXIT_FLUSH_S, Client
from footlights.integrations.failures import crash, is_crash
from footlights.integrations.guard import guarded, place_of


def install(client: Client) -> None:
    """Record exceptions that nobody catches."""
    before, before_thread = sys.excepthook, threading.excepthook

    @guarded
    def record(error: BaseException | None, trace: TracebackType | None, *, last: bool) -> None:
        if error is not None and is_crash(error):  # Ctrl-C and exits are none
            crash(client, place_of(trace), error, automatic=True)
            if last:
                client.flush(EXIT_FLUSH_S)

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        record(error, trace, last=True)
        before(kind, error, trace)

    def thread_hook(args: Any) -> None:
        record(args.exc_value, args.exc_traceback, last=False)
        before_thread(args)

    sys.excepthook, threading.excepthook = hook, thread_hook


class CrashHandler(logging.Handler):
    """Records what is logged with an exception; by default from ERROR on."""

    def __init__(self, client: Client, level: int = logging.ERROR) -> None:
        super().__init__(level)
        self._client = client

    @guarded
    def emit(self, record: logging.LogRecord) -> None:
        """Record it; a log of the SDK itself is left alone, or it would go round."""
        told = record.exc_info
        if not isinstance(told, tuple) or told[1] is None or record.name.partition(".")[0] == "footlights":
            return
        crash(self._client, place_of(told[2]), told[1], automatic=True)
