"""Records that were fetched and not yet handed over.

In: fetched runs of one partition, ascending. Out: merged runs when they are due.
Never: a record leaves other than by delivery, or by a seek that makes it come again.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from faust.types.tuples import TP

from stream_apps.transport.batch import Record, Run, run_of


@dataclass
class _Run:
    since: float
    records: Run


class HeldRuns:
    """Merges the runs of each partition up to a number of rows or an age.

    Time is passed in, in seconds of any steady clock. Memory is bounded by `min_rows` and one fetch per partition.
    """

    def __init__(self) -> None:
        self._runs: dict[TP, _Run] = {}

    def add(self, tp: TP, records: list[Record], now: float) -> None:
        """Append a fetched run behind what is held of its partition."""
        run = self._runs.get(tp)
        if run is None:
            self._runs[tp] = _Run(now, run_of(records))
        else:
            run.records.join(run_of(records))

    def due(self, tp: TP, now: float, *, min_rows: int, max_wait_s: float) -> bool:
        run = self._runs.get(tp)
        return run is not None and (len(run.records) >= min_rows or now - run.since >= max_wait_s)

    def wait_s(self, tp: TP, now: float, *, max_wait_s: float) -> float:
        """Return the seconds until the partition's run is due by age."""
        return max(0.0, self._runs[tp].since + max_wait_s - now)

    def take(self, tp: TP) -> Run:
        """Remove and return the partition's run."""
        return self._runs.pop(tp).records

    def forget(self, tps: Iterable[TP]) -> None:
        """Drop runs whose records will come again."""
        for tp in tps:
            self._runs.pop(tp, None)

    def clear(self) -> None:
        self._runs.clear()

    def partitions(self) -> list[TP]:
        return list(self._runs)


class HeldRecords:
    """Single records of the topics that are not read in batches: changelogs above all."""

    def __init__(self) -> None:
        self._queues: dict[TP, deque[Record]] = {}

    def add(self, tp: TP, records: list[Record]) -> None:
        self._queues.setdefault(tp, deque()).extend(records)

    def next_of(self, tp: TP) -> Record | None:
        """Remove and return the partition's oldest record."""
        queue = self._queues.get(tp)
        if not queue:
            self._queues.pop(tp, None)
            return None
        return queue.popleft()

    def forget(self, tps: Iterable[TP]) -> None:
        for tp in tps:
            self._queues.pop(tp, None)

    def clear(self) -> None:
        self._queues.clear()

    def partitions(self) -> list[TP]:
        return list(self._queues)
