"""Writes batches: events, then repeats and what else is kept out, then the ranges, each once in effect.

In: batches of owned partitions.
Out: rows in the store.
Never: a range in `batches` before all of its rows stand.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

import numpy as np
import polars as pl
import structlog

from schemas.avro_batch import OFFSET, SchemaById
from schemas.consents import Consents
from schemas.families import BY_TOPIC
from schemas.identity import shards
from sinks.batch import Batch, Preparation, Prepared
from sinks.config import SinkConfig
from sinks.dedup import SeenIds
from sinks.failpoints import AFTER_BATCHES, AFTER_INSERT, BEFORE_INSERT, Failpoints
from sinks.interrupted import refill, standing
from sinks.past import Past
from sinks.patience import Patience
from sinks.positions import QUERY_PREFIX
from sinks.record_batches import Record
from sinks.sink_metrics import SinkMetrics
from sinks.statements import BATCH_COLUMNS, CUT, batches_sql, duplicates_sql, records_sql, refused_sql, withheld_sql
from sinks.store import Store

log = structlog.get_logger(__name__)

#: An insert that touches more months than this is split.
MAX_MONTHS = 50
_MONTH_MS = 28 * 86_400_000
_THREADS = 4
_KINDS = {"UInt16": pl.UInt16, "UInt64": pl.UInt64}

#: Batches of one topic with the rows that are to be written.
Group = list[tuple[Batch, pl.DataFrame]]


@dataclass(frozen=True)
class Insert:
    """One statement with its data."""

    sql: str
    data: bytes
    token: str
    name: str


class Writer:
    """Writes under one owner's leases."""

    def __init__(
        self,
        store: Store,
        config: SinkConfig,
        schema_by_id: SchemaById,
        patience: Patience,
        metrics: SinkMetrics,
        consents: Consents | None = None,
    ) -> None:
        self._store, self._config, self._patience, self._metrics = store, config, patience, metrics
        self._prepare = {
            topic: Preparation(topic, schema_by_id, consents, store_text=config.store_text) for topic in config.topics
        }
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="sink-insert")
        self._failpoint = Failpoints(config.failpoint)
        self._numbers = count()

    def write(
        self, batches: Iterable[tuple[Batch, list[Record], SeenIds | None]], owner: str, epochs: dict[str, str]
    ) -> list[Batch]:
        """Write batches of different partitions, made of their records one after the other; returns them when all of them stand."""
        c = self._config
        prepared = [self._prepared(*batch) for batch in batches]
        if not prepared:
            return []
        left = [(p.batch, self._unwritten(p)) for p in prepared]
        self._failpoint(BEFORE_INSERT)
        self._all(
            [i for group in groups(left, c.flush_rows, c.flush_bytes) for i in self._records(group, owner, epochs)]
        )
        for p in prepared:
            if p.batch.begun:
                refill(self._store, self._patience, p.batch)
        self._all([i for p in prepared for i in self._asides(p, owner, epochs)])
        self._failpoint(AFTER_INSERT)
        self._all([self._ranges(prepared, owner, epochs)])
        self._failpoint(AFTER_BATCHES)
        for p in prepared:
            self._count(p)
        return [p.batch for p in prepared]

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _all(self, inserts: list[Insert]) -> None:
        list(self._pool.map(self._insert, inserts))

    def _insert(self, insert: Insert) -> None:
        with self._metrics.inserts.time():
            self._patience(
                "insert",
                lambda: self._store.insert(
                    insert.sql, insert.data, token=insert.token, query_id=f"{insert.name}:{next(self._numbers)}"
                ),
            )

    def _prepared(self, batch: Batch, records: list[Record], seen: SeenIds | None) -> Prepared:
        past = Past(self._store, self._patience, batch.topic, batch.partition, batch.first)
        return self._prepare[batch.topic](batch, records, seen, past)

    def _unwritten(self, prepared: Prepared) -> pl.DataFrame:
        """The rows without those that an interrupted owner has stored."""
        batch, rows = prepared.batch, prepared.rows
        if not batch.begun or not rows.height:
            return rows
        held = standing(self._store, self._patience, batch, shards(rows))
        return rows.filter(pl.Series(~np.isin(rows[OFFSET].to_numpy(), held)))

    def _records(self, group: Group, owner: str, epochs: dict[str, str]) -> Iterator[Insert]:
        topic = group[0][0].topic
        sql = records_sql(topic, [b.partition for b, _ in group], owner=owner, store_text=self._config.store_text)
        rows = pl.concat([cut(batch, rows) for batch, rows in group])
        pieces = by_months(rows) if topic in BY_TOPIC else [rows]
        token = self._joint_token([batch for batch, _ in group], epochs)
        for number, piece in enumerate(pieces):
            yield Insert(sql, arrow(piece), f"{token}:{number}", f"{QUERY_PREFIX}{topic}:{owner}")

    def _asides(self, prepared: Prepared, owner: str, epochs: dict[str, str]) -> Iterator[Insert]:
        """What is told of records that are not among the events."""
        b = prepared.batch
        for rows, statement in (
            (prepared.duplicates, duplicates_sql), (prepared.withheld, withheld_sql), (prepared.refused, refused_sql),
        ):  # fmt: skip
            if rows:
                sql = statement(b.topic, b.partition, b.first, b.last, owner=owner)
                name = f"{QUERY_PREFIX}{b.topic}:{b.partition}:{owner}"
                yield Insert(sql, json_lines(rows), self._token(b, epochs), name)

    def _ranges(self, prepared: list[Prepared], owner: str, epochs: dict[str, str]) -> Insert:
        lines = []
        for p in prepared:
            b = p.batch
            place = {"topic": b.topic, "partition": b.partition, "first": b.first, "last": b.last}
            line = {
                **place,
                "rows": p.records,
                **p.summary,
                "epoch": self._epoch(b.topic, epochs),
                "lease": owner,
            }
            lines.append({name: line.get(name, {}) for name in BATCH_COLUMNS})
        sql = batches_sql([(p.batch.topic, p.batch.partition) for p in prepared], owner=owner)
        token = self._joint_token([p.batch for p in prepared], epochs)
        return Insert(sql, json_lines(lines), token, f"{QUERY_PREFIX}batches:{owner}")

    def _epoch(self, topic: str, epochs: dict[str, str]) -> str:
        return f"{epochs[topic]}-{self._config.rebuild}"

    def _token(self, batch: Batch, epochs: dict[str, str]) -> str:
        return f"{self._epoch(batch.topic, epochs)}:{batch.topic}:{batch.partition}:{batch.first}-{batch.last}"

    def _joint_token(self, batches: list[Batch], epochs: dict[str, str]) -> str:
        return hashlib.sha256("|".join(self._token(b, epochs) for b in batches).encode()).hexdigest()

    def _count(self, prepared: Prepared) -> None:
        topic = prepared.batch.topic
        for outcome, counted in prepared.summary.items():
            if outcome != "sequences" and counted:
                self._metrics.records.labels(topic, outcome).inc(sum(counted.values()))
        if lost := prepared.summary.get("collisions"):
            self._metrics.collisions.labels(topic).inc(sum(lost.values()))
            log.error("sink_found_collisions", topic=topic, partition=prepared.batch.partition, by_source=lost)
        self._metrics.position.labels(topic, str(prepared.batch.partition)).set(prepared.batch.last + 1)


