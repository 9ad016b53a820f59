"""The registry's log: one compacted Kafka topic.

In: (key, value) records as JSON.
Out: the records again as bytes, in order, at the next start.
Never: an answer before Kafka acknowledged the record (acks=all).
"""

import json
import time
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from infra.embedded.registry_state import Entry, Record

_ACK_S = 30


class LogUnavailable(RuntimeError):
    """Kafka did not take or give a record in time. Transient: try again."""


class RegistryLog:
    """Blocking access to the topic; the caller runs it in a thread."""

    def __init__(self, bootstrap: str, topic: str = "_schemas") -> None:
        self._servers: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap, "log_level": 0}
        self.topic = topic
        self._producer = self._new_producer()

    def create(self, timeout: float = 60.0) -> None:
        """Create the topic when it is missing, waiting for the broker up to `timeout` seconds.

        Raises
        ------
        LogUnavailable
            At the timeout.
        """
        admin = AdminClient(self._servers)
        topic = NewTopic(self.topic, 1, config={"cleanup.policy": "compact"})
        deadline = time.monotonic() + timeout
        while True:
            try:
                admin.create_topics([topic])[self.topic].result(10)
                return
            except KafkaException as error:
                if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    return
                if time.monotonic() > deadline:
                    raise LogUnavailable(f"Kafka does not answer at {self._servers['bootstrap.servers']}") from error

    def replay(self) -> list[Entry]:
        """Return every record of the log, in order.

        Raises
        ------
        LogUnavailable
            When the end is not reached because Kafka stays silent for 30 s.
        """
        consumer = Consumer(
            {**self._servers, "group.id": "schema-registry", "enable.auto.commit": False, "enable.partition.eof": True}
        )
        consumer.assign([TopicPartition(self.topic, 0, 0)])
        records: list[Entry] = []
        try:
            while True:
                message = consumer.poll(_ACK_S)
                if message is None:
                    raise LogUnavailable("Kafka gave no record of the registry's log for 30 s")
                error = message.error()
                if error is None:
                    records.append(Entry(message.offset() or 0, message.key(), message.value()))
                elif error.code() == KafkaError._PARTITION_EOF:
                    return records
        finally:
            consumer.close()

    def append(self, records: list[Record]) -> None:
        """Append the records in order and return when all are acknowledged.

        Raises
        ------
        LogUnavailable
            When one was not acknowledged in time; it may be in the log nevertheless, so replay before going on.
        """
        errors: list[KafkaError] = []

        def note(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                errors.append(error)

        for key, value in records:
            body = None if value is None else _encode(value)
            self._producer.produce(self.topic, value=body, key=_encode(key), partition=0, on_delivery=note)
        left = self._producer.flush(_ACK_S + 5)
        if left or errors:
            self._producer.purge()
            self._producer = self._new_producer()
            raise LogUnavailable("Kafka did not acknowledge a record of the registry's log in time")

    def _new_producer(self) -> Producer:
        settings = {"enable.idempotence": True, "acks": "all", "linger.ms": 0, "message.timeout.ms": _ACK_S * 1000}
        return Producer({**self._servers, **settings})


def _encode(tree: dict[str, Any]) -> bytes:
    return json.dumps(tree, separators=(",", ":"), sort_keys=True).encode()
