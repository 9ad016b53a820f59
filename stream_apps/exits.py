"""Ends the process when going on would be wrong.

In: what happened.
Out: a line in the log and an exit code.
Never: a flush, a commit or any other farewell to Kafka: a replay from the checkpoint is exact, going on is not.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import structlog

from schemas.topics import EXIT_TOPICS
from stream_apps.config import EXIT_BREAKER, EXIT_CRASH

log = structlog.get_logger(__name__)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def crashing(where: str) -> Iterator[None]:
    """Nothing but a cancellation leaves this block: whatever else is raised is logged and ends the process with code 70.

    polars reports some faults as a BaseException, so those are caught as well.
    """
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        log.exception("worker_crashes", where=where, exit_code=EXIT_CRASH)
        _leave(EXIT_CRASH)


def stop_for_dead_letters(family: str, reason: str) -> NoReturn:
    """End the process for good: the supervisor does not restart it after code 78."""
    log.error(
        "worker_stopped_by_dead_letters",
        family=family,
        reason=reason,
        remedy="look at `footlights deadletters show`, then release the worker with `footlights deadletters resume`",
        exit_code=EXIT_BREAKER,
    )
    _leave(EXIT_BREAKER)


def stop_for_topics(sentence: str) -> NoReturn:
    """End the process for good, with the sentence as its last word: the supervisor shows it, and does not restart it."""
    log.error("worker_stopped_by_topics", exit_code=EXIT_TOPICS)
    sys.stderr.write(f"{sentence}\n")
    _leave(EXIT_TOPICS)
