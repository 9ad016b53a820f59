"""Buckets whose state was given up, as intervals per level, so that what comes for them later is seen and not counted from nothing.

In: buckets that nothing touched for long.
Out: which buckets, or spans of buckets, hold one of them.
Never: a bucket forgotten: beyond `MOST` intervals neighbours grow together, and what lies between them counts as given up too.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from schemas.windows import DAY, HOUR, MINUTE

Array = np.ndarray[Any, np.dtype[Any]]
DAY_MS = 86_400_000
#: How long a bucket's state is kept after its last change. Days must outlive the longest window, which is of 30 of them.
KEEP_MS = {MINUTE: 7 * DAY_MS, HOUR: 35 * DAY_MS, DAY: 400 * DAY_MS}
#: How often a partition looks for what it can give up.
EVERY_MS = 3_600_000
MOST = 4_096


class Swept:
    """Disjoint intervals of bucket numbers for each level.

    Examples
    --------
    >>> swept = Swept()
    >>> for bucket in (5, 6, 9):
    ...     swept.add(MINUTE, bucket)
    >>> swept.dump()
    [[0, 5, 6], [0, 9, 9]]
    >>> swept.crosses(MINUTE, np.array([0, 6, 7]), np.array([4, 8, 8])).tolist()
    [False, True, False]
    """

    def __init__(self, dumped: Iterable[Iterable[int]] = ()) -> None:
        self._of: dict[int, list[tuple[int, int]]] = {}
        for level, first, last in dumped:
            self._of.setdefault(level, []).append((first, last))

    def __bool__(self) -> bool:
        return bool(self._of)

    def add(self, level: int, bucket: int) -> None:
        """Give up a bucket."""
        held = self._of.setdefault(level, [])
        at = bisect_left(held, (bucket, bucket))
        if (at < len(held) and held[at][0] <= bucket) or (at and held[at - 1][1] >= bucket):
            return
        first = last = bucket
        if at < len(held) and held[at][0] == bucket + 1:
            last = held.pop(at)[1]
        if at and held[at - 1][1] == bucket - 1:
            first = held.pop(at - 1)[0]
        insort(held, (first, last))
        if len(held) > MOST:
            gaps = [b[0] - a[1] for a, b in pairwise(held)]
            near = gaps.index(min(gaps))
            held[near : near + 2] = [(held[near][0], held[near + 1][1])]

    def holds(self, level: int, buckets: Array) -> Array:
        """Which of these buckets were given up."""
        return self.crosses(level, buckets, buckets)

    def crosses(self, level: int, firsts: Array, lasts: Array) -> Array:
        """Which of these spans of buckets, both ends inclusive, hold one that was given up."""
        held = self._of.get(level)
        if not held:
            return np.zeros(len(firsts), bool)
        starts, ends = np.array(held, np.int64).T
        at = np.searchsorted(ends, firsts)  # the first interval that ends at or after the span's beginning
        out: Array = (at < len(starts)) & (starts[np.minimum(at, len(starts) - 1)] <= lasts)
        return out

    def has(self, level: int, bucket: int) -> bool:
        """Whether a bucket was given up."""
        held = self._of.get(level, [])
        at = bisect_right(held, (bucket, np.iinfo(np.int64).max))
        return bool(at) and held[at - 1][1] >= bucket

    def dump(self) -> list[list[int]]:
        """(level, first, last) of every interval."""
        return [[level, first, last] for level, held in self._of.items() for first, last in held]
