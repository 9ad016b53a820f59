"""The state of a simulated platform: its clock, its people, what is due, and how a record is made.

In: a script.
Out: World, on which visitors and staff act.
Never: an id or a delay from anything but the script and the record's place in it.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from footlights.ids import uuid7_of

from infra.replay.event import Event
from infra.simulate.config import Script
from infra.simulate.incidents import SCRIPTED, Incident, strength
from infra.simulate.program import CITIES, Program

#: A person or a machine at work: yields a record made at `world.now_ms` and the milliseconds until it wants to go on.
Actor = Iterator[tuple[Event, float]]

_FULL_PACE_MS: Final = 1_800_000
_MAX_DELAY_MS: Final = 4 * 3_600_000
_MIN_DELAY_MS: Final = 5_000
_DEVICES: Final = (
    ("mobile", "Safari", "iOS"),
    ("mobile", "Chrome", "Android"),
    ("desktop", "Chrome", "Windows"),
    ("desktop", "Firefox", "Linux"),
    ("tablet", "Safari", "iOS"),
    ("desktop", "Edge", "Windows"),
    ("desktop", "Safari", "macOS"),
)
_CONTEXTS: Final = tuple(
    {"device": device, "browser": browser, "os": system, "city": city, "country": country, "app_version": version}
    for device, browser, system in _DEVICES
    for city, country, _ in CITIES
    for version in ("4.1.0", "4.2.0")
)


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody in a session."""

    user_id: str | None
    anonymous_id: str | None
    session_id: str | None
    context: dict[str, str]


class World:
    """A platform at a moment. `now_ms` counts from the start of the run; `place` is the number of the record being made."""

    def __init__(self, script: Script, program: Program, random: Random) -> None:
        self.script, self.program, self.random = script, program, random
        self.incidents: tuple[Incident, ...] = SCRIPTED if script.incidents else ()
        self.pace = min(1.0, script.span_ms / _FULL_PACE_MS)
        self.now_ms = 0
        self.place = 0
        self._most_delay = max(1.0, min(_MAX_DELAY_MS, script.span_ms / 4))
        self._least_delay = min(_MIN_DELAY_MS * self.pace + 1, self._most_delay)
        self._people = max(40, min(200_000, script.events // 15))
        self._due: list[tuple[float, int, Actor]] = []
        self._pushed = 0
        self._named = 0

    @property
    def share(self) -> float:
        """How much of the span has passed."""
        return self.now_ms / self.script.span_ms

    def strength(self, kind: str) -> float:
        """Strength of a kind of incident now; 0 when it is off."""
        return strength(self.incidents, kind, self.share) if self.incidents else 0.0

    def later(self, due_ms: float, actor: Actor) -> None:
        """Let an actor go on at a moment; one beyond the end of the run is forgotten."""
        if due_ms < self.script.span_ms:
            self._pushed += 1
            heapq.heappush(self._due, (due_ms, self._pushed, actor))

    def due(self) -> Actor | None:
        """The actor that has waited longest, when one is due."""
        if self._due and self._due[0][0] <= self.now_ms:
            return heapq.heappop(self._due)[2]
        return None

    def waiting(self) -> int:
        """Actors that wait."""
        return len(self._due)

    def pause(self, mean_s: float) -> float:
        """Milliseconds that somebody takes, exponential around a mean; shorter in a run of less than half an hour."""
        return self.random.expovariate(1.0) * mean_s * 1_000 * self.pace

    def name(self, prefix: str) -> str:
        """A new id."""
        self._named += 1
        return f"{prefix}-{self.script.seed}-{self._named}"

    def somebody(self) -> Who:
        """A person in a new session: known with 60 %, from a population in which few come often."""
        draw = self.random.random
        person = int(draw() ** 2 * self._people)
        context = _CONTEXTS[person * 7_919 % len(_CONTEXTS)]
        known = draw() < 0.6
        return Who(f"user-{person}" if known else None, f"device-{person}", self.name("s"), context)

    def record(
        self,
        name: str,
        who: Who,
        fields: dict[str, Any],
        *,
        automatic: bool = False,
        properties: dict[str, Any] | None = None,
    ) -> Event:
        """A record of now. A small share arrives late, but none after the end of the run."""
        occurred = self.script.start_ms + self.now_ms
        received = occurred
        if self.random.random() < self.script.late_share:
            delay = int(self._least_delay * (self._most_delay / self._least_delay) ** self.random.random())
            received += delay if self.now_ms + delay < self.script.span_ms else 0
        return Event(
            name=name,
            message_id=uuid7_of(occurred, "simulate", str(self.script.seed), str(self.place)),
            occurred_at_ms=occurred,
            received_at_ms=received,
            user_id=who.user_id,
            anonymous_id=who.anonymous_id,
            session_id=who.session_id,
            automatic=automatic,
            context=who.context,
            properties=properties or {},
            fields=fields,
        )
