"""The records of one partition that were read and are not yet written.

In: records in offset order.
Out: batches.
Never: another cut than the store's own plan, as long as there is one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from sinks.batch import Batch, Message
from sinks.config import POINTS, SinkConfig
from sinks.dedup import SeenIds

log = structlog.get_logger(__name__)


@dataclass
class Partition:
    """A partition that this process owns; one batch of it is in flight at a time."""

    topic: str
    number: int
    expected: int
    plan: tuple[int, int] | None
    seen: SeenIds | None
    messages: list[Message] = field(default_factory=list)
    size: int = 0
    since: float = 0.0

    def add(self, messages: list[Message], now: float) -> None:
        """Take records in offset order, but those that were taken before; `now` is a monotonic clock, in seconds."""
        if (messages[0].offset() or 0) < self.expected:
            messages = [m for m in messages if (m.offset() or 0) >= self.expected]
            if not messages:
                return
        behind = (messages[-1].offset() or 0) + 1
        if missing := behind - self.expected - len(messages):
            log.error(
                "sink_found_gap_in_log", topic=self.topic, partition=self.number, at=self.expected, missing=missing
            )
        if not self.messages:
            self.since = now
        self.expected = behind
        self.messages += messages
        self.size += sum(map(len, messages))

    @property
    def ready(self) -> bool:
        """Whether a batch can be cut."""
        return bool(self.messages) and (self.plan is None or (self.messages[-1].offset() or 0) >= self.plan[1])

    def due(self, now: float, *, rows: int, size: int, seconds: float) -> bool:
        """Whether a batch is to be cut now."""
        full = self.plan is not None or len(self.messages) >= rows or self.size >= size
        return self.ready and (full or now - self.since >= seconds)

    def cut(self, rows: int) -> Batch:
        """Take a batch out: the planned range, else at most `rows` records."""
        if self.plan is not None:
            first, last = self.plan
            count = sum(1 for m in self.messages if (m.offset() or 0) <= last)
        else:
            count = min(rows, len(self.messages))
            first, last = self.messages[0].offset() or 0, self.messages[count - 1].offset() or 0
        taken, self.messages = self.messages[:count], self.messages[count:]
        begun, self.plan = self.plan is not None, None
        # What is left behind is due at once: `since` stays. Its size is estimated by its share.
        self.size = self.size * len(self.messages) // (count + len(self.messages) or 1)
        return Batch(self.topic, self.number, first, last, taken, begun)


def to_cut(owned: Iterable[Partition], now: float, config: SinkConfig) -> list[Partition]:
    """Partitions whose batches are to be written together now, [] when none is due.

    What waits goes along: to the store an insert costs much, and a row of it little. But events do not go along with points, which
    come every second and wait for next to nothing.
    """
    held, c = list(owned), config
    waits = {POINTS: c.points_s}
    due = [p for p in held if p.due(now, rows=c.flush_rows, size=c.flush_bytes, seconds=waits.get(p.topic, c.flush_s))]
    alone = all(p.topic == POINTS for p in due)
    return [p for p in held if due and p.ready and (p.topic == POINTS or not alone)]
