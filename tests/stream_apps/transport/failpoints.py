"""Interleavings that happen rarely by themselves, forced.

In: a name. Out: the transport's class patched in this process, before the app is built.
Never: imported by anything but the worker under test.
"""

import asyncio
import time
from collections.abc import Callable
from unittest.mock import patch

from faust.types.tuples import TP

from stream_apps.transport.batch import Record
from stream_apps.transport.consumer import BatchConsumer

_LINGER_S = 2.0


def linger_after_seek() -> None:
    """Between the seek to the committed offsets and the clearing of the queues, let fetches come in."""
    perform_seek = BatchConsumer.perform_seek

    async def slow(self: BatchConsumer) -> None:
        await perform_seek(self)
        await asyncio.sleep(_LINGER_S)

    patch.object(BatchConsumer, "perform_seek", slow).start()


def fetch_across_seek() -> None:
    """Keep a fetch in flight that was sent for the changelogs, while these are paused and the sources are sought."""
    perform_seek = BatchConsumer.perform_seek

    async def crossed(self: BatchConsumer) -> None:
        live = {tp for tp in self.assignment() if self._is_changelog_tp(tp)}
        in_flight = asyncio.ensure_future(self._fetch_from(live, _LINGER_S))
        await asyncio.sleep(0.3)  # it is sent
        while not self._thread._ensure_consumer()._fetcher._fetch_waiters:  # noqa: ASYNC110  (another thread's)
            await asyncio.sleep(0.01)
        live.clear()
        await perform_seek(self)
        await in_flight

    patch.object(BatchConsumer, "perform_seek", crossed).start()


def drain_before_seek() -> None:
    """Let a fetch drain the new assignment before the seek, and lose what it drained, as a cancelled caller does."""
    perform_seek = BatchConsumer.perform_seek

    async def drained(self: BatchConsumer) -> None:
        sources = frozenset(tp for tp in self.assignment() if tp.topic in self.batch_topics)
        deadline = time.monotonic() + 5
        lost = 0
        while not lost and time.monotonic() < deadline:
            fetched = await self._thread.fetch(sources, version=self.positions.version, timeout_s=1.0)
            lost = sum(map(len, fetched.values()))
        await perform_seek(self)

    patch.object(BatchConsumer, "perform_seek", drained).start()


def lose_changelog_records() -> None:
    """Let no record of a changelog arrive, so that recovery waits for ever."""
    hold = BatchConsumer._hold

    def deaf(self: BatchConsumer, fetched: dict[TP, list[Record]]) -> None:
        hold(self, {tp: run for tp, run in fetched.items() if tp.topic in self.batch_topics})

    patch.object(BatchConsumer, "_hold", deaf).start()


FAILPOINTS: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (linger_after_seek, fetch_across_seek, drain_before_seek, lose_changelog_records)
}
