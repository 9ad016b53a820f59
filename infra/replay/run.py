"""`footlights replay`: a file of real input, line by line into the SDK.

In: ReplayConfig, a way to connect.
Out: ReplayResult: read, published, refused with line numbers and reasons.
Never: an end because of a bad line, or a second count of a line that an interrupted run had already sent.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from infra.replay.combined import CombinedParser
from infra.replay.event import Event, Origin, Refused
from infra.replay.lines import Line, LineReader, digest_of
from infra.replay.mapping import BadMapping, read_mapping
from infra.replay.publishing import Connect, Publisher
from infra.replay.recognise import NAMES, recognised
from infra.replay.segment import SegmentParser
from infra.replay.tabular import CsvParser

FORMATS: Final = (*NAMES, "segment", "csv")
#: Lines that are no row of their own.
BESIDE: Final = ("blank", "header", "continued")
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
    `file_lines` are all lines of the file, `beside` those that are no row of their own: `blank`, `header` and `continued` ones,
    which belong to the row before them. No line is anywhere else: `file_lines` = `lines` + `refused` + all that is `beside`.
    `problem` says why the file was not read to its end, or is not the one whose digest made the ids.
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
    file_lines: int = 0
    beside: MappingOf[str, int] = field(default_factory=dict)
    problem: str | None = None

    @property
    def exit_code(self) -> int:
        """0 when every readable line was acknowledged; 1 otherwise, for a file with a problem, and with `strict` for a refusal."""
        return 1 if self.failed or self.problem or (self.strict and self.refused) else 0

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
            "file_lines": self.file_lines,
            **{f"{name}_lines": self.beside.get(name, 0) for name in BESIDE},
            "problem": self.problem,
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
    """The events of each line that is not blank, in order; `reader.beside` counts the lines that are no row of their own.

    Raises
    ------
    BadMapping
        When the mapping file is wrong or does not go with the header.
    UnknownFormat
        When no line of the beginning is in the format.
    """
    if config.format == "csv":
        assert config.mapping is not None
        yield from _rows(CsvParser(origin, read_mapping(config.mapping)), reader)
        return
    parser: CombinedParser | SegmentParser
    lines: Iterable[Line] = reader
    if config.format == "segment":
        parser = SegmentParser(origin)
    else:
        form, lines = recognised(reader, config.format)
        parser = CombinedParser(origin, form)
    for number, line in lines:
        if isinstance(line, ValueError):
            yield number, Refused(str(line))
        elif line.strip():
            yield number, _parsed(parser.parse, line, number)
        else:
            reader.beside["blank"] += 1


def _rows(parser: CsvParser, reader: LineReader) -> Iterator[Parsed]:
    places: dict[str, int] | None = None
    rows = parser.rows(reader)
    for number, cells in rows:
        if places is None:
            if isinstance(cells, Refused):
                raise BadMapping(f"the header cannot be read: {cells}")
            reader.beside["header"] += 1
            if not parser.is_hint(cells):
                places = parser.header(cells)
                parser.begin(rows, places)
        elif isinstance(cells, Refused):
            yield number, cells
        else:
            yield number, _parsed(parser.parse, cells, places, number)


def _parsed(parse: Callable[..., list[Event]], *told: Any) -> list[Event] | Refused:
    """What a line becomes: whatever it holds, the next one is read."""
    try:
        return parse(*told)
    except Refused as refusal:
        return refusal
    except Exception as problem:  # its text may quote the line
        log.error("replay_line_unreadable", line=told[-1], error=type(problem).__name__)
        return Refused(f"cannot be read: {type(problem).__name__}")


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
    Unsuitable, UnknownFormat
        When it holds no lines, or none of the format.
    BadMapping
        When the mapping does not go with the file.
    Stalled
        When Kafka acknowledges nothing for long.
    """
    began, reader, refusals = time.monotonic(), LineReader(config.file), _Refusals()
    size = reader.size
    digest = digest_of(reader.content, lambda at: progress(Progress("digest", at, size)))
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
    problem = reader.problem
    if problem is None and reader.digest != digest:
        problem = "the file changed while it was read: replay it once nothing writes to it"
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
        file_lines=reader.lines,
        beside=dict(reader.beside),
        problem=problem,
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
