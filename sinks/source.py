"""Reads the partitions that this process owns, in a thread of its own.

In: partitions with the offsets to read from; brokers.
Out: their records, each partition's in offset order and without a repeat.
Never: records that were fetched for an earlier set of partitions.

Who owns what is librdkafka's matter; fetching is aiokafka's. librdkafka queues each record by itself in C, and its binding makes an
object of each: half of what the sink cost. aiokafka hands on the bytes of a fetch, whose record batches become records in one go.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from sinks.errors import SinkError
from sinks.patience import say_waiting
from sinks.positions import Place
from sinks.record_batches import Fetched, fetched

#: How long a broker may hold a fetch that is smaller than that, and what it may send at most of a partition and of all, as stored.
_WAIT_MS, _LEAST_BYTES, _PARTITION_BYTES, _MOST_BYTES = 100, 65_536, 1 << 20, 8 << 20
_READ_COMMITTED = 1
#: As many bytes as this, as stored, wait to be taken; then fetching pauses.
_ROOM_BYTES = 8 << 20
_PAUSE_S, _LOOK_S, _END_S = 0.1, 1.0, 10.0
#: Brokers that did not answer for so long may be elsewhere by now: they are looked for from the first address again.
_ANEW_S = 30.0
#: Errors that do not pass by themselves.
_LASTING = frozenset({"TopicAuthorizationFailedError", "ClusterAuthorizationFailedError"})


class Source:
    """Fetches ahead; `take` and `read_from` are for one thread, which is not this one."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._news = threading.Condition()
        self._version = 0
        self._positions: dict[Place, int] = {}
        self._ready: list[tuple[Place, Fetched]] = []
        self._held = 0
        self._problem: Exception | None = None
        self._failures = 0
        self._answered = time.monotonic()
        self._loop: asyncio.AbstractEventLoop
        self._work: asyncio.Task[None]
        self._wake = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="sink-fetch", daemon=True)

    def start(self) -> None:
        """Begin; there is nothing to read yet."""
        self._loop = asyncio.new_event_loop()
        self._work = self._loop.create_task(self._fetch_for_ever())
        self._thread.start()

    def read_from(self, starts: dict[Place, int]) -> None:
        """Read these partitions from these offsets on, and no others; what was fetched and not taken is dropped."""
        with self._news:
            self._version += 1
            self._positions, self._ready, self._held = dict(starts), [], 0
        self._tell(self._wake.set)

    def take(self, wait_s: float) -> list[tuple[Place, Fetched]]:
        """What was fetched, by partition; waits so long for the first of it, [] when nothing came.

        Raises
        ------
        SinkError
            Kafka refuses for good, or no longer holds what was to be read; the message says what.
        """
        with self._news:
            self._news.wait_for(lambda: self._ready or self._problem, wait_s)
            if self._problem is not None:
                raise self._problem
            taken, full = self._ready, self._held >= _ROOM_BYTES
            self._ready, self._held = [], 0
        if full:
            self._tell(self._wake.set)
        return taken

    def close(self) -> None:
        """End the thread and its connections."""
        if self._thread.is_alive():
            self._tell(self._work.cancel)
            self._thread.join(_END_S)

    def _tell(self, what: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the thread has ended; `take` says why
            self._loop.call_soon_threadsafe(what)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._work)
        except asyncio.CancelledError:
            pass
        except Exception as problem:  # whatever it is, the process must hear of it
            with self._news:
                told = isinstance(problem, SinkError)
                self._problem = problem if told else SinkError(f"Reading from Kafka failed: {problem!r}")
                self._news.notify()
        finally:
            self._loop.close()

    async def _fetch_for_ever(self) -> None:
        while True:
            client = AIOKafkaClient(
                bootstrap_servers=self._bootstrap, client_id="footlights-sink", retry_backoff_ms=100
            )
            try:
                await client.bootstrap()
                self._answered = time.monotonic()
                await self._serve(client)
            except KafkaError as problem:
                await self._failed(type(problem).__name__)
            finally:
                await client.close()

    async def _serve(self, client: AIOKafkaClient) -> None:
        """Keep one fetch in flight for each broker that has something to read, until the brokers are to be looked for anew."""
        flying: dict[int, asyncio.Task[None]] = {}
        woken = asyncio.ensure_future(self._wake.wait())
        try:
            while time.monotonic() - self._answered < _ANEW_S:
                if woken.done():
                    self._wake.clear()
                    woken = asyncio.ensure_future(self._wake.wait())
                version, positions = self._wanted()
                if positions:
                    await client.set_topics({topic for topic, _ in positions})
                leaders = {place: client.cluster.leader_for_partition(TopicPartition(*place)) for place in positions}
                for node in {n for n in leaders.values() if n not in {None, -1}} - flying.keys():
                    starts = {place: at for place, at in positions.items() if leaders[place] == node}
                    flying[node] = asyncio.create_task(self._fetch(client, node, version, starts))
                homeless = not {None, -1}.isdisjoint(leaders.values())
                if homeless:
                    client.force_metadata_update()
                wait_s = _PAUSE_S if homeless else _LOOK_S
                await asyncio.wait({*flying.values(), woken}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                if not positions:
                    self._answered = time.monotonic()
                for node in [n for n, task in flying.items() if task.done()]:
                    flying.pop(node).result()
        finally:
            woken.cancel()
            for task in flying.values():
                task.cancel()
            await asyncio.gather(woken, *flying.values(), return_exceptions=True)

    def _wanted(self) -> tuple[int, dict[Place, int]]:
        """Version and offsets of what is to be fetched now; nothing while enough waits."""
        with self._news:
            return self._version, {} if self._held >= _ROOM_BYTES else dict(self._positions)

    async def _fetch(self, client: AIOKafkaClient, node: int, version: int, starts: dict[Place, int]) -> None:
        places = list(starts)
        random.shuffle(places)  # a full answer leaves the last ones out
        topics: dict[str, list[tuple[int, int, int]]] = {}
        for topic, partition in places:
            topics.setdefault(topic, []).append((partition, starts[topic, partition], _PARTITION_BYTES))
        request = FetchRequest(_WAIT_MS, _LEAST_BYTES, _MOST_BYTES, _READ_COMMITTED, list(topics.items()))
        try:
            answer = await client.send(node, request)
        except KafkaError as problem:
            await self._failed(type(problem).__name__)
            return
        self._answered = time.monotonic()
        failed = ""
        for topic, partitions in answer.topics:
            for partition, code, *told in partitions:
                place = (topic, partition)
                failed = self._taken(version, place, starts[place], code, told) or failed
        if failed:
            client.force_metadata_update()
            await self._failed(failed)
        else:
            self._failures = 0

    def _taken(self, version: int, place: Place, start: int, code: int, told: list[Any]) -> str:
        """Take one partition's part of an answer; returns what went wrong, "" when nothing did."""
        if code:
            error = str(for_code(code).__name__)
            if error in _LASTING:
                raise SinkError(f"Kafka refuses the sink for good: {error} of topic {place[0]}")
            if error == "OffsetOutOfRangeError" and version == self._version:
                raise SinkError(
                    f"Kafka does not hold offset {start} of {place[0]} partition {place[1]} (any more, or yet); the sink "
                    "stops, and looks from which one to go on when it starts anew"
                )
            return error
        # High watermark, last stable offset, the log's start, aborted transactions, maybe a better replica, the records.
        aborted, data = told[3], told[-1]
        if not data:
            return ""
        found = fetched(data, start, aborted or ())
        with self._news:
            if version == self._version and found.behind > start:
                self._positions[place] = found.behind
                self._held += len(data)
                self._ready.append((place, found))
                self._news.notify()
        return ""

    async def _failed(self, reason: str) -> None:
        self._failures += 1
        say_waiting("read", reason, self._failures)
        await asyncio.sleep(_PAUSE_S)
