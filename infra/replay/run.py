"""`footlights replay`: a file of real input, line by line into the SDK.

In: ReplayConfig, a way to connect.
Out: ReplayResult: read, published, refused with line numbers and reasons.
Never: an end because of a bad line, or a second count of a line that an interrupted run had already sent.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from infra.replay.combined import CombinedParser
from infra.replay.event import Event, Origin, Refused
from infra.replay.lines import LineReader, content_digest
from infra.replay.mapping import BadMapping, read_mapping
from infra.replay.publishing import Connect, Publisher
from infra.replay.segment import SegmentParser
from infra.replay.tabular import CsvParser

FORMATS: Final = ("combined", "segment", "csv")
#: A line's events, or why there are none.
Parsed = tuple[int, list[Event] | Refused]
_KEPT_REASONS: Final = 100
_PROGRESS_S: Final = 0.1
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ReplayConfig:
    """A replay: `speed` times real time, None for as fast as possible; `strict` makes a refused line an error."""

    file: Path
    format: str
    mapping: Path | None = None
    speed: float | None = None
    strict: bool = False
    tenant: str = "default"
    source: str = "replay"

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"--format must be one of {', '.join(FORMATS)}")
        if self.format == "csv" and self.mapping is None:
            raise ValueError("--format csv needs --mapping FILE; docs/replay-and-simulate.md shows one")
        if self.speed is not None and self.speed <= 0:
            raise ValueError("--speed must be above 0")


@dataclass(frozen=True)
class Progress:
    """How far a replay is: bytes of the file itself (compressed ones, when it is), lines, records."""

    phase: str
    position: int
    size: int
    read: int = 0
    published: int = 0
    refused: int = 0


@dataclass(frozen=True)
class RefusedLine:
    """A line that was not published, by its number from 1, and why."""

    line: int
    reason: str


@dataclass(frozen=True)
class ReplayResult:
    """What a replay did.

    `read` counts lines (rows of a CSV) that are not blank, `lines` those that were published whole, `published` the records
    that Kafka acknowledged, `failed` those that it did not; `refused` counts lines, of which the first hundred are named.
    """

    read: int
    lines: int
    published: int
    failed: int
    refused: int
    reasons: dict[str, int]
    named: tuple[RefusedLine, ...]
    digest: str
    seconds: float
    strict: bool = False

    @property
    def exit_code(self) -> int:
        """0 when every readable line was acknowledged; 1 otherwise, and with `strict` when a line was refused."""
        return 1 if self.failed or (self.strict and self.refused) else 0

    def as_json(self) -> dict[str, object]:
        """As one JSON object."""
        return {
            "read": self.read,
            "lines": self.lines,
            "published": self.published,
            "failed": self.failed,
            "refused": self.refused,
            "reasons": self.reasons,
            "refused_lines": [{"line": r.line, "reason": r.reason} for r in self.named],
            "refused_lines_left_out": self.refused - len(self.named),
            "digest": self.digest,
            "seconds": round(self.seconds, 3),
        }


@dataclass
class _Refusals:
    total: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    named: list[RefusedLine] = field(default_factory=list)

    def add(self, number: int, reason: str) -> None:
        self.total += 1
        self.reasons[reason] += 1
        if len(self.named) < _KEPT_REASONS:
            self.named.append(RefusedLine(number, reason))


def parse_file(config: ReplayConfig, reader: LineReader, origin: Origin) -> Iterator[Parsed]:
    """The events of each line that is not blank, in order.

    Raises
    ------
    BadMapping
        When the mapping file is wrong or does not go with the header.
    """
    if config.format == "csv":
        assert config.mapping is not None
        yield from _rows(CsvParser(origin, read_mapping(config.mapping)), reader)
        return
    parser = CombinedParser(origin) if config.format == "combined" else SegmentParser(origin)
    for number, line in reader:
        if isinstance(line, ValueError):
            yield number, Refused(str(line))
        elif line.strip():
            try:
                yield number, parser.parse(line, number)
            except Refused as refusal:
                yield number, refusal


def _rows(parser: CsvParser, reader: LineReader) -> Iterator[Parsed]:
    places: dict[str, int] | None = None
    for number, cells in parser.rows(reader):
        if places is None:
            if isinstance(cells, ValueError):
                raise BadMapping(f"the header cannot be read: {cells}")
            places = parser.header(cells)
        elif isinstance(cells, ValueError):
            yield number, Refused(str(cells))
        else:
            try:
                yield number, parser.parse(cells, places, number)
            except Refused as refusal:
                yield number, refusal


def replay(
    config: ReplayConfig, connect: Connect, progress: Callable[[Progress], None] = lambda _: None
) -> ReplayResult:
    """Publish a file and wait until all of it is acknowledged.

    A line becomes records whose ids follow from the file's content, so a run that was interrupted is simply repeated: what it
    had sent already are repeats, which count once (in the stream, within its window of six hours; in the tables, always).

    Raises
    ------
    OSError
        When the file cannot be read.
    BadMapping
        When the mapping does not go with the file.
    Stalled
        When Kafka acknowledges nothing for long.
    """
    began, size = time.monotonic(), config.file.stat().st_size
    digest = content_digest(config.file, lambda at: progress(Progress("digest", at, size)))
    reader, refusals = LineReader(config.file), _Refusals()
    parsed = parse_file(config, reader, Origin(digest, config.tenant, config.source))
    read = whole = 0
    pace, shown = _Pace(config.speed), 0.0
    with Publisher(connect) as publisher:
        for number, events in parsed:
            read += 1
            if isinstance(events, Refused):
                refusals.add(number, str(events))
            else:
                pace.wait(events[0].occurred_at_ms)
                whole += _publish(publisher, number, events, refusals)
            if (now := time.monotonic()) - shown > _PROGRESS_S:
                shown = now
                progress(Progress("publish", reader.position, size, read, publisher.acked, refusals.total))
        publisher.finish()
        progress(Progress("done", size, size, read, publisher.acked, refusals.total))
    if publisher.failed:
        log.error("replay_not_acknowledged", records=publisher.failed, errors=dict(publisher.errors))
    return ReplayResult(
        read=read,
        lines=whole,
        published=publisher.acked,
        failed=publisher.failed,
        refused=refusals.total,
        reasons=dict(refusals.reasons),
        named=tuple(refusals.named),
        digest=digest,
        seconds=time.monotonic() - began,
        strict=config.strict,
    )


def _publish(publisher: Publisher, number: int, events: list[Event], refusals: _Refusals) -> bool:
    for event in events:
        if reason := publisher.send(event):
            refusals.add(number, reason)
            return False
    return True


class _Pace:
    """Holds lines back to a multiple of real time, measured from the first line; lines that go back in time do not wait."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._first: tuple[float, int] | None = None

    def wait(self, ms: int) -> None:
        """Sleep until a line of this time is due."""
        if self._speed is None:
            return
        if self._first is None:
            self._first = (time.monotonic(), ms)
        began, first = self._first
        due = began + (ms - first) / 1_000 / self._speed
        if (left := due - time.monotonic()) > 0:
            time.sleep(left)
