"""How far behind a consumer is, in seconds: a number of records says nothing about time.

In: end offsets and positions, read now and then.
Out: seconds since the log ended where the consumer stands.
Never: the records' own times: a replayed history is old, but not late.
"""

from collections import deque
from collections.abc import Mapping

Place = tuple[str, int]
#: Readings kept per partition: two hours at one each fifteen seconds.
MOST = 480


class Lag:
    """Ends of the log at earlier times.

    Examples
    --------
    >>> lag = Lag()
    >>> lag.seen(0.0, {("t", 0): 10}); lag.seen(15.0, {("t", 0): 20}); lag.seen(30.0, {("t", 0): 30})
    >>> lag.of(40.0, {("t", 0): 30}), lag.of(40.0, {("t", 0): 12}), lag.of(40.0, {})
    (0.0, 40.0, 40.0)
    """

    def __init__(self) -> None:
        self._ends: dict[Place, deque[tuple[float, int]]] = {}

    def seen(self, now: float, ends: Mapping[Place, int]) -> None:
        """Note the log's ends."""
        for place, end in ends.items():
            held = self._ends.setdefault(place, deque(maxlen=MOST))
            if len(held) > 1 and held[-1][1] == held[-2][1] == end:
                held[-1] = (now, end)  # nothing came: only the first and the last reading of an end say something
            else:
                held.append((now, end))

    def of(self, now: float, positions: Mapping[Place, int]) -> float:
        """Lag of the partition that is furthest behind; a consumer without a position has read nothing."""
        return max(
            (self._behind(now, held, positions.get(place, 0)) for place, held in self._ends.items()), default=0.0
        )

    @staticmethod
    def _behind(now: float, held: deque[tuple[float, int]], position: int) -> float:
        if held[-1][1] <= position:
            return 0.0
        reached = [at for at, end in held if end <= position]
        return now - (reached[-1] if reached else held[0][0])
