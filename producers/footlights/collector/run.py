"""A collector process: `serve(Config(…))` until SIGTERM.

In: addresses, folders, a port.
Out: the ASGI application under uvicorn; metrics on a port of their own.
Never: a request cut off by a stop: what was begun is answered, what was taken is sent or stays in the spool.
"""

import gc
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from prometheus_client import start_http_server

from footlights.addresses import Trust
from footlights.collector.agents import read_agent
from footlights.collector.app import Collector
from footlights.collector.geo import Cities, Places
from footlights.collector.keys import KeyFile
from footlights.collector.lanes import Lanes
from footlights.pseudonyms import Pseudonymiser
from footlights.spool import Limits

DRAIN_S = 8


@dataclass(frozen=True)
class Config:
    """What a collector needs.

    `folder` holds its spool, which is taken over by the next collector there; `keys` the file of API keys; `dead_letter_key` the
    32 bytes that encrypt copies of refused events, None to keep none; `geo_database` a city database in MaxMind's format, and
    `geo_least_people` how many must have come from a city before it is named; `trust_forwarded` says which proxies may tell
    a browser's address, see `footlights.addresses`.
    """

    bootstrap_servers: str
    schema_registry: str
    folder: Path
    keys: Path
    pseudonymiser: Pseudonymiser
    dead_letter_key: bytes | None = None
    host: str = "127.0.0.1"
    port: int = 8_080
    metrics_port: int | None = None
    geo_database: Path | None = None
    geo_least_people: int = 10
    trust_forwarded: Trust = 0
    spool_max_bytes: int = 4 << 30
    spool_max_age_s: float = 7 * 86_400.0
    kafka_config: dict[str, Any] = field(default_factory=dict)


def serve(config: Config) -> None:
    """Run until SIGTERM or Ctrl-C."""
    lanes = Lanes(
        bootstrap_servers=config.bootstrap_servers,
        schema_registry=config.schema_registry,
        folder=config.folder,
        pseudonymise=config.pseudonymiser,
        limits=Limits(config.spool_max_bytes, config.spool_max_age_s),
        kafka_config=config.kafka_config,
    )
    places, cities = Places(config.geo_database), Cities(config.geo_least_people)
    letters = lanes.letters(config.dead_letter_key) if config.dead_letter_key else None
    app = Collector(lanes, KeyFile(config.keys), places, cities, letters, trust_forwarded=config.trust_forwarded)
    if config.metrics_port is not None:
        start_http_server(config.metrics_port, "127.0.0.1", app.telemetry.registry)
    # Now, and not while requests wait: the patterns of bots and browsers take a quarter of a second, and later each full search for
    # cycles would go through all that was loaded, for 60 ms.
    read_agent("Mozilla/5.0")
    gc.collect()
    gc.freeze()
    server = uvicorn.Server(
        uvicorn.Config(
            app, host=config.host, port=config.port, loop="uvloop", http="httptools", lifespan="off", access_log=False,
            server_header=False, date_header=True, log_level="warning", timeout_keep_alive=30,
            timeout_graceful_shutdown=DRAIN_S, proxy_headers=False, backlog=2_048,
        )
    )  # fmt: skip
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn raises it once more when it is done; then it is our turn
    try:
        server.run()
    finally:
        lanes.close(float(DRAIN_S))
