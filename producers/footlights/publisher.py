"""One process as a producer: numbers its records, hands them to Kafka, counts, and reports what it has accepted.

In: records that were checked.
Out: framed Avro on the topics, at least once and in order per partition; a report every few seconds and at the end.
Never: a sequence for a record that was not serialised and queued, so that a gap in the sequences is a loss.
"""

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from footlights.checks import MAX_EVENT_BYTES
from footlights.ids import new_producer_id
from footlights.names import REPORTS_TOPIC
from footlights.outcome import Refusal
from footlights.registry import Schemas, SchemaUnavailable, Serialize

Record = dict[str, Any]
OnDelivery = Callable[[Record, str | None], None]

REPORT_EVERY_S = 5.0
POLL_S = 0.05


def producer_config(bootstrap_servers: str, max_messages: int, overrides: dict[str, Any] | None) -> dict[str, Any]:
    """Settings of librdkafka.

    At 250 bytes a record, 10 ms of lingering at 20,000 records a second fill batches of 200 records, 50 kB; 100,000 queued
    records are 25 MB, five seconds of such a service. Records never time out: they wait for the broker while the queue has room.
    """
    return {
        "bootstrap.servers": bootstrap_servers,
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": "zstd",
        "linger.ms": 10,
        "batch.size": 262_144,
        "queue.buffering.max.messages": max_messages,
        "queue.buffering.max.kbytes": 262_144,
        "message.timeout.ms": 0,
        "partitioner": "murmur2_random",
        "log_level": 2,
        **(overrides or {}),
    }


