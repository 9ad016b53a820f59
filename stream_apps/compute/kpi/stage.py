"""The KPI stage as a pure machine: partials and heads in, points and state out.

In: records of the `measures` topic in order, the clock as an argument.
Out: points with their trust stamp; the records of a checkpoint.
Never: a point before the state that it came from: the caller stores a checkpoint, then publishes what it holds.

A window is published open (revision 0, not final) while the watermark has not passed its end, final once it has, and again with
one more revision whenever it changes afterwards. A checkpoint holds the points still to publish; recovery publishes them again
and takes them for published. While a recovered stage reads what it had read before, it publishes nothing, so that no older
value follows a newer one.
"""

import json
import math
from dataclasses import dataclass, field
from typing import Any

import msgpack
import numpy as np
import zstandard

from schemas.cells import axis_of
from schemas.kpis import KPIS, Kpi
from schemas.partials import HEAD, HEAD_LEVEL, RESTATEMENT, Restatement, pack_head, unpack_head
from schemas.rollup import evaluate
from schemas.windows import WINDOWS, bucket_of, bucket_start_ms
from stream_apps.compute.kpi.causes import Causes, cause_text, reason_of
from stream_apps.compute.kpi.contributions import KEPT_MS, Changes, Contributions, Reach
from stream_apps.compute.kpi.due import Due, Task, runs, tasks
from stream_apps.compute.kpi.points import Point, Publisher, Told, point_of
from stream_apps.compute.kpi.published import FINAL, HELD, NONE, OPEN, Published, Series, State
from stream_apps.compute.kpi.restatements import Requests, outcome, series_of, settled
from stream_apps.compute.kpi.watermarks import Watermarks
from stream_apps.compute.records import Key, Record, Records
from stream_apps.compute.swept import EVERY_MS, Swept

Array = np.ndarray[Any, np.dtype[Any]]
PENDING, SOURCE = "pending", "source"
PENDING_BUCKET = 1
_ZSTD = zstandard.MAGIC_NUMBER.to_bytes(4, "little")
PIECE_POINTS = 1_000
RUN = 256
OVERDUE_MS = 5_000
#: Points of one evaluation, about a second's work: a replayed history is published in turns, not in one long pause.
MOST_POINTS = 20_000


@dataclass
class Checkpoint:
    """What is stored and then published: first `pending`, then `state`, then `head`; then the points, then `superseded` keys go."""

    pending: list[Record]
    state: list[Record]
    head: Record
    superseded: list[tuple[Key, int]]
    points: list[Point]


