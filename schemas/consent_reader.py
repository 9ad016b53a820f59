"""Reads the topic of consents to its end, again and again, and knows how fresh that is.

In: a consumer of Kafka and the registry's schemas, both handed in.
Out: `Consents`, and whether they suffice to decide about what was read up to now.
Never: "fresh" while the topic cannot be read; whoever asks waits instead of counting a person who refused.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from schemas.avro_resolution import Resolution, Unreadable, schema_of
from schemas.consents import GRACE_MS, Consents
from schemas.families import INTERNAL
from schemas.topics import TOPICS

log = structlog.get_logger(__name__)

TOPIC = TOPICS["consents"].name
PAUSE_S, ANSWER_S, FAILED_S, STOP_S, FRESH_S = 0.4, 5.0, 0.5, 1.0, 0.02
#: A broker that starts does not know its topics for a moment; one that is unknown for longer is not there.
ABSENT_S = 3.0
_BATCH = 1_000
#: librdkafka's word for "read to the end", told with the offset that follows.
_AT_END = -191
_NOT_FOUND = 404


class ConsentReader:
    """A thread that follows the topic.

    Parameters
    ----------
    consumer, place
        A `confluent_kafka.Consumer` that nobody else uses, and the topic's first offset as a `TopicPartition`.
    schema_of
        A schema by its id in the registry; KeyError says that the registry has none, whatever else it raises is tried again.
    """

    def __init__(self, consumer: Any, place: Any, schema_of: Callable[[int], Any]) -> None:
        self.consents = Consents()
        self._consumer, self._place, self._schema_of = consumer, place, schema_of
        self._next, self._fresh_at, self._absent_since = 0, float("-inf"), 0.0
        self._resolutions: dict[int, Resolution] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="consents", daemon=True)

    def start(self) -> "ConsentReader":
        """Begin to read."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Read no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def fresh(self) -> bool:
        """Whether every record that anybody has read up to now can be judged."""
        return time.monotonic() - self._fresh_at <= GRACE_MS / 1000

    def await_fresh(self, timeout_s: float = float("inf")) -> bool:
        """Wait until it is fresh, asked to end, or out of time; whether it is fresh."""
        deadline = time.monotonic() + timeout_s
        while not self.fresh() and time.monotonic() < deadline and not self._stop.wait(FRESH_S):
            pass
        return self.fresh()

    def _run(self) -> None:
        self._consumer.assign([self._place])
        failing = False
        while not self._stop.is_set():
            try:
                self._catch_up()
                failing = False
                self._read(PAUSE_S)
            except Exception as problem:  # whatever it is: not fresh, and again
                if not failing:
                    log.warning("consents_unread", reason=str(problem))
                failing = True
                self._stop.wait(FAILED_S)
        self._consumer.close()

    def _catch_up(self) -> None:
        asked = time.monotonic()
        if self._consumer.list_topics(TOPIC, timeout=ANSWER_S).topics[TOPIC].error is not None:
            self._absent_since = self._absent_since or asked
            if self._next == 0 and asked - self._absent_since >= ABSENT_S:
                self._fresh_at = asked
            return
        self._absent_since = 0.0
        end = self._consumer.get_watermark_offsets(self._place, timeout=ANSWER_S)[1]
        while self._next < end:
            self._read(PAUSE_S)
            if self._stop.is_set():
                return
        self._fresh_at = asked

    def _read(self, wait_s: float) -> None:
        for message in self._consumer.consume(_BATCH, wait_s):
            if message.error() is not None:
                if message.error().code() == _AT_END:  # behind what no record has, such as the marker of a transaction
                    self._next = max(self._next, message.offset())
                continue  # at other errors the consumer goes on trying, and until then nothing is fresh
            self._take(message)
            self._next = message.offset() + 1

    def _take(self, message: Any) -> None:
        value = message.value()
        if value is None or len(value) < 5 or value[0] != 0:
            return
        try:
            resolved = self._resolution(int.from_bytes(value[1:5], "big"))
            if resolved is None:
                return
            record = resolved(value[5:])
            self.consents.say(
                record["tenant_id"],
                record["subject"],
                allowed=record["analytics_allowed"],
                message_id=record["message_id"],
                appended_ms=message.timestamp()[1],
            )
        except (KeyError, Unreadable):
            log.error("consent_undecodable", offset=message.offset())

    def _resolution(self, schema_id: int) -> Resolution | None:
        """How to read records of a schema; None only when the thread is asked to end.

        Raises
        ------
        KeyError, Unreadable
            The registry has no schema of that id, or none that these records can be read from.
        """
        while schema_id not in self._resolutions and not self._stop.is_set():
            try:
                self._resolutions[schema_id] = Resolution(self._schema_of(schema_id), INTERNAL["consent"].schema)
            except (KeyError, Unreadable):
                raise
            except Exception as problem:  # an outage of the registry must not pass for a permission
                log.warning("consents_wait_for_schema", schema_id=schema_id, reason=str(problem))
                self._stop.wait(FAILED_S)
        return self._resolutions.get(schema_id)


def consumer_config(bootstrap: str) -> dict[str, Any]:
    """Settings of the consumer; it is in no group, though librdkafka wants a name."""
    return {
        "bootstrap.servers": bootstrap,
        "group.id": "footlights-consents",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 200,
        "topic.metadata.refresh.interval.ms": 10_000,
        "log_level": 2,
    }


def parsed(client: Any) -> Callable[[int], Any]:
    """`schema_of` for a `SchemaRegistryClient`, which caches."""

    def schema_by_id(schema_id: int) -> Any:
        try:
            found = client.get_schema(schema_id)
        except Exception as problem:  # the client's own class of errors is not known here
            if getattr(problem, "http_status_code", None) == _NOT_FOUND:
                raise KeyError(schema_id) from problem
            raise
        return schema_of(found.schema_str, found.schema_type)

    return schema_by_id