def groups(left: list[tuple[Batch, pl.DataFrame]], limit: int, size: int) -> Iterator[Group]:
    """Batches of one topic for one insert: at most `limit` rows and `size` bytes, or one batch; empty ones left out."""
    group: Group = []
    rows = held = 0
    # Figures before events: somebody waits for them, and inserts run a few at a time.
    for batch, frame in sorted(left, key=lambda of: (of[0].topic in BY_TOPIC, of[0].topic, of[0].partition)):
        if not frame.height:
            continue
        bytes_ = int(frame.estimated_size())
        if group and (batch.topic != group[0][0].topic or rows + frame.height > limit or held + bytes_ > size):
            yield group
            group, rows, held = [], 0, 0
        group.append((batch, frame))
        rows, held = rows + frame.height, held + bytes_
    if group:
        yield group


def cut(batch: Batch, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with what says which batch they came in."""
    told = (batch.partition, batch.first, batch.last)
    return rows.with_columns(pl.lit(v, dtype=_KINDS[CUT[name]]).alias(name) for name, v in zip(CUT, told, strict=True))


def arrow(rows: pl.DataFrame) -> bytes:
    """Rows as an Arrow IPC stream with the column types that every reader knows.

    Columns without any value are left out, half of this function's time in events of which few columns are filled: to the engine a
    column that `input()` declares and the data lack is NULL.
    """
    buffer = io.BytesIO()
    told = rows.select(column for column in rows if column.null_count() < rows.height)
    told.write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()


def json_lines(rows: list[dict[str, object]]) -> bytes:
    """Rows as JSON, one per line."""
    return "\n".join(json.dumps(row) for row in rows).encode()


def by_months(rows: pl.DataFrame, limit: int = MAX_MONTHS) -> list[pl.DataFrame]:
    """The rows in pieces of at most `limit` months of event time, oldest first; nearly always one piece."""
    low, high = rows["occurred_at_ms"].min(), rows["occurred_at_ms"].max()
    if not isinstance(low, int) or not isinstance(high, int) or high - low < (limit - 1) * _MONTH_MS:
        return [rows]
    stamped = rows.with_columns(month=pl.from_epoch("occurred_at_ms", time_unit="ms").dt.truncate("1mo"))
    months = stamped["month"].unique().sort()
    groups = [months[i : i + limit] for i in range(0, len(months), limit)]
    return [stamped.filter(pl.col("month").is_in(g.implode())).drop("month") for g in groups]
