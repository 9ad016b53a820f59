"""The ids that a partition already holds, as sorted 64-bit keys by shard of time.

In: keys and shards of a batch's rows, in offset order.
Out: which rows may be repeats; each is then confirmed by its whole id.
Never: a repeat that passes because its shard was not in memory: such a shard is loaded from the store first.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.distinct import distinct, firsts, numbered

Array = np.ndarray[Any, np.dtype[Any]]
#: Keys (uint64) and shards (int64) of the rows that the store holds in these shards.
Load = Callable[[list[int]], tuple[Array, Array]]


@dataclass
class _Shard:
    """Sorted runs of keys, each at least twice as long as the next, so that a key is looked up in few of them."""

    runs: list[Array] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(run) for run in self.runs)

    def holds(self, keys: Array) -> Array:
        found = np.zeros(len(keys), bool)
        for run in self.runs:
            at = np.minimum(np.searchsorted(run, keys), len(run) - 1)
            found |= run[at] == keys
        return found

    def add(self, keys: Array) -> None:
        """Take keys, which are different and in order."""
        if not len(keys):
            return
        self.runs.append(keys)
        while len(self.runs) > 1 and len(self.runs[-2]) < 2 * len(self.runs[-1]):
            last = self.runs.pop()
            self.runs[-1] = distinct(np.concatenate((self.runs[-1], last)), runs=True)


class SeenIds:
    """The ids of one partition.

    Parameters
    ----------
    stored
        Shards of which the store holds rows.
    limit
        Keys in memory at most; beyond, the shards that were not touched for the longest time are forgotten.
    """

    def __init__(self, stored: Iterable[int], limit: int) -> None:
        self._stored = set(stored)
        self._limit = limit
        self._shards: OrderedDict[int, _Shard] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def candidates(self, keys: Array, shards: Array, load: Load) -> Array:
        """Rows whose key stands in an earlier row, of this batch or before it; all keys are held from now on."""
        present, place = numbered(shards)
        self._bring(present.tolist(), load)
        repeats = np.zeros(len(keys), bool)
        for at, number in enumerate(present.tolist()):
            rows, shard = np.flatnonzero(place == at), self._shards[number]
            of_shard = keys[rows]
            fresh = distinct(of_shard)  # in order: looked up among sorted keys in a third of the time
            if len(fresh) < len(rows):  # a repeat lies in the shard of its first
                later = np.ones(len(rows), bool)
                later[firsts(of_shard)] = False
                repeats[rows[later]] = True
            held = shard.holds(fresh)
            if held.any():
                repeats[rows] |= np.isin(of_shard, fresh[held])
                fresh = fresh[~held]
            shard.add(fresh)
            self._size += len(fresh)
        self._forget(len(present))
        return repeats

    def _bring(self, wanted: list[int], load: Load) -> None:
        missing = [s for s in wanted if s not in self._shards and s in self._stored]
        for shard in wanted:
            self._shards.setdefault(shard, _Shard())
            self._shards.move_to_end(shard)
        if not missing:
            return
        keys, shards = load(missing)
        for shard in missing:
            self._shards[shard].add(distinct(keys[shards == shard]))
            self._size += len(self._shards[shard])

    def _forget(self, keep: int) -> None:
        while self._size > self._limit and len(self._shards) > keep:
            number, shard = self._shards.popitem(last=False)
            self._size -= len(shard)
            self._stored.add(number)
