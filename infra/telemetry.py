"""Logs of the platform's processes: one line each, a constant name and fields, never a payload.

In: a level.
Out: structlog configured for this process.
Never: a configuration on import.
"""

import logging
import sys
import time

import structlog


def configure(level: str = "info") -> None:
    """Write logs to stderr as `time level event key=value …`."""
    number = getattr(logging, level.upper(), logging.INFO)
    logging.basicConfig(
        stream=sys.stderr, level=max(number, logging.WARNING), format="%(asctime)s %(levelname)s %(message)s"
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


class Repeats(logging.Filter):
    """Lets a message through once in a while: a client that dials a dead broker says the same twenty times a second.

    Messages are the same when their logger and their unformatted text are.
    """

    def __init__(self, every_s: float = 10.0) -> None:
        super().__init__()
        self._every_s = every_s
        self._told: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        key, now = (record.name, str(record.msg)), time.monotonic()
        if now - self._told.get(key, -self._every_s) < self._every_s:
            return False
        self._told[key] = now
        return True


def calm(library: str) -> None:
    """Thin out what the loggers of an imported library repeat; a filter works on its own logger only, so each gets it."""
    repeats = Repeats()
    for name in list(logging.root.manager.loggerDict):
        if name == library or name.startswith(f"{library}."):
            logging.getLogger(name).addFilter(repeats)
