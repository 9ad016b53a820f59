"""Whether so many records are bad that something upstream must be wrong, rather than the records.

In: how many rows came and which of them were bad.
Out: whether to stop.
Never: a verdict that a restart forgets; the counters are part of the stored head.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any

WINDOW = 10_000
RATIO = 0.01
AT_LEAST = 100
IN_A_ROW = 1_000


class Breaker:
    """Counts the bad among the last 10,000 records of a partition, and those in a row."""

    def __init__(self, tallies: Iterable[tuple[int, int]] = (), run: int = 0) -> None:
        self._tallies = deque((int(rows), int(bad)) for rows, bad in tallies)
        self.run = run

    def count(self, rows: int, bad_at: list[int]) -> None:
        """Take `rows` records in order, of which those at the ascending places `bad_at` are bad."""
        if not rows:
            return
        self._tallies.append((rows, len(bad_at)))
        while len(self._tallies) > 1 and self.rows - self._tallies[0][0] >= WINDOW:
            self._tallies.popleft()
        if len(bad_at) == rows:
            self.run += rows
        else:
            # A run in the middle of a batch that ends in it counts only when it alone reaches the limit.
            longest, tail = _runs(rows, bad_at, self.run)
            self.run = longest if longest >= IN_A_ROW else tail

    @property
    def rows(self) -> int:
        """Records in the window."""
        return sum(rows for rows, _ in self._tallies)

    @property
    def bad(self) -> int:
        """Bad ones among them."""
        return sum(bad for _, bad in self._tallies)

    def dump(self) -> list[Any]:
        """Counters to store."""
        return [list(self._tallies), self.run]


def _runs(rows: int, bad_at: list[int], before: int) -> tuple[int, int]:
    """Longest run of bad records, the one that began before included, and the run at the end."""
    longest, run, expected = before, before, 0
    for place in bad_at:
        run = run + 1 if place == expected else 1
        expected = place + 1
        longest = max(longest, run)
    return longest, run if bad_at and expected == rows else 0


def reason_to_stop(breakers: Iterable[Breaker]) -> str | None:
    """Why a family's partitions together must stop, or None.

    Examples
    --------
    >>> bad = Breaker()
    >>> bad.count(10_000, list(range(0, 10_000, 99)))
    >>> reason_to_stop([bad])
    '102 of the last 10000 records are bad'
    """
    held = list(breakers)
    rows, bad = sum(b.rows for b in held), sum(b.bad for b in held)
    if bad >= AT_LEAST and bad > RATIO * rows:
        return f"{bad} of the last {rows} records are bad"
    if worst := max((b.run for b in held if b.run >= IN_A_ROW), default=0):
        return f"{worst} records in a row are bad"
    return None
