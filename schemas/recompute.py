"""The states of every measure's buckets, as one ClickHouse query each over the raw events.

In: measures, a family, a level.
Out: SQL whose rows are (bucket, tenant, dimensions…, state).
Never: a duplicate or an excluded row.

The tables hold no duplicates, so nothing is removed here but what is excluded by a row's own columns.
"""

from schemas.aggregates import column_sql, needs_value, state_sql
from schemas.identity import LATE_SQL
from schemas.measures import TENANT, Measure
from schemas.money import REPORTING, reporting_sql
from schemas.windows import bucket_sql

DATABASE = "footlights"


def table_of(family: str) -> str:
    """The family's events as a FROM clause, with derived columns, without excluded rows."""
    derived = f", {reporting_sql()} AS {REPORTING}" if family == "commerce" else ""
    columns = f"* EXCEPT ({REPORTING})" if family == "commerce" else "*"
    return f"(SELECT {columns}{derived} FROM {DATABASE}.events_{family} WHERE _excluded = '')"


def state_query(measure: Measure, family: str, level: int, zone: str = "UTC", where: str = "true") -> str:
    """SQL of one measure's states in one family; `where` narrows the rows, e.g. to a span of occurred_at_ms.

    Columns: bucket Int64, tenant_id String, the dimensions of `by`, state (Int64, or Map(UInt16, …)).
    """
    predicate = measure.where
    if needs_value(measure.aggregate):
        predicate = f"({predicate}) AND {column_sql(measure.aggregate)} IS NOT NULL"
    return _grouped(
        f"{state_sql(measure.aggregate)} AS state", measure.by, family, level, zone, f"({predicate}) AND ({where})"
    )


def rows_query(by: tuple[str, ...], family: str, level: int, zone: str = "UTC", where: str = "true") -> str:
    """SQL of the row counts that say which windows exist.

    Columns: bucket Int64, tenant_id String, the dimensions of `by`, row_count Int64, late_count Int64.
    """
    counted = f"toInt64(count()) AS row_count, toInt64(countIf({LATE_SQL})) AS late_count"
    return _grouped(counted, by, family, level, zone, where)


def _grouped(selected: str, by: tuple[str, ...], family: str, level: int, zone: str, where: str) -> str:
    keys = ", ".join(["bucket", TENANT, *by])
    dimensions = ", ".join([f"{bucket_sql(level, zone)} AS bucket", TENANT, *by])
    return f"SELECT {dimensions}, {selected} FROM {table_of(family)} WHERE {where} GROUP BY {keys}"
