"""Writes batches: events, then repeats and what else is kept out, then the ranges, each once in effect.

In: batches of owned partitions.
Out: rows in the store.
Never: a range in `batches` before all of its rows stand.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

import polars as pl

from schemas.avro_batch import SchemaById
from schemas.consents import Consents
from schemas.families import BY_TOPIC
from sinks.batch import Batch, Preparation, Prepared
from sinks.config import SinkConfig
from sinks.dedup import SeenIds
from sinks.failpoints import AFTER_BATCHES, AFTER_INSERT, BEFORE_INSERT, Failpoints
from sinks.past import Past
from sinks.patience import Patience
from sinks.positions import QUERY_PREFIX
from sinks.sink_metrics import SinkMetrics
from sinks.statements import BATCH_COLUMNS, batches_sql, duplicates_sql, records_sql, refused_sql, withheld_sql
from sinks.store import Store

#: An insert that touches more months than this is split.
MAX_MONTHS = 50
_MONTH_MS = 28 * 86_400_000
_THREADS = 4


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
        self._prepare = {topic: Preparation(topic, schema_by_id, consents) for topic in config.topics}
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="sink-insert")
        self._failpoint = Failpoints(config.failpoint)
        self._numbers = count()

    def write(self, batches: list[tuple[Batch, SeenIds | None]], owner: str, epochs: dict[str, str]) -> None:
        """Write batches of different partitions; when it returns, all of them stand."""
        prepared = [self._prepared(batch, seen) for batch, seen in batches]
        self._failpoint(BEFORE_INSERT)
        self._all([i for p in prepared for i in self._records(p, owner, epochs)])
        self._all([i for p in prepared for i in self._asides(p, owner, epochs)])
        self._failpoint(AFTER_INSERT)
        self._all([self._ranges(prepared, owner, epochs)])
        self._failpoint(AFTER_BATCHES)
        for p in prepared:
            self._count(p)

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

    def _prepared(self, batch: Batch, seen: SeenIds | None) -> Prepared:
        past = Past(self._store, self._patience, batch.topic, batch.partition, batch.first)
        return self._prepare[batch.topic](batch, seen, past)

    def _records(self, prepared: Prepared, owner: str, epochs: dict[str, str]) -> Iterator[Insert]:
        batch = prepared.batch
        if not prepared.rows.height:
            return
        sql = records_sql(
            batch.topic, batch.partition, batch.first, batch.last, owner=owner, store_text=self._config.store_text
        )
        pieces = by_months(prepared.rows) if batch.topic in BY_TOPIC else [prepared.rows]
        for number, piece in enumerate(pieces):
            token = self._token(batch, epochs) + (f":{number}" if len(pieces) > 1 else "")
            yield Insert(sql, arrow(piece), token, self._name(batch, owner))

    def _asides(self, prepared: Prepared, owner: str, epochs: dict[str, str]) -> Iterator[Insert]:
        """What is told of records that are not among the events."""
        b = prepared.batch
        for rows, statement in (
            (prepared.duplicates, duplicates_sql), (prepared.withheld, withheld_sql), (prepared.refused, refused_sql),
        ):  # fmt: skip
            if rows:
                sql = statement(b.topic, b.partition, b.first, b.last, owner=owner)
                yield Insert(sql, json_lines(rows), self._token(b, epochs), self._name(b, owner))

    def _ranges(self, prepared: list[Prepared], owner: str, epochs: dict[str, str]) -> Insert:
        lines = []
        for p in prepared:
            b = p.batch
            place = {"topic": b.topic, "partition": b.partition, "first": b.first, "last": b.last}
            line = {
                **place,
                "rows": len(b.messages),
                **p.summary,
                "epoch": self._epoch(b.topic, epochs),
                "lease": owner,
            }
            lines.append({name: line.get(name, {}) for name in BATCH_COLUMNS})
        sql = batches_sql([(p.batch.topic, p.batch.partition) for p in prepared], owner=owner)
        tokens = "|".join(self._token(p.batch, epochs) for p in prepared)
        token = hashlib.sha256(tokens.encode()).hexdigest()
        return Insert(sql, json_lines(lines), token, f"{QUERY_PREFIX}batches:{owner}")

    def _epoch(self, topic: str, epochs: dict[str, str]) -> str:
        return f"{epochs[topic]}-{self._config.rebuild}"

    def _token(self, batch: Batch, epochs: dict[str, str]) -> str:
        return f"{self._epoch(batch.topic, epochs)}:{batch.topic}:{batch.partition}:{batch.first}-{batch.last}"

    @staticmethod
    def _name(batch: Batch, owner: str) -> str:
        return f"{QUERY_PREFIX}{batch.topic}:{batch.partition}:{owner}"

    def _count(self, prepared: Prepared) -> None:
        topic = prepared.batch.topic
        for outcome, counted in prepared.summary.items():
            if outcome != "sequences" and counted:
                self._metrics.records.labels(topic, outcome).inc(sum(counted.values()))
        self._metrics.position.labels(topic, str(prepared.batch.partition)).set(prepared.batch.last + 1)


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
