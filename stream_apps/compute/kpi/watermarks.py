"""How far event time is complete, from where the source partitions stand.

In: heads of source partitions, the clock as an argument.
Out: watermarks of partitions, families and KPIs, epoch milliseconds.
Never: a future timestamp that moves a watermark (heads hold the smaller of occurrence and reception), a partition without rows
  that holds one back, or a watermark that runs back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.identity import DISORDER_MS
from schemas.partials import Head

SILENT_MS = 5_000
#: An idle partition follows the clock only while its family is this close to now, so that replayed history stays put.
NEAR_MS = 600_000


@dataclass
class _Stand:
    """A partition's newest head, and since when it has been at its end with nothing new."""

    head: Head
    silent_since_ms: int | None = None


@dataclass
class Watermarks:
    """Watermarks of all families; `advance` moves them."""

    _stands: dict[tuple[str, int], _Stand] = field(default_factory=dict)
    _families: dict[str, int] = field(default_factory=dict)
    _partitions: dict[tuple[str, int], int] = field(default_factory=dict)

    def take(self, family: str, partition: int, head: Head) -> None:
        """Take a head; one of an older offset, or of an older generation at the same offset, is a zombie's."""
        old = self._stands.get((family, partition))
        if old and (head.offset, head.generation) < (old.head.offset, old.head.generation):
            return
        silent = None
        if head.at_end:
            same = old is not None and old.head.offset == head.offset and old.silent_since_ms is not None
            silent = old.silent_since_ms if old is not None and same else head.read_at_ms
        self._stands[family, partition] = _Stand(head, silent)

    def advance(self, now_ms: int) -> None:
        """Move the watermarks to where the heads and the clock allow."""
        self._partitions = {}
        families: dict[str, list[tuple[tuple[str, int], _Stand, int]]] = {}
        for place, stand in self._stands.items():
            if stand.head.max_event_ms is not None:
                families.setdefault(place[0], []).append((place, stand, stand.head.max_event_ms - DISORDER_MS))
        for family, held in families.items():
            before = self._families.get(family)
            reference = max([base for _, _, base in held] + ([before] if before is not None else []))
            live = now_ms - reference <= NEAR_MS
            for place, stand, base in held:
                self._partitions[place] = max(base, self._followed(stand, now_ms)) if live else base
            least = min(self._partitions[place] for place, _, _ in held)
            self._families[family] = least if before is None else max(before, least)

    def _followed(self, stand: _Stand, now_ms: int) -> int:
        """The clock of the last look at a partition that has been silent, else the beginning of time."""
        silent = stand.silent_since_ms
        if silent is None or now_ms - silent < SILENT_MS or stand.head.read_at_ms - silent < SILENT_MS:
            return -(1 << 62)
        return stand.head.read_at_ms - DISORDER_MS

    def of(self, families: Iterable[str]) -> int | None:
        """The least watermark of the families that hold rows; None when none does."""
        return min((self._families[f] for f in families if f in self._families), default=None)

    def completeness(self, families: Iterable[str], start_ms: int, end_ms: int) -> float:
        """Share of a span that the watermarks of the families' partitions have covered, their mean, 0 to 1.

        Partitions without rows say nothing. 1 says that all have passed the end: what comes now comes late.
        """
        wanted = set(families)
        marks = [mark for (family, _), mark in self._partitions.items() if family in wanted]
        covered = [min(1.0, max(0.0, (mark - start_ms) / (end_ms - start_ms))) for mark in marks]
        return sum(covered) / len(covered) if covered else 0.0

    def duplicates(self, families: Iterable[str]) -> int:
        """Repeats refused so far in the families."""
        wanted = set(families)
        return sum(stand.head.duplicates for (family, _), stand in self._stands.items() if family in wanted)

    def heads(self) -> dict[tuple[str, int], Head]:
        """The newest head of each source partition."""
        return {place: stand.head for place, stand in self._stands.items()}
