"""One record to publish, as generators and parsers hand it over, and the ways a line can be refused.

In: what a line or a script says.
Out: Event, Refused, Origin.
Never: a network, a clock or a random number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from footlights.checks import EARLIEST_MS, LATEST_MS
from footlights.foreign import Unreadable as Refused
from footlights.foreign import in_range
from footlights.ids import uuid7_of

__all__ = ["EARLIEST_MS", "LATEST_MS", "NOTHING", "Event", "Origin", "Refused", "in_range"]
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A record before the SDK has seen it; ids are raw, times epoch milliseconds, `sent` equals `received`.

    `fields` are columns of the event's family, `context` the flat context columns, `properties` the rest.
    """

    name: str
    message_id: str
    occurred_at_ms: int
    received_at_ms: int
    user_id: str | None = None
    anonymous_id: str | None = None
    session_id: str | None = None
    original_id: str | None = None
    automatic: bool = False
    context: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    properties: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    fields: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True)
class Origin:
    """Where lines come from: what makes their ids repeatable."""

    digest: str
    tenant: str
    source: str

    def line_id(self, ms: int, number: int, part: int = 0) -> str:
        """Id of a record of a line without an id of its own: its time; hash of file digest, line number and part."""
        return uuid7_of(ms, self.digest, str(number), str(part))

    def foreign_id(self, ms: int, foreign: str) -> str:
        """Id of a record that has a foreign id: its original time as sent; hash of tenant, source and foreign id."""
        return uuid7_of(ms, self.tenant, self.source, foreign)
