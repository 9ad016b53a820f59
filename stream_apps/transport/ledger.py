"""Which offset of a partition may be committed.

In: batches in the order of delivery, their acknowledgements in any order. Out: the offset after the finished prefix.
Never: an offset beyond an unfinished batch.
"""

from collections import deque


class Slot:
    """A delivered batch: its last offset, and whether it is finished."""

    __slots__ = ("finished", "last_offset")

    def __init__(self, last_offset: int) -> None:
        self.last_offset = last_offset
        self.finished = False


class CommitLedger:
    """The delivered and uncommitted batches of one partition.

    >>> ledger = CommitLedger()
    >>> first, second = ledger.open(9), ledger.open(19)
    >>> second.finished = True
    >>> ledger.take_committable() is None
    True
    >>> first.finished = True
    >>> ledger.take_committable()
    20
    """

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots: deque[Slot] = deque()

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def unfinished(self) -> bool:
        """Whether a batch awaits its acknowledgement."""
        return self.first_unfinished is not None

    @property
    def first_unfinished(self) -> int | None:
        """Last offset of the oldest batch that awaits its acknowledgement, or None."""
        return next((slot.last_offset for slot in self._slots if not slot.finished), None)

    def open(self, last_offset: int) -> Slot:
        """Add a delivered batch and return the slot that its acknowledgement marks."""
        slot = Slot(last_offset)
        self._slots.append(slot)
        return slot

    def take_committable(self) -> int | None:
        """Remove the finished prefix; return the offset to commit (that of the next record), or None."""
        last: int | None = None
        while self._slots and self._slots[0].finished:
            last = self._slots.popleft().last_offset
        return None if last is None else last + 1
