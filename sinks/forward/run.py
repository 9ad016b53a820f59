"""A forwarding process: reads the event topics in a group of its own and hands batches on, at least once.

In: a target, Kafka, the registry.
Out: requests; a line in the file of refusals for each record that the target refuses for good.
Never: a commit before the answer, or a stop of its own consumption noticed by anybody else.
"""

import http.client
import json
import random
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from schemas.avro_resolution import Resolution, Unreadable
from schemas.families import BY_TOPIC, FAMILIES
from sinks.consents import await_fresh, reader
from sinks.forward.guard import Forbidden, Guard
from sinks.forward.targets import Record, Target, outward
from sinks.patience import Patience, Pulse, Stopping
from sinks.registry import Schemas

log = structlog.get_logger(__name__)
BATCH, LAST_PAUSE_S, SESSION_MS = 500, 60.0, 10_000
_LATER = frozenset({408, 425, 429})


@dataclass(frozen=True)
class ForwardConfig:
    """What a forwarding process needs; `folder` is where refused records are told."""

    bootstrap: str
    schema_registry: str
    folder: Path
    trusted_hosts: frozenset[str] = frozenset()
    metrics_port: int | None = None
    first_pause_s: float = 0.5


@dataclass(frozen=True)
class Held:
    """A record and its place."""

    topic: str
    partition: int
    offset: int
    record: Record


