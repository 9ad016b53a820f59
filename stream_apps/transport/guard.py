"""The rule that no gap passes.

In: a partition's next offset by its state, the first offset of a batch, the log's start.
Out: what the agent must do. Never: CONTINUE over a missing offset.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Continue:
    """Every row is new and follows the state."""


@dataclass(frozen=True)
class SkipPrefix:
    """The first `rows` offsets are in the state already; they may be the whole batch."""

    rows: int


@dataclass(frozen=True)
class SeekBack:
    """Records are missing: read again from `offset`."""

    offset: int


@dataclass(frozen=True)
class Truncated:
    """The offsets `first` to `last` left the log before they were read: count them, name them, go on."""

    first: int
    last: int


@dataclass(frozen=True)
class Crash:
    """The gap stayed after reading again, though the log holds the records: only a restart is exact."""

    expected: int
    got: int


Decision = Continue | SkipPrefix | SeekBack | Truncated | Crash


class OffsetGuard:
    """Judges the first offset of each batch of one partition.

    Offsets that a transaction took (its marker, records that were aborted) are covered by the batch around them. Compaction leaves
    offsets that nothing covers: the guard is for topics that nobody compacts, and crashes should it happen.

    >>> guard = OffsetGuard()
    >>> guard.judge(expected=10, first=10, rows=10)
    Continue()
    >>> guard.judge(expected=20, first=18, rows=12)
    SkipPrefix(rows=2)
    >>> guard.judge(expected=30, first=35, rows=5)
    SeekBack(offset=30)
    >>> guard.judge(expected=30, first=35, rows=5, log_start=35)
    Truncated(first=30, last=34)
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled
        self._sought: int | None = None

    def judge(
        self, *, expected: int | None, first: int, rows: int, last: int | None = None, log_start: int | None = None
    ) -> Decision:
        """Decide about a batch that covers `rows` offsets from `first` on.

        Parameters
        ----------
        expected
            Offset that the state needs next; None without a state, which needs the log from its start: then pass
            `log_start`, or the first batch is taken as it comes.
        last
            The last offset that the batch covers: one with a hole inside crashes.
        log_start
            The log's first offset, asked from the broker after the batch was fetched. Needed for the second decision about
            the same gap only: without it the gap counts as unexplained.
        """
        if not self._enabled:
            return self._skip(expected, first, rows)
        if last is not None and last - first + 1 != rows:
            return Crash(first + rows - 1, last)
        needed = expected if expected is not None else log_start
        if needed is None or first <= needed:
            self._sought = None
            return self._skip(expected, first, rows)
        if self._sought != needed:
            self._sought = needed
            return SeekBack(needed)
        if log_start is not None and log_start >= first:
            self._sought = None
            return Truncated(needed, first - 1)
        return Crash(needed, first)

    @property
    def asks_log_start(self) -> bool:
        """Whether the next decision needs the log's start: a seek back has been ordered and not been answered."""
        return self._sought is not None

    @staticmethod
    def _skip(expected: int | None, first: int, rows: int) -> Decision:
        if expected is None or first >= expected:
            return Continue()
        return SkipPrefix(min(expected - first, rows))
