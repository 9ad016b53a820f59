"""Each message_id passes once per partition, within a window of the log's own time.

In: 64-bit keys, shards and offsets of a batch in offset order, with log-append times; stored chunks.
Out: which rows to keep.
Never: a row judged twice with two outcomes, or a verdict that depends on how the log was cut into batches.

Ids are sharded by their own (UUIDv7) time, so a repeat meets its shard however late it comes. A shard that no row touched
for `window_ms` of log-append time is forgotten whole. Verdicts are stored: a row at or below the stored offset of its shard
was judged before, and is a duplicate only if its offset is among the stored refusals; without that rule every replayed row
would meet its own key and be lost.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.distinct import distinct, firsts
from stream_apps.compute.open_addressing import KeySet, sorted_contains
from stream_apps.compute.records import IDS, IDS_LEVEL, Key, Record

Array = np.ndarray[Any, np.dtype[Any]]
WINDOW_MS = 6 * 3_600_000
COOL_MS = 15 * 60_000  # a shard that rests this long keeps only its stored runs, 8 bytes an id
THAW_ROWS = 32  # so many rows at once for a cold shard pay for the building of its table
MERGE = 16  # chunks of one tier that become one
_TIERS = (1_024, 16_384)  # ids; larger chunks are never merged: 64k ids are half of Kafka's limit for a record


@dataclass(frozen=True)
class Chunk:
    """Ids that a flush added to a shard, sorted, and the offsets that it refused.

    `epoch` is the offset of the first row since the shard was last forgotten: ids of an older epoch count no more.
    """

    epoch: int
    keys: Array
    refused: Array

    def pack(self) -> bytes:
        """Body of a record; ids do not compress."""
        head = np.array([self.epoch, len(self.keys)], np.int64)
        return b"".join((head.tobytes(), self.keys.tobytes(), self.refused.tobytes()))

    @classmethod
    def unpack(cls, body: bytes) -> "Chunk":
        """Views on the body."""
        epoch, count = np.frombuffer(body, np.int64, 2).tolist()
        return cls(
            epoch, np.frombuffer(body, np.uint64, count, 16), np.frombuffer(body, np.int64, offset=16 + 8 * count)
        )


@dataclass
class Shard:
    """State of one shard. `judged`: offset up to which stored verdicts hold; `touched_ms`: log-append time of its last row."""

    epoch: int = -1
    judged: int = -1
    last: int = -1
    touched_ms: int = -1
    chunks: dict[int, Chunk] = field(default_factory=dict)
    stale: dict[int, int] = field(default_factory=dict)  # chunks to delete, each once this offset is committed
    refused: set[int] = field(default_factory=set)
    following: int = 0
    table: KeySet = field(default_factory=KeySet)
    complete: bool = True  # the table holds every id, not only those since it cooled
    fresh: list[Array] = field(default_factory=list)
    fresh_refused: list[Array] = field(default_factory=list)

    def forget(self) -> None:
        """Begin a new epoch: what came before counts no more."""
        self.stale |= dict.fromkeys(self.chunks, self.last)  # their refusals still judge rows that come again
        self.chunks, self.table, self.complete, self.fresh, self.epoch = {}, KeySet(), True, [], -1

    def add(self, keys: Array) -> Array:
        """Which of these distinct keys are new; they are in afterwards."""
        if self.complete:
            return self.table.add(keys)
        if len(keys) >= THAW_ROWS:
            self.thaw()
            return self.table.add(keys)
        known = np.zeros(len(keys), bool)
        for chunk in self.chunks.values():
            known |= sorted_contains(chunk.keys, keys)
        new = ~known
        new[new] = self.table.add(keys[new])
        return new

    def thaw(self) -> None:
        """Build the whole table from the stored chunks."""
        for chunk in self.chunks.values():
            self.table.add(chunk.keys)
        self.complete = True

    def cool(self) -> None:
        """Drop the table; everything in it is stored."""
        self.table, self.complete = KeySet(), not self.chunks

    @property
    def size_bytes(self) -> int:
        """Bytes of tables and chunks."""
        return self.table.size_bytes + sum(c.keys.nbytes + c.refused.nbytes for c in self.chunks.values())


class Deduplicator:
    """Verdicts of one family and source partition. `verdicts=False` is a test's control."""

    def __init__(self, *, window_ms: int = WINDOW_MS, verdicts: bool = True) -> None:
        self.window_ms, self._verdicts = window_ms, verdicts
        self.shards: dict[int, Shard] = {}
        self.clock_ms = -1  # greatest log-append time
        self._restored = -1

    def __call__(self, keys: Array, shard: Array, offset: Array, appended_ms: Array) -> Array:
        """True for rows to keep. Rows are in offset order."""
        keep = np.ones(len(keys), bool)
        if not len(keys):
            return keep
        keys = np.maximum(keys, np.uint64(1))  # 0 means an empty place
        times = np.maximum.accumulate(np.maximum(appended_ms, self.clock_ms))  # brokers' clocks may step back
        start = 0
        while start < len(keys):  # within a cut no shard can grow older than the window
            end = int(np.searchsorted(times, times[start] + self.window_ms, side="right"))
            cut = slice(start, end)
            keep[cut] = self._judge(keys[cut], shard[cut], offset[cut], times[cut])
            start = end
        self.clock_ms = int(times[-1])
        return keep

    def _judge(self, keys: Array, shard: Array, offset: Array, times: Array) -> Array:
        if shard[0] == shard[-1] and (shard == shard[0]).all():
            return self._in_shard(int(shard[0]), keys, offset, times)
        keep = np.empty(len(keys), bool)
        for number in np.unique(shard).tolist():
            rows = np.flatnonzero(shard == number)
            keep[rows] = self._in_shard(number, keys[rows], offset[rows], times[rows])
        return keep

    def _in_shard(self, number: int, keys: Array, offset: Array, times: Array) -> Array:
        held = self.shards.get(number)
        if held is None:
            held = self.shards[number] = Shard()
        keep = np.ones(len(keys), bool)
        start = 0
        if self._verdicts and offset[0] <= held.judged:
            start = int(np.searchsorted(offset, held.judged, side="right"))
            keep[:start] = [o not in held.refused for o in offset[:start].tolist()]
        if start == len(keys):
            return keep
        keys, offset = keys[start:], offset[start:]
        if held.touched_ms >= 0 and int(times[start]) - held.touched_ms > self.window_ms:
            held.forget()
        if held.epoch < 0:
            held.epoch = int(offset[0])
        first = firsts(keys)
        fresh = np.zeros(len(keys), bool)
        fresh[first[held.add(keys[first])]] = True
        keep[start:] = fresh
        held.fresh.append(keys[fresh])
        if not fresh.all():
            held.fresh_refused.append(offset[~fresh])
        held.touched_ms, held.last = int(times[-1]), int(offset[-1])
        return keep

    def flush(self, offset: int, committed: int) -> tuple[list[Record], list[Key]]:
        """Records of what came since the last flush, and keys to delete once these records are safe.

        Parameters
        ----------
        offset
            Last source offset that was judged.
        committed
            First source offset that a restart would read again: verdicts below it are not needed any more.
        """
        records: list[Record] = []
        drops: list[Key] = []
        for number, held in list(self.shards.items()):
            if held.fresh or held.fresh_refused:
                records.extend(self._flushed(number, held, offset, committed))
            elif held.touched_ms < self.clock_ms - self.window_ms and held.last < committed:
                held.stale |= dict.fromkeys(held.chunks, held.last)
                del self.shards[number]
            elif held.chunks and len(held.table) and held.touched_ms < self.clock_ms - COOL_MS:
                held.cool()
            for n in [n for n, last in held.stale.items() if last < committed]:
                drops.append((IDS_LEVEL, number, IDS, str(n)))
                del held.stale[n]
        return records, drops

    def _flushed(self, number: int, held: Shard, offset: int, committed: int) -> Iterator[Record]:
        keys = np.sort(np.concatenate(held.fresh)) if held.fresh else np.zeros(0, np.uint64)
        refused = np.concatenate(held.fresh_refused) if held.fresh_refused else np.zeros(0, np.int64)
        held.fresh, held.fresh_refused = [], []
        held.refused = {o for o in held.refused if o >= committed} | set(refused.tolist())
        chunk = Chunk(held.epoch, keys, refused)
        tier = _tier(chunk)
        peers = [n for n, c in held.chunks.items() if _tier(c) == tier] if tier < len(_TIERS) else []
        if len(peers) >= MERGE - 1:
            chunk = _merged([chunk, *(held.chunks.pop(n) for n in peers)], committed)
            held.stale |= dict.fromkeys(peers, -1)
        body = chunk.pack()
        held.chunks[held.following] = Chunk.unpack(body)
        yield Record(IDS_LEVEL, number, IDS, str(held.following), offset, held.touched_ms, body)
        held.following += 1

    def load(self, records: Iterable[Record], clock_ms: int) -> None:
        """Take over stored chunks, of whatever writers.

        `clock_ms` is the log's time behind the first row that comes again. Chunks of a torn checkpoint know later times;
        with those the rows between would be older than they were.
        """
        by_shard: dict[int, list[Record]] = {}
        for record in records:
            by_shard.setdefault(record.bucket, []).append(record)
        for number, stored in by_shard.items():
            self.shards[number] = _restored(stored)
        self.clock_ms = clock_ms

    @property
    def size_bytes(self) -> int:
        """Bytes of tables and chunks."""
        return sum(s.size_bytes for s in self.shards.values())


