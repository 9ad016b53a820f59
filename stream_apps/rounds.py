"""Work that is done in rounds over the store, by the one worker that owns the KPI stage.

In: the store; the topic of the results.
Out: records on that topic.
Never: two owners: an owner asks before it sends whether it is the owner still.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from typing import Any
from urllib.parse import urlsplit

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from faust.types import AppT
from faust.types.tuples import TP
from prometheus_client import Counter, Gauge

from schemas.topics import TOPICS, Topic
from stream_apps.batch_transport import batch_consumer
from stream_apps.config import StreamConfig
from stream_apps.exits import crashing
from stream_apps.publisher import Publisher
from stream_apps.registry import Schemas
from stream_apps.writer import RecordWriter

log = structlog.get_logger(__name__)

OWNED = TP(TOPICS["measures"].name, 0)
SECONDS = Gauge("footlights_round_seconds", "Time of the newest round of work over the store.", ["work"])
FAILURES = Counter("footlights_round_failures_total", "Rounds that the store or Kafka cut short.", ["work"])
#: Longest time of a round: a replayed history is worked off in turns.
MOST_S = 20.0
STORED = "SELECT max(last) + 1 FROM footlights.batches WHERE topic = '{topic}' AND partition = 0"

Record = dict[str, Any]


class Rounds(ABC):
    """A schedule. What waits to be done is the subclass's own.

    Parameters
    ----------
    work
        Its name in logs and metrics.
    key
        Fields of a record's key.
    """

    def __init__(self, app: AppT, config: StreamConfig, work: str, target: Topic, *key: str) -> None:
        self._app, self._config, self._work, self._target, self._key = app, config, work, target, key
        self._schemas, self._publisher = Schemas(config.schema_registry), Publisher(config.bootstrap)
        FAILURES.labels(work)  # there from the start: an alert reads it
        self._generation = -1
        self._draining = False

    @abstractmethod
    def begin(self) -> None:
        """Forget everything: another worker may have been the owner meanwhile."""

    @abstractmethod
    def compute(self, client: Any, generation: int) -> list[Record]:
        """What to send now; runs in a thread. Any error of the store or of Kafka passes and ends the round."""

    @abstractmethod
    def sent(self, records: list[Record]) -> None:
        """Note what was sent."""

    async def drain(self) -> None:
        """Begin no further round."""
        self._draining = True

    def _owner(self) -> bool:
        """Whether this worker owns the KPI stage now."""
        consumer = batch_consumer(self._app)
        return (
            not self._draining and consumer.flow_active and not self._app.rebalancing and OWNED in consumer.assignment()
        )

    async def keep(self) -> None:
        """Run rounds until cancelled. A store that does not answer costs a round and no more."""
        with crashing(self._work):
            schema_id = await self._schemas.id_of(self._target.subject, self._target.record.text)
            writer = RecordWriter(self._target, schema_id, *self._key)
            while True:
                await asyncio.sleep(self._config.cohorts_s)
                if self._owner():
                    await self._round(writer)
                else:
                    self.begin()

    async def _round(self, writer: RecordWriter) -> None:
        began, generation = time.monotonic(), self._app.consumer_generation_id
        if generation != self._generation:
            self._generation = generation
            self.begin()
        try:
            records = await asyncio.to_thread(self._computed, generation)
        except Exception as problem:  # of a client of the store, whose errors have no root of their own worth naming
            if not _passes(problem):
                raise
            FAILURES.labels(self._work).inc()
            log.warning("round_waits", work=self._work, error=type(problem).__name__)
            self.begin()  # what was found so far is lost
            return
        if not records:
            return
        if not self._owner() or generation != self._app.consumer_generation_id:
            self.begin()  # what was computed is sent by nobody
            return
        await self._publisher.send([writer(record) for record in records])
        self.sent(records)
        SECONDS.labels(self._work).set(time.monotonic() - began)

    def _computed(self, generation: int) -> list[Record]:
        client = self._connect()
        try:
            return self.compute(client, generation)
        finally:
            client.close()

    def all_stored(self, client: Any) -> bool:
        """Whether every record that was ever sent to the topic stands in the store."""
        consumer = Consumer(
            {"bootstrap.servers": self._config.bootstrap, "group.id": f"footlights-{self._work}", "log_level": 2}
        )
        try:
            end = consumer.get_watermark_offsets(TopicPartition(self._target.name, 0), timeout=10)[1]
        finally:
            consumer.close()
        [(stored,)] = client.query(STORED.format(topic=self._target.name)).result_rows
        return int(stored or 0) >= end

    def _connect(self) -> Any:
        import clickhouse_connect

        url = urlsplit(self._config.clickhouse_url)
        return clickhouse_connect.get_client(
            host=url.hostname,
            port=url.port or (8443 if url.scheme == "https" else 8123),
            interface=url.scheme,
            username=self._config.clickhouse_user,
            password=self._config.clickhouse_password,
            autogenerate_session_id=False,
            connect_timeout=5,
            query_retries=0,
        )


def _passes(problem: Exception) -> bool:
    """Whether a problem is one that goes away: the store or Kafka is not there just now."""
    from clickhouse_connect.driver.exceptions import ClickHouseError

    return isinstance(problem, ClickHouseError | KafkaException | OSError)
