"""A client that keeps what it is given, for tests without a broker.

In: `track` as the SDK takes it. Out: the calls, in order. Never: an acknowledgement before its queue is full or flushed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Taken:
    """Answer of `track`."""

    reason: str = ""
    detail: str = ""

    def __bool__(self) -> bool:
        return not self.reason


@dataclass
class MemoryClient:
    """Holds `room` unacknowledged events; `refuses` names events that it refuses, `loses` those whose delivery fails."""

    delivered: Callable[[Any, str | None], None]
    room: int = 1_000
    refuses: frozenset[str] = frozenset()
    loses: frozenset[str] = frozenset()
    calls: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    closed: bool = False

    def track(self, event_name: str, **values: Any) -> Taken:
        if event_name in self.refuses:
            return Taken("INVALID_FIELD", "rating must lie between 1 and 5")
        if len(self.waiting) >= self.room:
            self.flush()
        self.waiting.append(event_name)
        self.calls.append({"event_name": event_name, **values})
        return Taken()

    def flush(self, timeout: float = 0) -> int:
        for name in self.waiting:
            self.delivered(name, "lost" if name in self.loses else None)
        self.waiting.clear()
        return 0

    def close(self) -> int:
        self.closed = True
        return self.flush()


@dataclass
class Connector:
    """Makes the client and remembers it."""

    options: dict[str, Any] = field(default_factory=dict)
    client: MemoryClient | None = None

    def __call__(self, delivered: Callable[[Any, str | None], None]) -> MemoryClient:
        self.client = MemoryClient(delivered, **self.options)
        return self.client

    @property
    def calls(self) -> list[dict[str, Any]]:
        assert self.client is not None
        return self.client.calls
