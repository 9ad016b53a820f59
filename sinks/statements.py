"""The INSERT statements, made from the declarations.

In: a record and the batch that it came in.
Out: SQL that reads an Arrow stream, and lets rows in only while the owner's lease is the newest.
Never: a row of an owner that has been replaced: the engine itself checks.
"""

from collections.abc import Iterable
from functools import cache

from schemas.avro_batch import OFFSET
from schemas.families import BY_TOPIC, FAMILIES, Field, Record
from schemas.identity import EXCLUDED_SQL
from schemas.sentiment import SENTIMENT
from schemas.topics import TOPICS
from sinks.store import FENCED
from sinks.table import DATABASE, quoted
from sinks.tables import COUNTS, TYPES

#: Tables of the topics that carry no events.
INTERNAL_TABLES = {
    "kpi-points": "kpi_points", "dead-letters": "dead_letters", "producer-reports": "producer_reports",
    "sessions": "session_versions",
}  # fmt: skip
#: Which batch of which partition brought a row.
CUT = {"_partition": "UInt16", "_batch_first": "UInt64", "_batch_last": "UInt64"}
DUPLICATE_COLUMNS = {
    "offset": "UInt64", "message_id": "String", "first_offset": "UInt64", "tenant_id": "String", "source": "String",
    "producer_id": "String", "sequence": "Int64", "redelivery": "Bool", "differs": "Array(String)", "occurred_at_ms": "Int64",
}  # fmt: skip
WITHHELD_COLUMNS = {
    name: DUPLICATE_COLUMNS[name] for name in ("offset", "message_id", "tenant_id", "source", "producer_id", "sequence")
}
REFUSED_COLUMNS = {name: DUPLICATE_COLUMNS[name] for name in ("offset", "source", "producer_id", "sequence")}
BATCH_COLUMNS = {
    "topic": "String", "partition": "UInt16", "first": "UInt64", "last": "UInt64", "rows": "UInt64", "stored": COUNTS,
    "duplicates": COUNTS, "redelivered": COUNTS, "collisions": COUNTS, "dead_lettered": COUNTS, "unclaimed": COUNTS,
    "excluded": COUNTS, "withheld": COUNTS, "sequences": COUNTS, "epoch": "String", "lease": "String",
}  # fmt: skip


def table_of(topic: str) -> str:
    """Table of a topic's records."""
    return BY_TOPIC[topic].table if topic in BY_TOPIC else INTERNAL_TABLES[topic]


def lease_sql(places: Iterable[tuple[str, int]], owner: str) -> str:
    """A condition that is true, or raises in the engine when one of the partitions has a newer owner."""
    wanted = sorted({f"({quoted(t)}, {p})" for t, p in places})
    held = (
        f"SELECT argMax(owner, lease) AS holder FROM {DATABASE}.leases "
        f"WHERE (topic, partition) IN ({', '.join(wanted)}) GROUP BY topic, partition"
    )
    mine = f"(SELECT countIf(holder = {quoted(owner)}) FROM ({held}))"
    return f"throwIf({mine} != {len(wanted)}, {quoted(FENCED)}) = 0"


def records_sql(topic: str, partitions: Iterable[int], *, owner: str, store_text: bool) -> str:
    """Insert of a topic's decoded records; the data have the schema's columns, `__offset` and the columns of CUT."""
    record: Record = TOPICS[topic].record
    events = topic in BY_TOPIC
    columns = [_column(f, timed=not events) for f in record.fields]
    values = [_value(f, timed=not events, hidden=events and f.pii == "text" and not store_text) for f in record.fields]
    columns += ["_topic", "_offset", *CUT]
    values += [quoted(topic), f"toUInt64({OFFSET})", *CUT]
    if events:
        columns.append("_excluded")
        values.append(EXCLUDED_SQL)
    if topic == FAMILIES["feedback"].topic:
        columns.append(SENTIMENT)
        values.append(SENTIMENT)
    return (
        f"INSERT INTO {DATABASE}.{table_of(topic)} ({', '.join(columns)}) SELECT {', '.join(values)} "
        f"FROM input({quoted(_structure(record))}) WHERE {lease_sql([(topic, p) for p in partitions], owner)} FORMAT ArrowStream"
    )


def duplicates_sql(topic: str, partition: int, first: int, last: int, *, owner: str) -> str:
    """Insert of repeats; the data have DUPLICATE_COLUMNS as JSON lines."""
    return _lines_sql("duplicates", DUPLICATE_COLUMNS, topic, partition, first, last, owner)


def withheld_sql(topic: str, partition: int, first: int, last: int, *, owner: str) -> str:
    """Insert of records of people who opted out; the data have WITHHELD_COLUMNS as JSON lines."""
    return _lines_sql("withheld", WITHHELD_COLUMNS, topic, partition, first, last, owner)


def refused_sql(topic: str, partition: int, first: int, last: int, *, owner: str) -> str:
    """Insert of dead letters that their producers numbered; the data have REFUSED_COLUMNS as JSON lines."""
    return _lines_sql("refused", REFUSED_COLUMNS, topic, partition, first, last, owner)


def _lines_sql(
    table: str, declared: dict[str, str], topic: str, partition: int, first: int, last: int, owner: str
) -> str:
    columns = [c.removesuffix("_ms") for c in declared]
    values = [_millis(c) if c.endswith("_ms") else c for c in declared]
    structure = ", ".join(f"{n} {t}" for n, t in declared.items())
    return (
        f"INSERT INTO {DATABASE}.{table} (topic, partition, _batch_first, _batch_last, {', '.join(columns)}) "
        f"SELECT {quoted(topic)}, {partition}, {first}, {last}, {', '.join(values)} FROM input({quoted(structure)}) "
        f"WHERE {lease_sql([(topic, partition)], owner)} FORMAT JSONEachRow"
    )


def batches_sql(places: Iterable[tuple[str, int]], *, owner: str) -> str:
    """Insert of the ranges taken; the data have BATCH_COLUMNS as JSON lines."""
    structure = ", ".join(f"{n} {t}" for n, t in BATCH_COLUMNS.items())
    names = ", ".join(BATCH_COLUMNS)
    return (
        f"INSERT INTO {DATABASE}.batches ({names}) SELECT {names} FROM input({quoted(structure)}) "
        f"WHERE {lease_sql(places, owner)} FORMAT JSONEachRow"
    )


@cache
def _structure(record: Record) -> str:
    fields = [f"`{f.name}` " + (f"Nullable({TYPES[f.kind]})" if f.nullable else TYPES[f.kind]) for f in record.fields]
    derived = [f"{SENTIMENT} Nullable(Int64)"] if record.name == "feedback" else []
    return ", ".join([*fields, *derived, f"{OFFSET} Int64", *(f"{name} {kind}" for name, kind in CUT.items())])


def _column(declared: Field, *, timed: bool) -> str:
    return f"`{declared.name.removesuffix('_ms') if timed else declared.name}`"


def _value(declared: Field, *, timed: bool, hidden: bool) -> str:
    if hidden:
        return "NULL" if declared.nullable else "''"
    return _millis(declared.name) if timed and declared.name.endswith("_ms") else f"`{declared.name}`"


def _millis(name: str) -> str:
    return f"fromUnixTimestamp64Milli({name}, 'UTC')"
