"""Writes batches: events, then repeats, then the ranges, each once in effect.

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
from typing import Any

import numpy as np
import polars as pl

from schemas.avro_batch import SchemaById
from schemas.consents import Consents
from schemas.families import BY_TOPIC
from sinks.batch import Batch, First, Preparation, Prepared, Sent
from sinks.config import SinkConfig
from sinks.dedup import Array, SeenIds
from sinks.failpoints import AFTER_BATCHES, AFTER_INSERT, BEFORE_INSERT, Failpoints
from sinks.patience import Patience
from sinks.positions import QUERY_PREFIX
from sinks.sink_metrics import SinkMetrics
from sinks.statements import BATCH_COLUMNS, batches_sql, duplicates_sql, records_sql, table_of, withheld_sql
from sinks.store import Store
from sinks.table import DATABASE, quoted

#: An insert that touches more months than this is split.
MAX_MONTHS = 50
_MONTH_MS = 28 * 86_400_000
_THREADS = 4
#: Ids per look-up: 40 bytes each stay below the engine's 256 KiB of SQL.
_IDS = 5_000
_ROW = np.dtype([("key", "<u8"), ("shard", "<i8")])


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
        self._all([i for p in prepared for i in self._duplicates(p, owner, epochs)])
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
        table, place = table_of(batch.topic), f"_topic = {quoted(batch.topic)} AND _partition = {batch.partition}"

        def load(shards: list[int]) -> tuple[Array, Array]:
            sql = (
                f"SELECT xxHash64(message_id), _shard FROM {DATABASE}.{table} WHERE {place} "
                f"AND _shard IN ({', '.join(map(str, shards))}) AND _offset < {batch.first}"
            )
            rows = np.frombuffer(self._patience("load ids", lambda: self._store.binary(sql)), _ROW)
            return rows["key"].copy(), rows["shard"].copy()

        def lookup(ids: list[str], before: int) -> dict[str, First]:
            return self._holders(ids, f"{DATABASE}.{table} WHERE {place} AND _offset < {before}", "_offset")

        here = f"topic = {quoted(batch.topic)} AND partition = {batch.partition} AND offset < {{}}"

        def lookup_repeats(ids: list[str], before: int) -> set[Sent]:
            among = f"{DATABASE}.duplicates WHERE {here.format(before)}"
            return {(row[0], row[2], row[3]) for row in self._with_ids(ids, among, "offset")}

        def lookup_withheld(ids: list[str], before: int) -> dict[str, First]:
            return self._holders(ids, f"{DATABASE}.withheld WHERE {here.format(before)}", "offset") | lookup(
                ids, before
            )

        return self._prepare[batch.topic](batch, seen, load, lookup, lookup_repeats, lookup_withheld)

    def _holders(self, ids: list[str], among: str, offset: str) -> dict[str, First]:
        """Who holds these ids among the rows of a table."""
        return {row[0]: First(row[1], row[2], row[3]) for row in self._with_ids(ids, among, offset)}

    def _with_ids(self, ids: list[str], among: str, offset: str) -> Iterator[Any]:
        """message_id, offset, producer_id and sequence of the rows with these ids."""
        for start in range(0, len(ids), _IDS):
            listed = ", ".join(map(quoted, ids[start : start + _IDS]))
            sql = f"SELECT message_id, {offset}, producer_id, sequence FROM {among} AND message_id IN ({listed})"
            yield from self._patience("look ids up", lambda sql=sql: self._store.rows(sql))  # type: ignore[misc]

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

    def _duplicates(self, prepared: Prepared, owner: str, epochs: dict[str, str]) -> Iterator[Insert]:
        batch = prepared.batch
        if prepared.duplicates:
            sql = duplicates_sql(batch.topic, batch.partition, batch.first, batch.last, owner=owner)
            yield Insert(sql, json_lines(prepared.duplicates), self._token(batch, epochs), self._name(batch, owner))
        if prepared.withheld:
            sql = withheld_sql(batch.topic, batch.partition, batch.first, batch.last, owner=owner)
            yield Insert(sql, json_lines(prepared.withheld), self._token(batch, epochs), self._name(batch, owner))

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
