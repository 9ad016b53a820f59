"""How the transport behaves, and the Faust settings that go with it.

In: addresses and deadlines as plain values. Out: frozen configuration, the keyword arguments of `faust.App`.
Never: an environment variable is read here.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEME = "kafka+batch"
EXIT_NO_PROGRESS = 75


@dataclass(frozen=True)
class TransportConfig:
    """Batch sizes, deadlines and cures.

    `hold_sources`, `fence_fetches`, `seek_uncommitted` and `guard` exist for control tests alone: with any of them off
    records get lost in rebalances.
    """

    min_rows: int = 2_000
    """Rows of a partition that are merged before its batch is handed over."""
    max_wait_ms: int = 200
    """Age of the oldest held row at which a smaller batch is handed over."""
    max_rows: int = 10_000
    """Most rows of one fetch, all partitions together: what a batch of a backlog is made of."""
    fetch_max_wait_ms: int = 100
    """How long the broker may hold a fetch that is empty or small. There is one fetch per broker in flight, so that partitions
    at their end delay the others by this much."""
    fetch_min_bytes: int = 65_536
    """Below this a fetch is small. With Kafka's default of 1 a trickle comes a few records at a time: at 600 events a second a
    hundred fetches a second took two fifths of the worker's CPU."""
    recovery_deadline_s: float = 60.0
    """Longest time that a rebalance or a table recovery may stand still."""
    stall_deadline_s: float = 30.0
    """Longest time without a delivered or acknowledged batch while records, or delivered batches, wait: an agent must
    acknowledge every current batch within it."""
    freeze_limit_s: float = 6.0
    """Longest time that the process may stand still: the session timeout, after which its partitions are another's."""
    hold_sources: bool = True
    fence_fetches: bool = True
    seek_uncommitted: bool = True
    guard: bool = True


def faust_settings(
    bootstrap: str,
    app_id: str,
    datadir: Path,
    *,
    session_timeout_s: float = 6.0,
    max_rows: int = TransportConfig.max_rows,
) -> dict[str, Any]:
    """Return the keyword arguments of `faust.App` under which the transport was tested.

    A killed worker leaves the group after the session timeout (6 s is the least that brokers accept by default); its
    successor waits for that, joins, recovers its tables and works: 8 to 10 s. Static membership would be faster, but the
    successor would then share the generation of a predecessor that may only be frozen.

    Parameters
    ----------
    bootstrap
        `host:port`, several of them separated by commas.
    app_id
        Consumer group and prefix of the changelog topics.
    datadir
        Directory of the worker; the memory store keeps nothing there.
    max_rows
        See TransportConfig.
    """
    return {
        "id": app_id,
        "broker": [f"{SCHEME}://{address}" for address in bootstrap.split(",")],
        "datadir": str(datadir),
        "store": "memory://",
        "processing_guarantee": "at_least_once",
        "consumer_auto_offset_reset": "earliest",
        "broker_session_timeout": session_timeout_s,
        "broker_heartbeat_interval": session_timeout_s / 12,
        "broker_rebalance_timeout": session_timeout_s + 2.0,
        "broker_request_timeout": max(20.0, 2 * session_timeout_s),
        "broker_max_poll_records": max_rows,
        "broker_commit_interval": 1.0,
        "broker_commit_livelock_soft_timeout": 86_400.0,
        "stream_processing_timeout": 86_400.0,
        "stream_wait_empty": False,
        "stream_recovery_delay": 0.0,
        "table_standby_replicas": 0,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        "agent_supervisor": "mode.supervisors.CrashingSupervisor",
        "producer_linger": 0.005,
    }


def quiet_loggers(level: int = logging.WARNING) -> None:
    """Set the level of Faust's and aiokafka's loggers, for the composition root to call.

    Faust's worker filters in handlers only, so that three DEBUG records are built, and dropped, per table write.
    """
    for name in ("faust", "mode", "aiokafka", "asyncio"):
        logging.getLogger(name).setLevel(level)