@dataclass
class KpiStage:
    """State of the stage in one consumer generation.

    Parameters
    ----------
    records
        What the changelog held.
    generation
        Consumer generation of this writer.
    zone
        Reporting zone of calendar days.
    """

    records: Records
    generation: int
    zone: str = "UTC"
    kpis: tuple[Kpi, ...] = tuple(KPIS.values())
    offset: int = field(init=False, default=-1)
    #: Last offset that was read in this generation; what was stored may be ahead of it.
    read_offset: int = field(init=False, default=-1)
    #: Offset up to which every changed window was published. After a recovery the log is read again from behind it.
    clean_offset: int = field(init=False, default=-1)
    #: Points of the last checkpoint, to be published again after a recovery.
    recovered: list[Point] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._tasks = tasks(self.kpis)
        self._watermarks = Watermarks()
        self._number = 0
        newest: dict[Reach, int] = {}
        unclean: dict[Reach, int | None] = {}
        swept, stored = Swept(), self.records.head()
        if stored is not None:
            self.offset, self.clean_offset, self._number, newest_rows, done_rows, dumped = _unpack(stored.body)
            swept = Swept(dumped)
            newest = {(f, level, tenant): b for f, level, tenant, b in newest_rows}
            for families, level, tenant, done in done_rows:
                if len(families) == 1 and done != newest.get((families[0], level, tenant)):
                    unclean[families[0], level, tenant] = done
        self.contributions = Contributions(self.records, self.generation, newest, swept)
        self.contributions.grown = unclean
        #: As `grown`, since the last evaluation that left no window to be looked at.
        self._unclean: dict[Reach, int | None] = {}
        self.published = Published(self.records)
        for record in self.records.of(HEAD_LEVEL, 0):
            if record.kind == SOURCE:
                family, partition = record.piece.split("/")
                self._watermarks.take(family, int(partition), unpack_head(record.body))
        self._restored = self._recover_pending()
        self._left: dict[Task, dict[Series, Array]] = {}
        self._left_since_ms: int | None = None
        self._turn, self._full = 0, False
        self._points: list[Point] = []
        self.requests = Requests()
        #: Changes of held windows, which only a backfill can restate, since the caller last looked.
        self.held_back = 0
        self._heads: dict[tuple[str, int], Record] = {}
        self._swept_ms: int | None = None

    def _recover_pending(self) -> int:
        """Take the points of the last checkpoint for published; returns the greatest `measures` offset in any of its records."""
        held = [(g, r) for g, r in self.records.all() if r.kind == PENDING]
        newest = max(((g, r.offset) for g, r in held), default=None)
        restored = self.offset
        for generation, record in sorted(held, key=lambda gr: gr[1].piece):
            if (generation, record.offset) == newest:
                self.recovered += _unpack(record.body)
        for point in self.recovered:
            restored = max(restored, point["source_offset"])
            kpi, window = KPIS.get(point["kpi"]), WINDOWS[point["window"]]
            if kpi is None:
                continue
            by, key = _dimensions(kpi, point)
            last = bucket_of(point["window_start_ms"], window.level, self.zone) + window.length - 1
            value = math.nan if point["value"] is None else point["value"]
            status = HELD if point.get("held") else FINAL if point["final"] else OPEN
            state = State(status, point["revision"], value, point["definition_version"])
            self.published.put(Series(kpi.name, window.name, by, key), window.level, last, state)
        return restored

    def take(self, partial: dict[str, Any], offset: int, now_ms: int) -> None:
        """Take one record of the `measures` topic."""
        if partial["kind"] == HEAD:
            head = unpack_head(partial["body"])
            place = (partial["family"], partial["partition"])
            self._watermarks.take(*place, head)
            body = pack_head(self._watermarks.heads()[place])
            self._heads[place] = Record(HEAD_LEVEL, 0, SOURCE, f"{place[0]}/{place[1]}", offset, now_ms, body)
        elif partial["kind"] == RESTATEMENT:
            self.requests.take(partial["body"], now_ms)
        else:
            self.contributions.take(partial, offset, now_ms, closed_from=self._closed_from(partial))
        self.pass_to(offset)
        self.offset = max(self.offset, offset)

    def pass_to(self, offset: int) -> None:
        """Note that `measures` was read up to an offset, whether or not the last of it were records of ours."""
        self.read_offset = max(self.read_offset, offset)

    def _closed_from(self, partial: dict[str, Any]) -> int | None:
        """Last source offset that was told before, when the watermark has passed the partial's bucket."""
        mark = self._watermarks.of((partial["family"],))
        if mark is None or bucket_start_ms(partial["bucket"] + 1, partial["level"], self.zone) > mark:
            return None
        head = self._watermarks.heads().get((partial["family"], partial["partition"]))
        return -1 if head is None else head.offset

    # -- points

    @property
    def dirty(self) -> bool:
        """Whether windows wait to be looked at."""
        return bool(self.contributions.changes.of) or bool(self._left)

    def evaluate(self, now_ms: int, *, quiet: bool) -> int:
        """Compute the points that are due, to go with the next checkpoint; returns how many, and how many requests were answered.

        `quiet` says that nothing came since the last time: then every changed open window is due, not only each series' newest.
        """
        self._watermarks.advance(now_ms)
        if self.read_offset < self._restored:
            return 0
        changes, self.contributions.changes = self.contributions.changes, Changes()
        overdue = self._full or (self._left_since_ms is not None and now_ms - self._left_since_ms >= OVERDUE_MS)
        self._turn, self._full = self._turn + 1, False
        due, before = Due(self.contributions, self.published), len(self._points)
        left: dict[Task, dict[Series, Array]] = {}
        at = self._turn % len(self._tasks)  # another one is first each time, so that none waits for ever
        for task in self._tasks[at:] + self._tasks[:at]:
            mark = self._watermarks.of(task.kpi.families)
            limit = None if mark is None else bucket_of(mark, task.window.level, self.zone) - 1
            for key, lasts in due.candidates(task, changes, self._left.get(task, {}), limit).items():
                series = Series(task.kpi.name, task.window.name, task.by, key)
                newest = due.newest(task.kpi, task.window.level, key[0])
                now = (lasts == (-1 if newest is None else task.window.reach(newest))) | (quiet or overdue)
                if limit is not None:
                    now |= lasts <= limit
                if len(self._points) - before >= MOST_POINTS:
                    now[:], self._full = False, True
                if not now.all():
                    left.setdefault(task, {})[series] = lasts[~now]
                for first, last in runs(lasts[now], RUN, task.window.step):
                    self._look(task, series, first, last, limit, now_ms)
        if not self._full:  # all closed windows had their turn
            self.contributions.causes = Causes()
        self._left = left
        answered = 0
        for request in self.requests.ready(self._watermarks.heads(), now_ms):
            self._restate(request, now_ms)
            answered += 1
        if left:
            self._left_since_ms = now_ms if self._left_since_ms is None or overdue else self._left_since_ms
        elif self.requests.waiting:
            self._left_since_ms = None
        else:
            self._left_since_ms, self.clean_offset = None, self.read_offset
        self._unclean = {**self.contributions.grown, **self._unclean} if left else {}
        self.contributions.grown = {}
        self.contributions.evict()
        return len(self._points) - before + answered

    def _look(self, task: Task, series: Series, first: int, last: int, limit: int | None, now_ms: int) -> None:
        """Evaluate the windows first … last of a series and make points of those that changed."""
        level, length, step = task.window.level, task.window.length, task.window.step
        start = first - length + 1
        cells = self.contributions.span(level, start, last)
        values = evaluate(task.kpi, axis_of(cells, task.kpi, task.by, series.key, start, last), length, step)
        for i in np.flatnonzero(values.rows).tolist():
            window, value = first + i * step, float(values.value[i])
            old = self.published.of(series, window)
            final = limit is not None and window <= limit
            if old.status == HELD:
                self.held_back += not old.same(value)
                continue
            if old.status == FINAL:
                if old.same(value):
                    continue
                state = State(FINAL, old.revision + 1, value, task.kpi.version)
            elif final:
                state = State(FINAL, 0, value, task.kpi.version)
            elif old.status == NONE or not old.same(value):
                state = State(OPEN, 0, value, task.kpi.version)
            else:
                continue
            told = self._told(task, series, window, old, (int(values.rows[i]), int(values.late[i])))
            self._publish(task, series, window, state, told, now_ms)

    def _told(self, task: Task, series: Series, window: int, old: State, rows: tuple[int, int]) -> Told:
        if not old.final:
            return Told(*rows)
        level, first = task.window.level, window - task.window.length + 1
        changes = self.contributions.causes.of(task.kpi, level, task.by, series.key, first, window)
        return Told(*rows, reason_of(task.kpi, changes, old.version), cause_text(task.kpi, changes, old.version))

    def _publish(self, task: Task, series: Series, window: int, state: State, told: Told, now_ms: int) -> None:
        self.published.put(series, task.window.level, window, state)
        by = Publisher(self.generation, self.offset, now_ms, self.zone)
        self._points.append(point_of(task.kpi, task.window, window, series, state, told, self._watermarks, by))

    def _restate(self, request: Restatement, now_ms: int) -> None:
        """Publish what a request says of the closed windows of which the stage holds nothing newer."""
        task, series = Task(KPIS[request.kpi], WINDOWS[request.window], request.by), series_of(request)
        mark = self._watermarks.of(task.kpi.families)
        limit = -1 if mark is None else bucket_of(mark, task.window.level, self.zone) - 1
        for wanted in request.windows:
            same_rows = settled(self.contributions, self.records, task.kpi, request, wanted.window)
            if wanted.window > limit or same_rows is False:
                continue
            old = self.published.of(series, wanted.window)
            own = self._own(task, series, wanted.window) if same_rows else None
            state, publish = outcome(old, wanted, own, task.kpi.version)
            if publish:
                cause = {"request": request.request, "positions": request.positions}
                told = Told(wanted.rows, wanted.late, request.reason, json.dumps(cause))
                self._publish(task, series, wanted.window, state, told, now_ms)
            else:
                self.published.put(series, task.window.level, wanted.window, state)

    def _own(self, task: Task, series: Series, window: int) -> float | None:
        """The value that the stage itself has for a window; None when it holds no row of it."""
        first = window - task.window.length + 1
        cells = self.contributions.span(task.window.level, first, window)
        values = evaluate(task.kpi, axis_of(cells, task.kpi, task.by, series.key, first, window), task.window.length)
        return float(values.value[0]) if values.rows[0] else None

    # -- checkpoints

    def checkpoint(self, now_ms: int) -> Checkpoint:
        """Everything that changed since the last one, and the points that are published after it is stored."""
        self._number += 1
        gone = self._sweep(now_ms)  # before anything that changed is taken out of its list
        points, self._points = self._points, []
        pieces = [points[i : i + PIECE_POINTS] for i in range(0, len(points), PIECE_POINTS)]
        pending = [
            Record(HEAD_LEVEL, PENDING_BUCKET, PENDING, str(i), self._number, now_ms, _pack(piece))
            for i, piece in enumerate(pieces)
        ]
        written, self.contributions.written = list(self.contributions.written.values()), {}
        superseded, self.contributions.superseded = [*self.contributions.superseded, *gone], []
        chunks = self.published.flush(self.offset, now_ms)
        heads, self._heads = list(self._heads.values()), {}
        newest = [[*place, b] for place, b in self.contributions.newest.items()]
        done = [[[f], level, t, b] for (f, level, t), b in {**self.contributions.grown, **self._unclean}.items()]
        swept = self.contributions.swept.dump()
        body = _pack([self.offset, self.clean_offset, self._number, newest, done, swept])
        head = Record(HEAD_LEVEL, 0, HEAD, "", self.offset, now_ms, body)
        for record in (*pending, *chunks, *heads, head):
            superseded += self.records.put(self.generation, record)
        return Checkpoint(pending, [*written, *chunks, *heads], head, superseded, points)

    def _sweep(self, now_ms: int) -> list[tuple[Key, int]]:
        """What is given up now, while no window waits for its turn. Buckets go first, then what was published of them."""
        if self._left or self.dirty or now_ms - (self._swept_ms or 0) < EVERY_MS:
            return []
        self._swept_ms = now_ms
        gone = self.contributions.sweep(now_ms)
        for key, generation in gone:
            self.records.drop(key, generation)
        return gone + self.published.sweep(self.records, {level: now_ms - kept for level, kept in KEPT_MS.items()})

    @property
    def size_bytes(self) -> int:
        """Bytes of the stored records."""
        return self.records.size_bytes

    def watermark_ms(self, families: tuple[str, ...]) -> int | None:
        """Watermark of families."""
        return self._watermarks.of(families)


def _pack(values: list[Any]) -> bytes:
    """Points, or a head, whose rows of each tenant, level and family a broker would not take uncompressed from 1,700 tenants on."""
    return zstandard.compress(msgpack.packb(values), 1)


def _unpack(body: bytes) -> Any:
    """Inverse of `_pack`; heads of the first releases are not compressed."""
    return msgpack.unpackb(zstandard.decompress(body) if body.startswith(_ZSTD) else body)


def _dimensions(kpi: Kpi, point: Point) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Dimensions and key of a point; `dims` travels with a pending point, since the text of `by` cannot be split safely."""
    key = tuple(point["dims"])
    by = next(d for d in kpi.series if len(d) == len(key) - 1)
    return by, key
