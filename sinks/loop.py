"""The sink's loop: read, cut, write, commit; and what to do when partitions come and go.

In: Kafka's records.
Out: what the writer writes, then a commit that only informs: the store's own position counts.
Never: a record of a partition after it was taken away.
"""

import gc
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.families import BY_TOPIC
from schemas.topics import undeclared
from sinks.batch import Batch
from sinks.config import SinkConfig
from sinks.consents import await_fresh, reader
from sinks.dedup import SeenIds
from sinks.errors import SinkError, WrongTopics
from sinks.partition import Partition, to_cut
from sinks.patience import Patience, Pulse
from sinks.positions import LogRange, Place, kafka_says, read_positions, shards_of, start_of, take_leases
from sinks.record_batches import CorruptBatch, Record
from sinks.registry import Schemas
from sinks.sink_metrics import SinkMetrics
from sinks.source import Source
from sinks.store import Store
from sinks.writer import Writer

log = structlog.get_logger(__name__)

_READ_S = 0.1
_ANSWER_S = 10.0
#: Errors of a consumer that pass by themselves, since librdkafka goes on trying.
_LASTING = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError._FATAL})


def consumer_config(config: SinkConfig) -> dict[str, Any]:
    """Settings of librdkafka.

    The interval between polls bounds how long a rebalance waits for a member: a broker that was killed and started twice within
    seconds can load a group without arming its members' session timers, and then waits for a dead one this long. A sink whose
    store answers later than that loses its partitions, and takes them again from the store's own position.
    """
    session_ms = int(config.session_timeout_s * 1000)
    return {
        "bootstrap.servers": config.bootstrap,
        "group.id": config.group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "partition.assignment.strategy": "roundrobin",
        "session.timeout.ms": session_ms,
        "heartbeat.interval.ms": min(3000, session_ms // 3),
        "max.poll.interval.ms": 3 * session_ms,
        "topic.metadata.refresh.interval.ms": 10_000,
        "log_level": 2,
    }


class Loop:
    """One process's share of the partitions."""

    def __init__(self, config: SinkConfig, stop: threading.Event) -> None:
        self._config, self._stop = config, stop
        self._metrics = SinkMetrics(topics=[t for t in config.topics if t in BY_TOPIC])
        self._pulse = Pulse(config.session_timeout_s * 0.8)
        self._patience = Patience(self._pulse, stop, self._metrics.failures.inc)
        self._store = Store(config.clickhouse_url, user=config.user, password=config.password)
        schemas = Schemas(config.schema_registry, self._patience)
        self._consents = reader(config.bootstrap, config.schema_registry)
        self._writer = Writer(self._store, config, schemas, self._patience, self._metrics, self._consents.consents)
        self._source = Source(config.bootstrap)
        self._admin = AdminClient({"bootstrap.servers": config.bootstrap, "log_level": 2})
        self._owned: dict[Place, Partition] = {}
        self._owner = ""
        self._epochs: dict[str, str] = {}

    def run(self) -> None:
        """Work until asked to stop; then write what was read.

        Raises
        ------
        SinkError
            When going on would be wrong; the message says what to do.
        """
        if self._config.metrics_port is not None:
            self._metrics.serve(self._config.metrics_port)
        self._pulse.start()
        self._consents.start()
        self._source.start()
        consumer = Consumer(consumer_config(self._config))
        try:
            consumer.subscribe(
                list(self._config.topics), on_assign=self._given, on_revoke=self._taken, on_lost=self._taken
            )
            # Records live from one flush to the next: collecting garbage among them finds nothing and costs much.
            gc.set_threshold(2_000_000, 20, 100)
            while not self._stop.is_set():
                self._read(consumer)
                self._flush(consumer, time.monotonic())
            self._flush(consumer, float("inf"))
        finally:
            self._pulse.stop()
            self._writer.close()
            self._consents.stop()
            consumer.close()
            self._source.close()

    def _read(self, consumer: Consumer) -> None:
        event = consumer.poll(0)  # partitions come and go in here, and nowhere else
        if event is not None and (problem := event.error()) is not None:
            self._judge(problem)
        now = time.monotonic()
        for place, fetched in self._source.take(_READ_S):
            if place in self._owned:
                self._owned[place].add(fetched, now)
        self._metrics.waiting.set(sum(p.rows for p in self._owned.values()))

    @staticmethod
    def _judge(problem: Any) -> None:
        if problem.fatal() or problem.code() in _LASTING:
            raise SinkError(f"Kafka refuses the sink for good: {problem.str()}")
        if problem.code() != KafkaError._PARTITION_EOF:
            log.warning("sink_waits", doing="read", reason=problem.name())

    def _flush(self, consumer: Consumer, now: float) -> None:
        while together := to_cut(self._owned.values(), now, self._config):
            self._patience("read consents", lambda: await_fresh(self._consents))
            written = self._writer.write(self._cut(together), self._owner, self._epochs)
            self._metrics.ids.set(sum(len(p.seen) for p in self._owned.values() if p.seen is not None))
            if written:
                consumer.commit(
                    offsets=[TopicPartition(b.topic, b.partition, b.last + 1) for b in written], asynchronous=True
                )

    def _cut(self, together: list[Partition]) -> Iterator[tuple[Batch, list[Record], SeenIds | None]]:
        for p in together:
            try:
                batch, records = p.cut(self._config.flush_rows, self._config.flush_bytes)
            except CorruptBatch as problem:
                log.warning("sink_waits", doing="read", topic=p.topic, partition=p.number, reason=str(problem))
                self._metrics.failures.inc()
                time.sleep(_READ_S)
                self._read_on()
            else:
                if records:
                    yield batch, records, p.seen

    def _read_on(self) -> None:
        """Have all partitions read from behind what is held of them."""
        self._source.read_from({place: p.expected for place, p in self._owned.items()})

    def _given(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        """Take over partitions: lease first, then the store's position, then read on from it."""
        places = [(tp.topic, tp.partition) for tp in given]
        self._owned, self._owner = {}, uuid.uuid4().hex
        consumer.assign([])  # membership is librdkafka's, reading is the source's
        if not places:
            return
        if wrong := undeclared(places):  # before a record of them is stored: it would not be known where it belongs
            raise WrongTopics(wrong)
        self._pulse.check()
        take_leases(self._store, places, self._owner, self._patience)
        positions = self._patience("read positions", lambda: read_positions(self._store, places))
        held = self._patience("ask Kafka", lambda: self._log_ranges(consumer, places))
        for place in places:
            position = positions[place]
            start = start_of(place, position, held[place])
            plan = position.plan if position.plan and start <= position.plan[1] else None
            self._owned[place] = Partition(*place, next=start, plan=plan, seen=self._seen(place))
        self._read_on()
        rebuilt = sum(1 for p in self._owned.values() if p.plan)
        log.info("sink_assigned", partitions=len(places), owner=self._owner, rebuilding=rebuilt)

    def _taken(self, consumer: Consumer, taken: list[TopicPartition]) -> None:
        """Let partitions go. What was read and not written belongs to the next owner."""
        for tp in taken:
            self._owned.pop((tp.topic, tp.partition), None)
        self._read_on()
        log.info("sink_revoked", partitions=len(taken))

    def _seen(self, place: Place) -> SeenIds | None:
        if place[0] not in BY_TOPIC:
            return None
        shards = self._patience("read shards", lambda: shards_of(self._store, *place))
        return SeenIds(shards, max(1, self._config.dedup_ids // 28))

    def _log_ranges(self, consumer: Consumer, places: list[Place]) -> dict[Place, LogRange]:
        try:
            names = TopicCollection(sorted({topic for topic, _ in places}))
            for name, described in self._admin.describe_topics(names, request_timeout=_ANSWER_S).items():
                self._epochs[name] = str(described.result(_ANSWER_S).topic_id)
            found = {p: consumer.get_watermark_offsets(TopicPartition(*p), _ANSWER_S) for p in places}
        except KafkaException as problem:
            raise kafka_says(problem) from problem
        return {place: LogRange(*ends) for place, ends in found.items()}
