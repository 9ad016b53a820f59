"""The two stages without Kafka: logs as lists, crashes as objects thrown away.

In: frames of families.
Out: the points that a store would hold.
Never: a look at the clock.
"""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from schemas.avro_batch import OFFSET
from schemas.catalogue import MEASURES
from schemas.families import FAMILIES
from schemas.partials import HEAD, HEAD_LEVEL, pack_head
from stream_apps.compute.kpi.points import Point
from stream_apps.compute.kpi.stage import Checkpoint, KpiStage
from stream_apps.compute.partition import Partition, Rules
from stream_apps.compute.plan import Plan
from stream_apps.compute.records import Records

PARTITIONS = 2
PLANS = {name: Plan(name, MEASURES.values()) for name in FAMILIES}


def partitioned(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """Rows by partition, a function of the row's identity; offsets count from 0."""
    place = frame.select(pl.coalesce("user_id", "anonymous_id", "message_id").hash(1) % PARTITIONS).to_series()
    parts = [frame.filter(place == p) for p in range(PARTITIONS)]
    return [part.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(OFFSET)) for part in parts]


def distinct(frame: pl.DataFrame) -> pl.DataFrame:
    """The first row of each id: what the sink would store."""
    return frame.unique("message_id", keep="first", maintain_order=True)


@dataclass
class Source:
    """A source partition: its log, what is stored of its state, how far its batches are acked."""

    family: str
    partition: int
    log: pl.DataFrame
    zone: str
    stored: Records = field(default_factory=Records)
    acked: int = 0
    generation: int = 1
    live: Partition | None = None

    @property
    def done(self) -> bool:
        """Whether the log was read and stored to its end."""
        return self.acked >= self.log.height

    def step(self, rows: int, crash: bool) -> list[dict[str, Any]]:
        """Read some rows and checkpoint; a crash comes after `measures` was told and before anything was stored."""
        if self.live is None:
            self.generation += 1
            self.live = Partition(PLANS[self.family], self.stored, Rules(zone=self.zone))
        at = self.live.offset + 1
        frame = self.log[at : at + rows]
        if frame.height:
            taken = PLANS[self.family](frame)
            appended = np.full(frame.height, 1_760_000_000_000, np.int64)
            self.live.take(taken, appended, last_offset=at + frame.height - 1, seen=frame.height, bad=[])
        before = _copy(self.stored)
        end = self.live.offset + 1 >= self.log.height
        checkpoint = self.live.flush(self.generation, self.acked, at_end=end, read_at_ms=0)
        told = [self._partial(r.kind, r.level, r.bucket, r.piece, r.offset, r.body) for r in checkpoint.records]
        told.append(self._partial(HEAD, HEAD_LEVEL, 0, "", checkpoint.head.offset, pack_head(checkpoint.head)))
        if crash:
            self.stored, self.live = before, None
            return told
        superseded = []
        for record in (*checkpoint.records, *checkpoint.ids, checkpoint.stored_head):
            superseded += self.stored.put(self.generation, record)
        for key, generation in superseded:
            self.stored.drop(key, generation)
        self.acked = self.live.offset + 1
        return told

    def _partial(self, kind: str, level: int, bucket: int, piece: str, offset: int, body: bytes) -> dict[str, Any]:
        return {
            "kind": kind, "family": self.family, "topic": FAMILIES[self.family].topic, "partition": self.partition,
            "level": level, "bucket": bucket, "piece": piece, "offset": offset, "generation": self.generation, "body": body,
        }  # fmt: skip


def _copy(records: Records) -> Records:
    out = Records()
    for generation, record in list(records.all()):
        out.put(generation, record)
    return out


@dataclass
class Kpis:
    """The KPI stage: the `measures` log, what is stored, what was published."""

    zone: str = "UTC"
    log: list[dict[str, Any]] = field(default_factory=list)
    stored: Records = field(default_factory=Records)
    acked: int = 0
    generation: int = 0
    live: KpiStage | None = None
    read: int = 0
    published: list[Point] = field(default_factory=list)

    def step(self, records: int, now_ms: int, *, quiet: bool = False, crash: str = "") -> None:
        """Read some records, evaluate, checkpoint, publish; `crash` is "", "stored" (before the publication) or "torn"."""
        if self.live is None:
            self.generation += 1
            self.live = KpiStage(_copy(self.stored), self.generation, self.zone)
            self.read = self.acked
            self.published += self.live.recovered
        for offset in range(self.read, min(len(self.log), self.read + records)):
            self.live.take(self.log[offset], offset, now_ms)
            self.read = offset + 1
        self.live.evaluate(now_ms, quiet=quiet)
        done = self.live.checkpoint(now_ms)
        self._store(done, torn=crash == "torn")
        if crash:
            self.live = None
            return
        self.published += done.points
        self.acked = max(self.acked, self.live.clean_offset + 1)

    def _store(self, done: Checkpoint, *, torn: bool) -> None:
        records = [*done.pending, *done.state, done.head]
        for record in records[: len(records) // 2] if torn else records:
            self.stored.put(self.generation, record)
        if not torn:
            for key, generation in done.superseded:
                self.stored.drop(key, generation)

    def history(self) -> dict[tuple[str, str, str, str, int], Point]:
        """The newest point of each window, as the store's view gives it: final over open, then the greatest revision."""
        out: dict[tuple[str, str, str, str, int], Point] = {}
        for point in self.published:
            place = (point["tenant_id"], point["kpi"], point["window"], point["by"], point["window_start_ms"])
            old = out.get(place)
            if old is None or _rank(point) >= _rank(old):
                out[place] = point
        return out


def _rank(point: Point) -> tuple[Any, ...]:
    return point["final"], point["revision"], point["generation"], point["source_offset"]


def run(frames: dict[str, pl.DataFrame], rnd: random.Random, *, zone: str = "UTC", crashes: float = 0.15) -> Kpis:
    """Both stages over all frames, in a random interleaving with random crashes, to the end."""
    sources = [
        Source(family, p, log, zone) for family, frame in frames.items() for p, log in enumerate(partitioned(frame))
    ]
    kpis, now_ms = Kpis(zone), 1_790_000_000_000
    while any(not s.done for s in sources):
        source = rnd.choice([s for s in sources if not s.done])
        kpis.log += source.step(rnd.randrange(1, 120), rnd.random() < crashes)
        if rnd.random() < 0.5:
            crash = rnd.choice(["torn", "stored"]) if rnd.random() < crashes else ""
            now_ms += rnd.choice([500, 1_500, 7_000])
            kpis.step(rnd.randrange(1, 60), now_ms, quiet=rnd.random() < 0.2, crash=crash)
    for _ in range(200):
        now_ms += 1_500
        kpis.step(10_000, now_ms, quiet=True)
        if kpis.acked >= len(kpis.log):
            return kpis
    raise AssertionError("the KPI stage never became idle")
