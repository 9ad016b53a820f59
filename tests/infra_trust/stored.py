"""The store as the sinks would fill it, from the logs and points of the two stages without Kafka.

In: logs of source partitions, points.
Out: rows of `events_commerce`, `batches` and `kpi_points`.
Never: a table of another test: what is there is emptied first.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import polars as pl

from schemas.avro_batch import OFFSET
from schemas.families import FAMILIES
from schemas.identity import EXCLUDED
from stream_apps.compute.kpi.points import Point
from tests.infra_trust import FAMILY

SETTINGS = {"date_time_input_format": "best_effort"}


class Stored:
    """Tables of one family."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._points = 0
        for table in (f"events_{FAMILY}", "batches", "kpi_points", "duplicates"):
            client.command(f"TRUNCATE TABLE footlights.{table}")

    def events(self, partition: int, log: pl.DataFrame) -> None:
        """The rows of a partition's log, or of its next part, repeats left out."""
        first, last = int(log[OFFSET][0]), int(log[OFFSET][-1])
        place = {"_topic": f"events.{FAMILY}", "_partition": partition, "_batch_first": first, "_batch_last": last}
        names = [f.name for f in FAMILIES[FAMILY].fields]
        rows = log.unique("message_id", keep="first", maintain_order=True).with_columns(EXCLUDED)
        held = rows.select(*names, "_excluded", pl.col(OFFSET).alias("_offset"))
        self._insert(f"events_{FAMILY}", (row | place for row in held.iter_rows(named=True)))
        batch = {"topic": f"events.{FAMILY}", "partition": partition, "first": first, "last": last, "rows": log.height}
        self._insert("batches", [batch | {"stored": {"x": rows.height}}])

    def points(self, points: Iterable[Point]) -> None:
        """Points in the order of their publication."""
        rows = []
        for point in points:
            row = {k: v for k, v in point.items() if k not in ("dims", "held")}
            for name in [n for n in row if n.endswith("_ms")]:
                row[name.removesuffix("_ms")] = _instant(row.pop(name))
            rows.append(row | {"_topic": "kpi-points", "_offset": self._points})
            self._points += 1
        self._insert("kpi_points", rows)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return [tuple(row) for row in self.client.query(sql).result_rows]

    def run(self, sql: str) -> None:
        """Run a statement."""
        self.client.command(sql)

    def _insert(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        body = "\n".join(json.dumps(row) for row in rows)
        if body:
            self.client.raw_insert(f"footlights.{table}", insert_block=body, fmt="JSONEachRow", settings=SETTINGS)


def _instant(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
