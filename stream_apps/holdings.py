"""The source partitions that a worker holds in one consumer generation, recovered from the changelog table.

In: the recovered table; assignments.
Out: `Held` partitions.
Never: state of an earlier generation: after a rebalance the table is the truth again.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from faust.types import AppT

from schemas.families import BY_TOPIC
from stream_apps import worker_metrics as metrics
from stream_apps.batch_transport import OffsetGuard, RecordBatch, batch_consumer
from stream_apps.changelog import Changelog, Place
from stream_apps.compute.breaker import reason_to_stop
from stream_apps.compute.partition import Partition, Rules
from stream_apps.compute.plan import Plan
from stream_apps.compute.records import Records
from stream_apps.compute.state import HotPool
from stream_apps.dead_letters import Refused

Ack = Callable[[], Awaitable[Any]]


@dataclass
class Held:
    """A source partition's state, and what waits for its next checkpoint."""

    place: Place
    partition: Partition
    guard: OffsetGuard
    flushed_at: float
    generation: int
    batch: RecordBatch | None = None  # the last one taken, to ask whether it is still current
    acks: list[Ack] = field(default_factory=list)  # of the batches since the last checkpoint
    refused: list[Refused] = field(default_factory=list)
    said: list[dict[str, Any]] = field(
        default_factory=list
    )  # statements about analytics that the topic of consents lacks
    told_at_end: bool | None = None
    told_at: float = 0.0

    @property
    def expected(self) -> int | None:
        """Offset that the state needs next; None without a state."""
        return self.partition.offset + 1 if self.partition.offset >= 0 else None


class Holdings:
    """All held partitions of a worker."""

    def __init__(
        self, app: AppT, changelog: Changelog, plans: dict[str, Plan], rules: Rules, *, guard: bool, resume: bool
    ) -> None:
        self._app, self._changelog, self._plans, self._rules = app, changelog, plans, rules
        self._guard, self._resume = guard, resume
        self._stored_here: set[Place] = set()
        self._held: dict[Place, Held] = {}
        self._stored: dict[Place, Records] = {}
        self.generation = -1

    @property
    def ready(self) -> bool:
        """Whether the table is recovered and partitions are assigned."""
        app = self._app
        return batch_consumer(app).flow_active and not app.rebalancing and not app.in_recovery

    def sync(self) -> None:
        """Forget everything after a rebalance, and read the table anew."""
        generation = self._app.consumer_generation_id
        if generation != self.generation:
            metrics.REBALANCES.inc()
            self.generation = generation
            self._held.clear()
            self._rules = replace(self._rules, pool=HotPool())
            self._stored = self._changelog.load()

    def of(self, place: Place, now: float) -> Held:
        """The state of a partition, recovered when it is first asked for in this generation."""
        self.sync()
        held = self._held.get(place)
        if held is None:
            resume = self._resume and place not in self._stored_here
            records = self._stored.pop(place, None) or Records()
            partition = Partition(self._plans[place.family], records, self._rules, resume_dead_letters=resume)
            guard = OffsetGuard(enabled=self._guard)
            held = self._held[place] = Held(place, partition, guard, now, self.generation)
        return held

    def assigned(self, now: float) -> list[Held]:
        """The state of every assigned source partition, of those too that never had a record."""
        places = [
            Place(BY_TOPIC[tp.topic].name, tp.partition)
            for tp in batch_consumer(self._app).assignment()
            if tp.topic in BY_TOPIC
        ]
        return [self.of(place, now) for place in sorted(places, key=lambda p: (p.family, p.partition))]

    def all(self) -> Iterable[Held]:
        """Every held partition."""
        return self._held.values()

    def stored(self, held: Held) -> None:
        """Note that a checkpoint of the partition was written: its breaker's counters are its own from now on."""
        self._stored_here.add(held.place)

    def holds(self, held: Held) -> bool:
        """Whether the state is of the present generation."""
        return self._held.get(held.place) is held and self.generation == self._app.consumer_generation_id

    def reason_to_stop(self, family: str) -> str | None:
        """Why the dead-letter breaker stops a family, or None."""
        return reason_to_stop(h.partition.breaker for h in self._held.values() if h.place.family == family)
