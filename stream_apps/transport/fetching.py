"""The thread that talks to Kafka: fetches are fenced against rebalances and seeks.

In: the partitions to read, and the version of the fetch positions for which they are asked.
Out: records of exactly these partitions at exactly these positions, or none.
Never: a drain that the consumer cannot tell to be before or after a seek.
"""

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from aiokafka.consumer.fetcher import FetchResult
from faust.transport.consumer import RecordMap
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP

from stream_apps.transport.batch import Record

if TYPE_CHECKING:
    from stream_apps.transport.consumer import BatchConsumer

Fetched = dict[TP, list[Record]]


def _as_is(_tp: object, record: Record) -> Record:
    return record


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, with a fetch that a reassignment cannot mislead."""

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        # Faust asks the broker to hold an empty fetch for 1.5 s, and aiokafka has one fetch per broker in flight: while
        # partitions at their end hold it, the others, with data waiting, are not asked for.
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = self._owner.config.fetch_max_wait_ms
        return consumer

    @property
    def _owner(self) -> "BatchConsumer":
        return cast("BatchConsumer", self.consumer)

    async def fetch(self, partitions: frozenset[TP], *, version: int, timeout_s: float) -> Fetched:
        """Return what is there of these partitions, or what comes within the time; nothing once the positions moved."""
        fetched = await self.call_thread(self._fetch_fenced, self._ensure_consumer(), partitions, version, timeout_s)
        return cast(Fetched, fetched)

    async def _fetch_fenced(
        self, consumer: Any, partitions: frozenset[TP], version: int, timeout_s: float
    ) -> RecordMap:
        # aiokafka's own waiting would go on through a rebalance and return the new assignment's first records to the old
        # caller, and it takes an empty set for "all partitions". So wait here, and drain without waiting: between the
        # check and the drain this thread does nothing else, and seeks run in this thread after the version has moved.
        fetcher = consumer._fetcher
        deadline = monotonic() + timeout_s
        while True:
            moved = self._owner.positions.version != version
            if not partitions or moved or fetcher._subscriptions.reassignment_in_progress:
                return {}
            self._keep_records_as_they_are(fetcher)
            records = await self._fetch_records(
                consumer, cast(set[TP], partitions), timeout=0, max_records=consumer._max_poll_records
            )
            left = deadline - monotonic()
            if records or left <= 0 or not self._owner.flow_active:
                return records
            waiter = fetcher._create_fetch_waiter()
            done, _ = await asyncio.wait([waiter], timeout=left)
            if not done:
                waiter.cancel()
                return {}
            waiter.result()  # raises authorisation errors

    def _keep_records_as_they_are(self, fetcher: Any) -> None:
        # aiokafka builds a ConsumerRecord of ten fields per record; its own record has all that a batch needs.
        batch_topics = self._owner.batch_topics
        for tp, result in fetcher._records.items():
            if type(result) is FetchResult and tp.topic in batch_topics and result._partition_records is not None:
                result._partition_records._consumer_record = _as_is
