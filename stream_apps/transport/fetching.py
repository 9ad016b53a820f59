"""The thread that talks to Kafka: fetches are fenced against rebalances and seeks.

In: the partitions to read, and the version of the fetch positions for which they are asked.
Out: records of exactly these partitions at exactly these positions, or none.
Never: a drain that the consumer cannot tell to be before or after a seek.
"""

import asyncio
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any, cast
from weakref import ref

from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import CorruptRecordException
from faust.transport.consumer import RecordMap
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP

from stream_apps.transport.batch import Record, Run

if TYPE_CHECKING:
    from stream_apps.transport.consumer import BatchConsumer

Fetched = dict[TP, list[Record]]


class Runs:
    """Takes the place of a fetch result's `getall`: the same records, a record batch at a time, and the offsets that were passed.

    aiokafka builds a ConsumerRecord of ten fields of each record, one by one; its own record has all that a batch needs. Records
    of aborted transactions and the markers that end transactions are passed over, and no gap.
    """

    def __init__(self, result: Any) -> None:
        self._result = ref(result)  # which holds this object
        self._rest: list[Record] = []
        self._end = 0  # offset behind the record batch that `_rest` is of

    def __call__(self, max_records: int | None = None) -> Run:
        """Records from the position on, at most so many; moves the position behind them and what was passed over.

        Raises
        ------
        CorruptRecordException
            A record batch has another checksum; the position stays, so that it is fetched again.
        """
        result = self._result()
        if result is None or not result.has_more() or not result.check_assignment(result._topic_partition):
            return Run(begin=0, behind=0)
        source = result._partition_records
        out = Run(begin=source.next_fetch_offset, behind=source.next_fetch_offset)
        most = sys.maxsize if max_records is None else max_records
        while len(out) < most and (self._rest or self._read(source, out)):
            room = most - len(out)
            out += self._rest[:room]
            self._rest = self._rest[room:]
            source.next_fetch_offset = self._end if not self._rest else out[-1].offset + 1
        out.behind = source.next_fetch_offset
        result._update_position()
        if not self._rest and not source._records.has_next():
            result._partition_records = None
        return out

    def _read(self, source: Any, out: Run) -> bool:
        """Make the next record batch that has records for us the rest; false when there is none. `out` counts the holes."""
        while source._records.has_next():
            batch = source._records.next_batch()
            if source._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"{source._tp}: a record batch has another checksum")
            begin, self._end = source.next_fetch_offset, batch.next_offset
            out.missing += max(0, batch.base_offset - begin)
            if self._holds_records(source, batch):
                self._rest = list(batch)
                if self._rest and self._rest[0].offset < begin:  # a fetch may begin in the middle of a record batch
                    self._rest = [record for record in self._rest if record.offset >= begin]
                out.missing += max(0, self._end - max(begin, batch.base_offset) - len(self._rest))  # compacted away
                if self._rest:
                    return True
            source.next_fetch_offset = self._end
        return False

    @staticmethod
    def _holds_records(source: Any, batch: Any) -> bool:
        """Whether a record batch is neither a transaction's marker nor part of a transaction that was aborted."""
        if batch.producer_id is not None:
            source._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and source._contains_abort_marker(batch):
                source._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in source._aborted_producers:
                return False
        return not batch.is_control_batch


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, with a fetch that a reassignment cannot mislead."""

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        # Faust asks the broker to hold an empty fetch for 1.5 s, and aiokafka has one fetch per broker in flight: while
        # partitions at their end hold it, the others, with data waiting, are not asked for.
        consumer = super()._create_worker_consumer(transport)
        # We write no transactions; whoever does must not make us count what was never committed.
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = self._owner.config.fetch_max_wait_ms
        consumer._fetch_min_bytes = self._owner.config.fetch_min_bytes
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
            self._read_by_runs(fetcher)
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

    def _read_by_runs(self, fetcher: Any) -> None:
        for tp, result in fetcher._records.items():
            if type(result) is not FetchResult or tp.topic not in self._owner.batch_topics or "getall" in vars(result):
                continue
            if result.has_more():
                result.getall = Runs(result)
