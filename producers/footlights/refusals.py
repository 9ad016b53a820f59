"""Who opted out: the SDK drops their events before anything leaves the process.

In: the compacted topic of consents, and what this process itself was told.
Out: the record keys of people who refuse.
Never: the last word. The platform withholds what slips through while this is being read.
"""

import contextlib
import io
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import fastavro
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from footlights.ids import record_key
from footlights.names import CONSENTS_TOPIC
from footlights.native import Flag, Thread
from footlights.outcome import LOG

if TYPE_CHECKING:
    from footlights.registry import Schemas

#: Event that says so; it is always taken.
CONSENT_CHANGED = "consent_changed"
WAIT_S, AGAIN_S, STOP_S = 0.25, 5.0, 0.6
COORDINATOR_S = 0.5
#: What this process was told holds against older records of the topic until it comes back from there, or for so long.
OWN_WORD_S = 60.0
#: Settings of the host's producer that any client of its Kafka needs.
_SHARED = ("bootstrap.servers", "security.", "sasl.", "ssl.", "client.", "broker.address", "socket.", "enable.ssl")


class Told:
    """What this process itself was told. `keys` may be asked from any thread."""

    def __init__(self) -> None:
        self.keys: set[bytes] = set()

    def start(self) -> None:
        """Begin to follow what others were told, where there is something to follow; once."""

    def settle(self, deadline: float) -> None:
        """Wait until connections are made; asked before a fork."""

    def stop(self) -> None:
        """Follow no more."""

    def say(self, key: bytes, message_id: str, *, allowed: bool) -> None:
        """Note what this process was told, at once."""
        (self.keys.discard if allowed else self.keys.add)(key)


class Refusals(Told):
    """Follows the topic on a thread of its own."""

    def __init__(self, kafka_config: Mapping[str, Any], schemas: "Schemas") -> None:
        super().__init__()
        self._config = {
            **{name: value for name, value in kafka_config.items() if name.startswith(_SHARED)},
            "group.id": "footlights-consents",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "topic.metadata.refresh.interval.ms": 10_000,
            "fetch.wait.max.ms": 5_000,
            "log_level": 0,
        }
        self._schemas = schemas
        self._own: dict[bytes, tuple[str, float]] = {}
        self._stop, self._settled = Flag(), Flag()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to follow; once."""
        if self._thread is None:
            self._thread = Thread(self._run)

    def settle(self, deadline: float) -> None:
        """Wait until the topic is read to its end for the first time; once, if that cannot be."""
        if self._thread is not None and not self._settled.wait(max(0.0, deadline - time.monotonic())):
            self._settled.set()

    def stop(self) -> None:
        """Follow no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def say(self, key: bytes, message_id: str, *, allowed: bool) -> None:
        """Note what this process was told, at once."""
        self._own[key] = message_id, time.monotonic() + OWN_WORD_S
        super().say(key, message_id, allowed=allowed)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow(Consumer(self._config))
            except Exception as problem:  # the edge of a thread of ours in a process of the host
                LOG.warning("who opted out cannot be read (%s); the platform withholds their events", problem)
                self._stop.wait(AGAIN_S)

    def _follow(self, consumer: Consumer) -> None:
        try:
            consumer.assign([TopicPartition(CONSENTS_TOPIC, 0, OFFSET_BEGINNING)])
            while not self._stop.is_set():
                for message in consumer.consume(500, WAIT_S):
                    value, error = message.value(), message.error()
                    if error is None and isinstance(value, bytes) and len(value) > 5:
                        self._take(value)
                    elif error is not None and error.code() == KafkaError._PARTITION_EOF and not self._settled.is_set():
                        self._coordinator(consumer)
                        self._settled.set()
        finally:
            with contextlib.suppress(KafkaException, RuntimeError):
                consumer.close()

    def _coordinator(self, consumer: Consumer) -> None:
        """Wait for the group's coordinator, the last address that librdkafka looks up; nothing is asked of it."""
        with contextlib.suppress(KafkaException):
            consumer.committed([TopicPartition(CONSENTS_TOPIC, 0)], COORDINATOR_S)

    def _take(self, value: bytes) -> None:
        schema = self._schemas.by_id(int.from_bytes(value[1:5], "big"))
        record: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None)
        key = record_key(record["tenant_id"], record["subject"])
        told, until = self._own.get(key, ("", 0.0))
        if told and told != record["message_id"] and time.monotonic() < until:
            return
        self._own.pop(key, None)
        super().say(key, "", allowed=record["analytics_allowed"])
