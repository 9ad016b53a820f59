"""What the store holds of a partition before a batch.

In: a store; ids, numbers and shards that a batch asks for.
Out: who held an id first, which repeats and dead letters are known, the keys of a shard.
Never: a row of the batch itself or of a later one, so that a batch that is written again learns the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from sinks.dedup import Array
from sinks.patience import Patience
from sinks.statements import table_of
from sinks.store import Store
from sinks.table import DATABASE, quoted

#: Bytes of the values of one look-up: below the engine's 256 KiB of SQL.
_BYTES = 200_000
_ROW = np.dtype([("key", "<u8"), ("shard", "<i8")])

Sent = tuple[str, str, int]  # message_id, producer_id, sequence
Number = tuple[str, str, int]  # source, producer_id, sequence


@dataclass(frozen=True)
class First:
    """The record that counts: where it stands, who sent it, and what it says, if that was asked for."""

    offset: int
    producer_id: str
    sequence: int
    content: Sequence[Any] | None = None


class Past:
    """The rows of `topic` and `partition` whose offset is less than `before`."""

    def __init__(self, store: Store, patience: Patience, topic: str, partition: int, before: int) -> None:
        self._store, self._patience = store, patience
        self._events = (
            f"{DATABASE}.{table_of(topic)} WHERE _topic = {quoted(topic)} AND _partition = {partition} "
            f"AND _offset < {before}"
        )
        self._place = f"WHERE topic = {quoted(topic)} AND partition = {partition} AND offset < {before}"

    def load(self, shards: list[int]) -> tuple[Array, Array]:
        """Keys of the ids in these shards, and the shard of each."""
        among = f"{self._events} AND _shard IN ({', '.join(map(str, shards))})"
        sql = f"SELECT xxHash64(message_id), _shard FROM {among}"
        rows = np.frombuffer(self._patience("load ids", lambda: self._store.binary(sql)), _ROW)
        return rows["key"].copy(), rows["shard"].copy()

    def holders(self, ids: list[str], columns: Sequence[str] = ()) -> dict[str, First]:
        """Who holds these ids among the events, with the values of `columns`."""
        return self._firsts(ids, self._events, "_offset", columns)

    def withheld(self, ids: list[str]) -> dict[str, First]:
        """Who held these ids first, be it an event that counts or one of a person who opted out."""
        return self._firsts(ids, f"{DATABASE}.withheld {self._place}", "offset") | self.holders(ids)

    def repeats(self, ids: list[str]) -> set[Sent]:
        """Repeats of these ids that are known already."""
        columns = "message_id, producer_id, sequence"
        return set(self._matching(columns, f"{DATABASE}.duplicates {self._place}", "message_id", map(quoted, ids)))

    def refused(self, numbers: list[Number]) -> set[Number]:
        """Those of these numbers whose record was refused already."""
        columns = "source, producer_id, sequence"
        wanted = (f"({quoted(source)}, {quoted(producer)}, {number})" for source, producer, number in numbers)
        return set(self._matching(columns, f"{DATABASE}.refused {self._place}", f"({columns})", wanted))

    def _firsts(self, ids: list[str], among: str, offset: str, content: Sequence[str] = ()) -> dict[str, First]:
        columns = ", ".join(("message_id", offset, "producer_id", "sequence", *content))
        found = self._matching(columns, among, "message_id", map(quoted, ids))
        return {row[0]: First(row[1], row[2], row[3], row[4:] or None) for row in found}

    def _matching(self, columns: str, among: str, what: str, wanted: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        for listed in pieces(wanted):
            sql = f"SELECT {columns} FROM {among} AND {what} IN ({', '.join(listed)})"
            for row in self._patience("look ids up", partial(self._store.rows, sql)):
                yield tuple(row)


def pieces(values: Iterable[str], limit: int = _BYTES) -> Iterator[list[str]]:
    """The values in lists of at most `limit` bytes with a comma and a blank between them, or of one value."""
    piece: list[str] = []
    size = 0
    for value in values:
        length = len(value.encode()) + 2
        if piece and size + length > limit:
            yield piece
            piece, size = [], 0
        piece.append(value)
        size += length
    if piece:
        yield piece
