"""When a fetch position moved other than by reading.

In: seeks and reassignments. Out: counts to compare. Never: two positions of a partition share an epoch.
"""

from faust.types.tuples import TP


class Positions:
    """Counts the moves of the fetch positions.

    A fetch notes `version` before it is sent; the thread that drains it returns nothing when the version has changed, as
    its records belong to the position before the move. A batch notes its partition's `epoch`, so that it can be told
    from its own repetition.
    """

    def __init__(self) -> None:
        self.version = 0
        self._all = 0
        self._single: dict[TP, int] = {}

    def moved_all(self) -> None:
        self.version += 1
        self._all += 1

    def moved(self, tp: TP) -> None:
        self.version += 1
        self._single[tp] = self._single.get(tp, 0) + 1

    def epoch(self, tp: TP) -> int:
        return self._all + self._single.get(tp, 0)
