"""A sink process from its configuration to its end.

In: a SinkConfig.
Out: rows in the store until SIGTERM or SIGINT, which let it write what it has read.
Never: a return after a failure as if it were an end.
"""

import logging
import signal
import threading
from typing import Any

import structlog

from sinks.config import SinkConfig
from sinks.loop import Loop
from sinks.patience import Stopping

log = structlog.get_logger(__name__)


def run(config: SinkConfig) -> None:
    """Run a sink until SIGTERM or SIGINT; call it from the main thread.

    Raises
    ------
    SinkError
        When going on would be wrong: fenced by another owner, a store ahead of its topic, a missing table. The message says what
        to do; a supervisor may start the sink anew, which reads its position from the store.
    """
    stop = threading.Event()

    def asked(_: int, __: Any) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what matters of it the source says itself
    log.info("sink_starts", topics=len(config.topics), group=config.group)
    try:
        Loop(config, stop).run()
    except Stopping as left:
        log.warning("sink_stops_without_store", doing=str(left))
    log.info("sink_stopped")