class Forwarder:
    """One target's consumer. `run` until `stop`."""

    def __init__(self, target: Target, config: ForwardConfig, stop: threading.Event) -> None:
        self._target, self._config, self._stop = target, config, stop
        self._guard = Guard(config.trusted_hosts)
        self.registry = CollectorRegistry()
        self._sent = Counter("footlights_forward_records", "Records by outcome.", ("outcome",), registry=self.registry)
        self._tries = Counter("footlights_forward_retries", "Requests tried again.", registry=self.registry)
        self._waits = Gauge(
            "footlights_forward_waiting_seconds", "Seconds that the target has not answered.", registry=self.registry
        )
        pulse = Pulse(1e9)
        self._patience = Patience(pulse, stop, lambda: None)
        self._schemas = Schemas(config.schema_registry, self._patience)
        self._resolutions: dict[tuple[str, int], Resolution] = {}
        self._consents = reader(config.bootstrap, config.schema_registry)
        self._consumer = Consumer(
            {
                "bootstrap.servers": config.bootstrap,
                "group.id": f"footlights-forward-{target.name}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": SESSION_MS,  # a killed forwarder's successor waits for so long
                "partition.assignment.strategy": "cooperative-sticky",
                "log_level": 2,
            }
        )

    def run(self) -> None:
        """Forward until `stop`; what is in progress then comes again."""
        self._consents.start()
        self._consumer.subscribe([family.topic for family in FAMILIES.values()])
        try:
            while not self._stop.is_set():
                messages = [m for m in self._consumer.consume(BATCH, 0.5) if m.error() is None]
                self._patience("read consents", lambda: await_fresh(self._consents))
                held = [one for one in map(self._read, messages) if one is not None]
                if held and not self._deliver(held):
                    return
                if messages:
                    self._commit(messages)
        except Stopping:
            return
        finally:
            self._consents.stop()
            self._consumer.close()

    def _read(self, message: Message) -> Held | None:
        """The record, unless its people opted out; what cannot be decoded is the platform's dead letter, not the target's."""
        topic, partition, offset, value = message.topic(), message.partition(), message.offset(), message.value()
        if topic is None or partition is None or offset is None or not isinstance(value, bytes) or value[:1] != b"\0":
            return None
        try:
            record = self._resolution(topic, int.from_bytes(value[1:5], "big"))(value[5:])
            ids = record["user_id"], record["anonymous_id"]
            if self._consents.consents.refuses(record["tenant_id"], ids, message.timestamp()[1]):
                self._sent.labels("withheld").inc()
                return None
            return Held(topic, partition, offset, outward(topic, record))
        except (KeyError, Unreadable):
            self._sent.labels("undecodable").inc()
            return None

    def _resolution(self, topic: str, schema_id: int) -> Resolution:
        """How records of a topic with a writer's schema are read; KeyError or Unreadable when they cannot be."""
        if (topic, schema_id) not in self._resolutions:
            self._resolutions[topic, schema_id] = Resolution(self._schemas(schema_id), BY_TOPIC[topic].schema)
        return self._resolutions[topic, schema_id]

    def _deliver(self, held: Sequence[Held]) -> bool:
        """Hand records on, in halves when they are too many at once; false when the process is asked to end."""
        pause, since = self._config.first_pause_s, time.monotonic()
        body = self._target.body([one.record for one in held])
        while True:
            status, told, wait = self._ask(body)
            if 200 <= status < 300:
                self._sent.labels("sent").inc(len(held))
                self._waits.set(0)
                return True
            if 400 <= status < 500 and status not in _LATER and status not in (401, 403, 404):
                if len(held) > 1:  # too large, or one of them is refused: find it
                    middle = len(held) // 2
                    return self._deliver(held[:middle]) and self._deliver(held[middle:])
                self._refused(held[0], status, told)
                return True
            # Away, busy, or set wrongly: nothing is lost, everything waits.
            log.warning("forward_waits", target=self._target.name, status=status, reason=told[:200])
            self._tries.inc()
            self._waits.set(time.monotonic() - since)
            if not self._wait(wait if wait is not None else pause * random.uniform(0.5, 1.0)):
                return False
            pause = min(LAST_PAUSE_S, pause * 2)

    def _ask(self, body: bytes) -> tuple[int, str, float | None]:
        """(status or 0, what was told, Retry-After)."""
        try:
            answer = self._guard.post(self._target.url, body, self._target.headers(body))
        except (OSError, http.client.HTTPException) as problem:
            return 0, str(problem), None
        except Forbidden as problem:
            return 0, str(problem), LAST_PAUSE_S
        return answer.status, answer.text, answer.retry_after_s

    def _wait(self, seconds: float) -> bool:
        """Wait while the consumer stays a member of its group; false when the process is asked to end."""
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                if self._stop.wait(0.1):
                    return False
                self._consumer.pause(self._consumer.assignment())
                stray = self._consumer.poll(0)
                if stray is not None and stray.error() is None:  # of a partition that came just now: not its time yet
                    self._consumer.seek(_after(stray, 0))
        finally:
            self._consumer.resume(self._consumer.assignment())
        return True

    def _refused(self, one: Held, status: int, told: str) -> None:
        self._sent.labels("refused").inc()
        line = {
            "topic": one.topic, "partition": one.partition, "offset": one.offset, "message_id": one.record.get("message_id"),
            "status": status, "told": told[:500],
        }  # fmt: skip
        self._config.folder.mkdir(parents=True, exist_ok=True)
        with (self._config.folder / f"{self._target.name}.refused.jsonl").open("a") as out:
            out.write(json.dumps(line) + "\n")
        log.error("forward_refused", **{**line, "told": told[:100]})

    def _commit(self, messages: Sequence[Message]) -> None:
        last = {(message.topic(), message.partition()): message for message in messages}
        try:
            self._consumer.commit(offsets=[_after(message, 1) for message in last.values()], asynchronous=False)
        except KafkaException as problem:  # rebalanced away: its next owner sends them again
            log.warning("forward_not_committed", reason=str(problem))


def _after(message: Message, more: int) -> TopicPartition:
    return TopicPartition(message.topic() or "", message.partition() or 0, (message.offset() or 0) + more)


def run(target: Target, config: ForwardConfig) -> None:
    """Forward until SIGTERM or SIGINT; call it from the main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    forwarder = Forwarder(target, config, stop)
    if config.metrics_port is not None:
        start_http_server(config.metrics_port, "127.0.0.1", forwarder.registry)
    log.info("forward_starts", target=target.name)
    forwarder.run()
