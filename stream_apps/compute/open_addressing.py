"""A set of 64-bit keys in one numpy array, probed for a whole batch at once.

In: distinct non-zero keys.
Out: which of them are new.
Never: a key of 0, which marks an empty place.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
_SMALLEST_BITS = 8
_PIECE = 65_536
#: Keys that are placed one by one: so few would cost a round of array operations for each step of the longest way.
_FEW = 32


class KeySet:
    """Open addressing with linear probing, at most 60 % full."""

    def __init__(self) -> None:
        self._bits = _SMALLEST_BITS
        self._table: Array = np.zeros(1 << self._bits, np.uint64)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    @property
    def size_bytes(self) -> int:
        """Bytes of the table."""
        return int(self._table.nbytes)

    def add(self, keys: Array) -> Array:
        """Which of these distinct keys (uint64) are new; they are in afterwards."""
        if (self._used + len(keys)) * 5 > 3 << self._bits:
            self._grow(self._used + len(keys))
        table, mask = self._table, (1 << self._bits) - 1
        new, left = np.zeros(len(keys), bool), np.arange(len(keys))
        place = keys.view(np.int64) & mask
        while len(left) > _FEW:
            there, mine = table[place], keys[left]
            empty = np.flatnonzero(there == 0)
            if len(empty):
                table[place[empty]] = mine[empty]  # of two keys at one place the last stays
                won = empty[table[place[empty]] == mine[empty]]
                new[left[won]] = True
                there[won] = mine[won]
            again = np.flatnonzero(there != mine)
            # A key that lost its place to another of this batch must look at that place again only to pass it.
            left = left[again]
            place = (place[again] + 1) & mask
        for row, first in zip(left.tolist(), place.tolist(), strict=True):
            key, at = keys[row], first
            while (there := table[at]) and there != key:
                at = (at + 1) & mask
            if not there:
                table[at], new[row] = key, True
        self._used += int(new.sum())
        return new

    def _grow(self, wanted: int) -> None:
        old = self._table[self._table != 0]
        while wanted * 5 > 3 << self._bits:
            self._bits += 1
        self._table, self._used = np.zeros(1 << self._bits, np.uint64), 0
        for start in range(0, len(old), _PIECE):
            self.add(old[start : start + _PIECE])


def sorted_contains(run: Array, keys: Array) -> Array:
    """Which keys lie in a sorted run.

    Examples
    --------
    >>> sorted_contains(np.array([2, 5], np.uint64), np.array([1, 5, 9], np.uint64))
    array([False,  True, False])
    """
    if not len(run):
        return np.zeros(len(keys), bool)
    at = np.minimum(np.searchsorted(run, keys), len(run) - 1)
    found: Array = run[at] == keys
    return found