class Publisher:
    """A producer of one process; after a fork the child makes its own. Thread-safe."""

    def __init__(
        self,
        schemas: Schemas,
        config: dict[str, Any],
        *,
        tenant_id: str,
        source: str,
        on_delivery: OnDelivery | None,
        refused: Counter[str],
    ) -> None:
        self._schemas, self._config, self._on_delivery = schemas, config, on_delivery
        self._tenant_id, self._source = tenant_id, source
        self.producer_id = new_producer_id()
        self.sequence, self.acked, self.failed, self.refused = 0, 0, 0, refused
        self._headers: list[tuple[str, str | bytes | None]] = [
            ("producer_id", self.producer_id.encode()),
            ("source", source.encode()),
            ("tenant_id", tenant_id.encode()),
        ]
        self._serialize: dict[str, Serialize] = {}
        self._waiting: dict[int, tuple[str, bytes, bytes, Record | None]] = {}
        self._lock = threading.RLock()
        self._producer = Producer(config)
        self._stop, self._closed = threading.Event(), False
        self._fatal = threading.Event()
        self._thread = threading.Thread(target=self._run, name="footlights-publisher", daemon=True)
        self._thread.start()

    def publish(self, topic: str, record: Record, key: bytes, max_block_s: float) -> None:
        """Number, serialise and queue a record.

        Raises
        ------
        Refusal
            EVENT_TOO_LARGE; INVALID_PROPERTY for a text that is no UTF-8; QUEUE_FULL when there was no room for `max_block_s`.
        SchemaUnavailable
            When the record's schema cannot be had.
        """
        serialize = self._serialize.get(topic) or self._serialize.setdefault(topic, self._schemas.serializer(topic))
        deadline = 0.0
        while True:
            with self._lock:
                if self._closed:
                    raise Refusal("CLOSED", "the client is closed")
                number = self.sequence + 1
                record["producer_id"], record["sequence"] = self.producer_id, number
                try:
                    payload = serialize(record)
                except UnicodeEncodeError:
                    raise Refusal("INVALID_PROPERTY", "a text holds half of a surrogate pair") from None
                if len(payload) > MAX_EVENT_BYTES:
                    raise Refusal("EVENT_TOO_LARGE", f"the event takes more than {MAX_EVENT_BYTES} bytes")
                # Before it is handed over: the acknowledgement may come at once, on another thread.
                self._waiting[number] = (topic, key, payload, record if self._on_delivery else None)
                if self._produce(topic, key, payload, number):
                    self.sequence = number
                    return
                del self._waiting[number]
            # The queue is full. The lock is free meanwhile, and the thread that polls makes room.
            now = time.monotonic()
            deadline = deadline or now + max_block_s
            if now >= deadline:
                raise Refusal("QUEUE_FULL", f"the queue had no room for {max_block_s} s; is Kafka reachable?")
            time.sleep(0.002)

    def flush(self, timeout: float) -> int:
        """Wait until all is acknowledged; returns how many records still wait."""
        deadline = time.monotonic() + timeout
        while self._waiting and time.monotonic() < deadline:
            self._producer.flush(min(0.5, max(0.0, deadline - time.monotonic())))
        return len(self._waiting)

    def close(self, timeout: float) -> int:
        """Take nothing more, flush, send the last report, stop; returns how many records are left behind."""
        with self._lock:  # a number given after the last report would be missing in the books
            self._closed = True
        left = self.flush(timeout)
        self._stop.set()
        self._thread.join(timeout=5)
        self._report(closing=True)
        self._producer.flush(max(1.0, timeout))
        return left

    def _produce(self, topic: str, key: bytes, payload: bytes, number: int) -> bool:
        headers = [*self._headers, ("sequence", str(number).encode())]
        try:
            self._producer.produce(topic, payload, key, headers=headers, on_delivery=partial(self._delivered, number))
        except BufferError:
            return False
        except KafkaException as problem:
            # Of no use any more: the thread makes another producer, and this call waits for it.
            if not problem.args[0].fatal():
                self._waiting.pop(number, None)
                raise
            self._fatal.set()
            return False
        return True

    def _delivered(self, number: int, error: KafkaError | None, message: Any) -> None:
        if error is not None and (self._fatal.is_set() or error.fatal() or _purged(error)):
            self._fatal.set()  # the new producer sends it again
            return
        held = self._waiting.pop(number, None)
        if held is None:
            return
        if error is None:
            self.acked += 1
        else:
            self.failed += 1
        if self._on_delivery and held[3] is not None:
            # The host's function runs on our thread: whatever it raises must not end it.
            with contextlib.suppress(Exception):
                self._on_delivery(held[3], None if error is None else error.name())

    def _run(self) -> None:
        reported = time.monotonic()
        while not self._stop.is_set():
            self._producer.poll(POLL_S)
            if self._fatal.is_set():
                self._renew()
            if time.monotonic() - reported >= REPORT_EVERY_S:
                reported = time.monotonic()
                self._report(closing=False)

    def _renew(self) -> None:
        """After a fatal error a producer is of no use: make another and send what waits again, under the same message ids."""
        with self._lock:
            self._producer.purge()
            self._producer = Producer(self._config)
            self._fatal.clear()
            for number, (topic, key, payload, _) in sorted(self._waiting.items()):
                while not self._produce(topic, key, payload, number):
                    self._producer.poll(POLL_S)

    def _report(self, *, closing: bool) -> None:
        with self._lock:
            if not self.sequence and not self.refused:
                return
            report = {
                "tenant_id": self._tenant_id, "source": self._source, "producer_id": self.producer_id,
                "reported_at_ms": int(time.time() * 1000), "last_sequence": self.sequence, "acked": self.acked,
                "failed": self.failed, "refused": json.dumps(dict(self.refused)), "closing": closing,
            }  # fmt: skip
        try:
            serialize = self._serialize.get(REPORTS_TOPIC) or self._serialize.setdefault(
                REPORTS_TOPIC, self._schemas.serializer(REPORTS_TOPIC)
            )
            self._producer.produce(REPORTS_TOPIC, serialize(report), self.producer_id.encode())
        except (BufferError, KafkaException, SchemaUnavailable):
            return  # the next report says more; without the last one the rest shows as unconfirmed


def _purged(error: KafkaError) -> bool:
    return error.code() in (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)
