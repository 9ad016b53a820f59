"""The worker: a Faust app with the stages that its configuration names.

In: `StreamConfig`.
Out: a process that works until it is told to stop.
Never: an exit code of 0 with rows that are neither stored nor left to the next worker.
"""

import asyncio
import gc
import logging
import os
import signal
import threading
from typing import Any, NoReturn, Protocol

import faust
import structlog
from prometheus_client import start_http_server

from schemas.topics import undeclared
from stream_apps import measures
from stream_apps.batch_transport import batch_consumer, changelog_topic, configure, ensure_changelogs, faust_settings
from stream_apps.config import StreamConfig
from stream_apps.exits import crashing, stop_for_topics
from stream_apps.memory import few_arenas, give_back

log = structlog.get_logger(__name__)

DRAIN_S = 5.0
LEAVE_S = 9.0


class Stage(Protocol):
    """What the worker asks of a stage at its end."""

    async def drain(self) -> None:
        """Take nothing more in, write and ack what was taken."""


def build(config: StreamConfig) -> tuple[faust.App, list[Stage]]:
    """The app and its stages; nothing is connected yet."""
    settings = faust_settings(
        config.bootstrap,
        config.app_id,
        config.data_dir,
        session_timeout_s=config.session_timeout_s,
        max_rows=config.transport.max_rows,
    )
    app = faust.App(**settings)
    configure(app, config.transport)
    app.task(give_back)
    app.on_partitions_assigned.connect(_tell_assignment)
    stages: list[Stage] = []
    if "measures" in config.stages:
        stages.append(measures.attach(app, config))
    if "kpis" in config.stages:
        from stream_apps import kpis

        stages.append(kpis.attach(app, config))
        if config.clickhouse_url:
            from stream_apps import cohorts, sessions

            stages += [cohorts.attach(app, config, kpis.GAUGES), sessions.attach(app, config)]
    return app, stages


async def _tell_assignment(app: Any, /, *given: Any, signal: Any = None, **_: Any) -> None:
    """Recovery begins here: the group has agreed on who owns what."""
    [assigned] = given
    if wrong := undeclared((tp.topic, tp.partition) for tp in assigned):
        stop_for_topics(wrong)
    log.info("partitions_assigned", partitions=len(assigned), generation=app.consumer_generation_id)


class Worker(faust.Worker):
    """Faust's worker, which on SIGTERM and SIGINT lets the stages write what they hold before it leaves the group."""

    def __init__(self, app: faust.App, stages: list[Stage], **options: Any) -> None:
        super().__init__(app, **options)
        self._stages = stages

    async def _stop_on_signal(self, number: signal.Signals) -> None:
        log.info("worker_stops", signal=number.name)
        # Faust's own farewell takes seconds and may hang on a broker that is gone; all that counts is done before it.
        last_call = threading.Timer(LEAVE_S, os._exit, [0])
        last_call.daemon = True
        last_call.start()
        try:
            for stage in self._stages:
                await asyncio.wait_for(stage.drain(), DRAIN_S)
            await asyncio.wait_for(batch_consumer(self.app).commit(), DRAIN_S)
            log.info("worker_drained")
        except Exception:  # what is not stored now is not acked either: the next worker reads it again
            log.exception("worker_leaves_rows_to_the_next")
        await super()._stop_on_signal(number)


def run(config: StreamConfig) -> NoReturn:
    """Work until a signal comes.

    Exit codes are 0, 70 (crash), 75 (no progress), 77 (topics not as declared) and 78 (too many dead letters).
    """
    config.data_dir.mkdir(parents=True, exist_ok=True)
    few_arenas()
    with crashing("build"):
        app, stages = build(config)
        tables = {table.name: table.partitions for table in app.tables.values()}
        ensure_changelogs(config.bootstrap, config.app_id, tables)
        if config.metrics_port is not None:
            start_http_server(config.metrics_port, addr="127.0.0.1")
    # Everything that lives as long as the process is out of the collector's way; batches leave few cycles behind.
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)
    log.info("worker_starts", stages=config.stages, changelogs=[changelog_topic(config.app_id, t) for t in tables])
    Worker(app, stages, loglevel=logging.WARNING, redirect_stdouts=False).execute_from_commandline()
