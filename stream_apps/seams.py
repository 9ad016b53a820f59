"""The private parts of Faust and aiokafka that the batch transport relies on.

In: the installed packages. Out: nothing, or SeamError with all that differs.
Never: a worker starts on versions for which the transport was not tested.
"""

import inspect
from importlib.metadata import version
from typing import Any

from aiokafka.consumer import consumer as aiokafka_consumer
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer import subscription_state
from faust.app.base import App
from faust.tables.recovery import Recovery
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage, Message

VERSIONS = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0"}


class SeamError(RuntimeError):
    """The installed Faust or aiokafka is not the one that the transport was made for."""


# Owner, attribute, parameters of the function; None for a class or property.
_SEAMS: list[tuple[Any, str, list[str] | None]] = [
    (faust_consumer.Consumer, "getmany", ["self", "timeout"]),
    (faust_consumer.Consumer, "_new_offset", ["self", "tp"]),
    (faust_consumer.Consumer, "_add_gap", ["self", "tp", "offset_from", "offset_to"]),
    (faust_consumer.Consumer, "_get_active_partitions", ["self"]),
    (faust_consumer.Consumer, "_is_changelog_tp", ["self", "tp"]),
    (faust_consumer.Consumer, "_drain_messages", ["self", "fetcher"]),
    (faust_consumer.Consumer, "on_partitions_revoked", ["self", "revoked"]),
    (faust_consumer.Consumer, "on_partitions_assigned", ["self", "assigned", "generation_id"]),
    (faust_consumer.Consumer, "pause_partitions", ["self", "tps"]),
    (faust_consumer.Consumer, "resume_partitions", ["self", "tps"]),
    (faust_consumer.Consumer, "stop_flow", ["self"]),
    (faust_consumer.Consumer, "resume_flow", ["self"]),
    (faust_consumer.Consumer, "on_buffer_drop", ["self", "tp"]),
    (faust_consumer.Consumer, "perform_seek", ["self"]),
    (faust_consumer.ThreadDelegateConsumer, "_seek", ["self", "partition", "offset"]),
    (driver.Consumer, "_new_consumer_thread", ["self"]),
    (driver.Consumer, "_to_message", ["self", "tp", "record"]),
    (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["self", "transport"]),
    (driver.AIOKafkaConsumerThread, "_ensure_consumer", ["self"]),
    (
        driver.AIOKafkaConsumerThread,
        "_fetch_records",
        ["self", "consumer", "active_partitions", "timeout", "max_records"],
    ),
    (driver.AIOKafkaConsumerThread, "_seek_wait", ["self", "consumer", "partitions"]),
    (Recovery, "_restart_recovery", ["self"]),
    (Recovery, "on_recovery_completed", ["self", "generation_id"]),
    (Recovery, "_slurp_changelogs", ["self"]),
    (App, "_on_partitions_revoked", ["self", "revoked"]),
    (App, "_on_partitions_assigned", ["self", "assigned", "generation_id"]),
    (Message, "on_final_ack", ["self", "consumer"]),
    (ConsumerMessage, "acked", None),
    (aiokafka_fetcher, "FetchResult", None),
    (aiokafka_fetcher.Fetcher, "fetched_records", ["self", "partitions", "timeout", "max_records"]),
    (aiokafka_fetcher.Fetcher, "_create_fetch_waiter", ["self"]),
    (aiokafka_fetcher.FetchResult, "getall", ["self", "max_records"]),
    (aiokafka_fetcher.FetchResult, "check_assignment", ["self", "tp"]),
    (aiokafka_fetcher.FetchResult, "_update_position", ["self"]),
    (aiokafka_fetcher.PartitionRecords, "_unpack_records", ["self"]),
    (aiokafka_fetcher.PartitionRecords, "_consume_aborted_up_to", ["self", "batch_offset"]),
    (aiokafka_fetcher.PartitionRecords, "_contains_abort_marker", ["self", "next_batch"]),
    (aiokafka_consumer.AIOKafkaConsumer, "seek_to_committed", ["self", "partitions"]),
    (subscription_state.SubscriptionState, "reassignment_in_progress", None),
]


def differences() -> list[str]:
    """Return what differs from the tested packages, in words; empty when nothing does."""
    found = [
        f"{package} {version(package)} is installed, {wanted} is needed"
        for package, wanted in VERSIONS.items()
        if version(package) != wanted
    ]
    for owner, name, parameters in _SEAMS:
        where = f"{owner.__name__}.{name}"
        if not hasattr(owner, name):
            found.append(f"{where} is missing")
        elif parameters is not None and list(_parameters(getattr(owner, name))) != parameters:
            found.append(f"{where} takes {list(_parameters(getattr(owner, name)))}, not {parameters}")
    return found


def check() -> None:
    """Raise SeamError when anything differs."""
    found = differences()
    if found:
        raise SeamError("; ".join(found))


def _parameters(function: Any) -> list[str]:
    while not inspect.isroutine(function) and hasattr(function, "fun"):
        function = function.fun  # mode wraps tasks and transitions
    return list(inspect.signature(function).parameters)