def _restored(stored: list[Record]) -> Shard:
    held = Shard(complete=False)
    chunks = [(int(r.piece), r.offset, Chunk.unpack(r.body)) for r in stored]
    held.epoch = max(c.epoch for *_, c in chunks)
    for number, offset, chunk in chunks:
        held.refused.update(chunk.refused.tolist())
        if chunk.epoch < held.epoch:
            held.stale[number] = max(offset, held.stale.get(number, -1))
            continue
        other = held.chunks.get(number)  # two writers used one number: a sketch of sets, so their union holds
        held.chunks[number] = chunk if other is None else _merged([chunk, other], 0)
    held.stale = {n: last for n, last in held.stale.items() if n not in held.chunks}
    held.judged = held.last = max(r.offset for r in stored)
    held.touched_ms = max(r.touched_ms for r in stored)
    held.following = max(n for n, *_ in chunks) + 1
    return held


def _tier(chunk: Chunk) -> int:
    return sum(len(chunk.keys) >= size for size in _TIERS)


def _merged(chunks: list[Chunk], committed: int) -> Chunk:
    refused = distinct(np.concatenate([c.refused for c in chunks]))
    keys = distinct(np.concatenate([c.keys for c in chunks]), runs=True)
    return Chunk(max(c.epoch for c in chunks), keys, refused[refused >= committed])
