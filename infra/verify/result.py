"""What a verification finds.

In: published and recomputed values.
Out: VerifyResult.
Never: a tolerance; values are compared as the 64 bits that they are.
"""

import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Place = tuple[str, str, str, str, int]  # tenant, KPI, window, by, window start in epoch ms


@dataclass(frozen=True)
class Difference:
    """A window whose published value is not what the raw events say; None stands for null, "missing" for no such point."""

    tenant_id: str
    kpi: str
    window: str
    by: str
    window_start_ms: int
    published: float | str | None
    recomputed: float | str | None


@dataclass
class VerifyResult:
    """Outcome: windows compared and equal, sessions among them, those that differ, and spans whose raw rows are gone."""

    compared: int = 0
    sessions: int = 0
    equal: int = 0
    different: list[Difference] = field(default_factory=list)
    expired: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The result as one JSON object."""
        return asdict(self)

    def compare(self, place: Place, published: Mapping[Place, float | None], value: float | None) -> None:
        """Count a recomputed value, and note it where it was not published so."""
        self.compared += 1
        if place not in published:
            self.different.append(_difference(place, "missing", value))
        elif bits(published[place]) == bits(value):
            self.equal += 1
        else:
            self.different.append(_difference(place, published[place], value))

    def compare_missing(self, place: Place, published: float | None) -> None:
        """Note a published value for which the raw events know no window."""
        self.compared += 1
        self.different.append(_difference(place, published, "missing"))


def _difference(place: Place, published: float | str | None, recomputed: float | str | None) -> Difference:
    tenant, kpi, window, by, start = place
    return Difference(tenant, kpi, window, by, start, published, recomputed)


def bits(value: float | None) -> bytes:
    """The 64 bits of a double, or nothing for null."""
    return b"" if value is None else struct.pack(">d", value)


def span_sql(from_ms: int | None, to_ms: int | None) -> str:
    """What to add to a condition for windows that start at or after, and end at or before."""
    out = ""
    if from_ms is not None:
        out += f" AND window_start >= fromUnixTimestamp64Milli({int(from_ms)})"
    if to_ms is not None:
        out += f" AND window_end <= fromUnixTimestamp64Milli({int(to_ms)})"
    return out
