"""What was published of each window: revision, value, whether it was final, by which version of the definition.

In: points.
Out: chunks of 64 windows as records.
Never: a revision that is given twice for different values.
"""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

import msgpack
import numpy as np
import zstandard

from schemas.windows import WINDOWS
from stream_apps.compute.records import Key, Record, Records

POINTS = "points"
CHUNK = 64
#: HELD is final too: a restatement gave the value, and what the stage itself holds of the window gives another one.
NONE, OPEN, FINAL, HELD = 0, 1, 2, 3
_NULL = float("nan")
Dims = tuple[str, ...]
Kind = tuple[str, str, Dims]


@dataclass(frozen=True)
class Series:
    """One KPI of one tenant in one kind of window, for one value of its dimensions."""

    kpi: str
    window: str
    by: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def piece(self) -> str:
        """The series as part of a record's key."""
        return "/".join(quote(part, safe="") for part in (self.kpi, self.window, ",".join(self.by), *self.key))

    @staticmethod
    def parse(piece: str) -> "Series":
        """Inverse of `piece`."""
        kpi, window, by, *key = (unquote(part) for part in piece.split("/"))
        return Series(kpi, window, tuple(by.split(",")) if by else (), tuple(key))


@dataclass
class Chunk:
    """64 consecutive windows of a series."""

    status: np.ndarray[Any, Any] = field(default_factory=lambda: np.zeros(CHUNK, np.uint8))
    revision: np.ndarray[Any, Any] = field(default_factory=lambda: np.zeros(CHUNK, np.int32))
    value: np.ndarray[Any, Any] = field(default_factory=lambda: np.zeros(CHUNK, np.float64))
    version: np.ndarray[Any, Any] = field(default_factory=lambda: np.zeros(CHUNK, np.int32))

    def packed(self) -> bytes:
        """The chunk as bytes."""
        arrays = (self.status, self.revision, self.value, self.version)
        return zstandard.compress(msgpack.packb([array.tobytes() for array in arrays]), 1)

    @staticmethod
    def unpacked(body: bytes) -> "Chunk":
        """Inverse of `packed`."""
        status, revision, value, *version = msgpack.unpackb(zstandard.decompress(body))
        return Chunk(
            np.frombuffer(status, np.uint8).copy(),
            np.frombuffer(revision, np.int32).copy(),
            np.frombuffer(value, np.float64).copy(),
            *(np.frombuffer(held, np.int32).copy() for held in version),  # chunks of the first release have none
        )


@dataclass(frozen=True)
class State:
    """What was published of a window last; `version` is that of the definition, 0 when nobody knows."""

    status: int
    revision: int
    value: float
    version: int = 0

    @property
    def final(self) -> bool:
        """Whether a change would be a revision."""
        return self.status in (FINAL, HELD)

    def same(self, value: float) -> bool:
        """Whether a value has the same bits; all nulls are one."""
        return bits(self.value) == bits(value)


def bits(value: float) -> bytes:
    """64 bits of a value; NaN, which stands for null, is nothing."""
    return b"" if math.isnan(value) else struct.pack(">d", value)


class Published:
    """States of all windows, over a store of records."""

    def __init__(self, records: Records) -> None:
        self._chunks: dict[tuple[Series, int], Chunk] = {}
        self._levels: dict[tuple[Series, int], int] = {}
        self._changed: set[tuple[Series, int]] = set()
        #: Keys of the series whose last point of a window was not final: by KPI, window and dimensions, then by the window.
        self._open: dict[Kind, dict[int, set[Dims]]] = {}
        for record in records.newest_of(POINTS):
            series = Series.parse(record.piece)
            chunk = self._chunks[series, record.bucket] = Chunk.unpacked(record.body)
            self._levels[series, record.bucket] = record.level
            for window in (np.flatnonzero(chunk.status == OPEN) + record.bucket * CHUNK).tolist():
                self._opened(series, window)

    def of(self, series: Series, window: int) -> State:
        """What was published of a window, named by its last bucket."""
        chunk = self._chunks.get((series, window // CHUNK))
        if chunk is None:
            return State(NONE, 0, _NULL)
        at = window % CHUNK
        return State(int(chunk.status[at]), int(chunk.revision[at]), float(chunk.value[at]), int(chunk.version[at]))

    def put(self, series: Series, level: int, window: int, state: State) -> None:
        """Note what is being published."""
        place = (series, window // CHUNK)
        chunk = self._chunks.get(place)
        if chunk is None:
            chunk = self._chunks[place] = Chunk()
            self._levels[place] = level
        at = window % CHUNK
        chunk.status[at], chunk.revision[at], chunk.value[at] = state.status, state.revision, state.value
        chunk.version[at] = state.version
        self._changed.add(place)
        if state.status == OPEN:
            self._opened(series, window)
        else:
            self._no_longer_open(series, [window])

    def closing(self, kpi: str, window: str, by: tuple[str, ...], limit: int) -> dict[Dims, list[int]]:
        """The open windows up to `limit`, by the key of their series."""
        found: dict[Dims, list[int]] = {}
        held = self._open.get((kpi, window, by), {})
        for last in [w for w in held if w <= limit]:
            for key in held[last]:
                found.setdefault(key, []).append(last)
        return found

    def _opened(self, series: Series, window: int) -> None:
        kind = series.kpi, series.window, series.by
        self._open.setdefault(kind, {}).setdefault(window, set()).add(series.key)

    def _no_longer_open(self, series: Series, windows: Iterable[int]) -> None:
        held = self._open.get((series.kpi, series.window, series.by), {})
        for window in windows:
            if window in held:
                held[window].discard(series.key)
                if not held[window]:
                    del held[window]

    def sweep(self, records: Records, before_ms: dict[int, int]) -> list[tuple[Key, int]]:
        """Forget the chunks unchanged since `before_ms` of their level none of whose windows has a bucket that is still held.

        Their windows can only change by way of a bucket that was given up, and then they are not computed here. Returns (key,
        writer) of their records, to be deleted.
        """
        gone: list[tuple[Key, int]] = []
        for generation, record in list(records.all()):
            if record.kind != POINTS or record.touched_ms >= before_ms[record.level]:
                continue
            series = Series.parse(record.piece)
            first, place = record.bucket * CHUNK, (series, record.bucket)
            reach = range(first - WINDOWS[series.window].length + 1, first + CHUNK)
            if place in self._changed or any(records.has_state(record.level, b) for b in reach):
                continue
            self._chunks.pop(place, None)
            self._levels.pop(place, None)
            self._no_longer_open(series, range(first, first + CHUNK))
            gone.append((record.key, generation))
        return gone

    def flush(self, offset: int, now_ms: int) -> list[Record]:
        """Records of the chunks that changed."""
        out = [
            Record(self._levels[p], p[1], POINTS, p[0].piece, offset, now_ms, self._chunks[p].packed())
            for p in self._changed
        ]
        self._changed = set()
        return out
