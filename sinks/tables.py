"""Every table of the store as data: columns with their types and meaning, keys, partitions, retention.

In: the event families and the internal records.
Out: TABLES.
Never: a column without a comment, or a field of a schema that is spelt a second time.

The migrations are written from these declarations once (`python -m sinks.ddl`) and then stand for ever; a test compares what
the migrations made with what is declared here.
"""

from schemas.families import BYTES, FAMILIES, INTERNAL, Family, Field, Record
from schemas.identity import SHARD_SQL
from schemas.money import REPORTING, REPORTING_CURRENCY, reporting_sql
from schemas.sentiment import SENTIMENT
from sinks.daily import DAILY
from sinks.table import DEDUPLICATION_WINDOW, TIME, Column, Table

COUNTS = "Map(String, UInt64)"

TYPES = {"string": "String", "long": "Int64", "double": "Float64", "boolean": "Bool", BYTES: "String"}
#: Text of few distinct values.
LOW_CARDINALITY = frozenset(
    {"tenant_id", "event_name", "source", "device", "browser", "os", "city", "country", "app_version", "campaign"}
    | {
        "currency",
        "category",
        "component",
        "operation",
        "gate",
        "reason",
        "kpi",
        "window",
        "topic",
        "error_code",
        "stage",
    }
)


def column_of(declared: Field, *, rename: str | None = None) -> Column:
    """A schema's field as a column of the same name and kind."""
    kind = TYPES[declared.kind]
    if declared.nullable:
        kind = f"Nullable({kind})"
    if declared.name in LOW_CARDINALITY:
        kind = f"LowCardinality({kind})"
    codec = "Delta, ZSTD" if declared.name.endswith("_ms") or declared.name == "sequence" else ""
    return Column(rename or declared.name, kind, declared.doc, codec=codec)


PLACE = (
    Column("_topic", "LowCardinality(String)", "Kafka topic that the row came from."),
    Column("_partition", "UInt16", "Partition of the topic."),
    Column("_offset", "UInt64", "Offset within the partition.", codec="Delta, ZSTD"),
    Column("_batch_first", "UInt64", "First offset of the batch that brought the row.", codec="Delta, ZSTD"),
    Column("_batch_last", "UInt64", "Last offset of the batch that brought the row.", codec="Delta, ZSTD"),
    Column("_inserted_at", TIME, "Clock of the store when the row came.", "DEFAULT now64(3)", "Delta, ZSTD"),
)
POSITION = (
    "PROJECTION position (SELECT _topic, _partition, max((_batch_first, _batch_last)) GROUP BY _topic, _partition)"
)
#: Rows of each batch by source, so that the ledger can count what is really there without reading the rows.
COUNTED = (
    "PROJECTION counted (SELECT _topic, _partition, _batch_first, source, count() "
    "GROUP BY _topic, _partition, _batch_first, source)"
)
REPORTING_COLUMN = Column(
    REPORTING,
    "Nullable(Int64)",
    f"Amount in minor units of {REPORTING_CURRENCY} by the dated rates; null without an amount or a rate.",
    f"ALIAS {reporting_sql()}",
)


SENTIMENT_COLUMN = Column(
    SENTIMENT,
    "Nullable(Int64)",
    "How the text sounds by VADER, -1000 to 1000; null without a text. Kept when the text is not.",
)


def _events(family: Family) -> Table:
    derived = (
        Column("_excluded", "LowCardinality(String)", "Why the row counts in no figure: late, future, or empty when it counts."),
        Column(
            "occurred_at", TIME, "When it happened, UTC.", "MATERIALIZED fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')",
            "Delta, ZSTD",
        ),
        Column(
            "_shard", "Int64", "Span of 70 minutes in which the id lies; a repeat lies in the same.",
            f"MATERIALIZED {SHARD_SQL}", "Delta, ZSTD",
        ),
        *((REPORTING_COLUMN,) if family.name == "commerce" else ()),
        *((SENTIMENT_COLUMN,) if family.name == "feedback" else ()),
    )  # fmt: skip
    return Table(
        family.table,
        family.doc,
        (*(column_of(f) for f in family.fields), *PLACE, *derived),
        order_by="(tenant_id, event_name, toStartOfHour(occurred_at), user_id, message_id)",
        partition_by="toYYYYMM(occurred_at)",
        expires="_inserted_at",
        extras=(
            "INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1",
            "INDEX by_message message_id TYPE bloom_filter(0.01) GRANULARITY 1",
            "INDEX by_shard _shard TYPE minmax GRANULARITY 1",
            POSITION,
            COUNTED,
        ),
        settings={"non_replicated_deduplication_window": DEDUPLICATION_WINDOW, "allow_nullable_key": 1},
    )


def _timed(record: Record) -> tuple[Column, ...]:
    """An internal record's columns; its times become DateTime64 and lose their `_ms`."""
    columns = []
    for declared in record.fields:
        if declared.name.endswith("_ms"):
            kind = f"Nullable({TIME})" if declared.nullable else TIME
            columns.append(Column(declared.name.removesuffix("_ms"), kind, declared.doc, codec="Delta, ZSTD"))
        else:
            columns.append(column_of(declared))
    return tuple(columns)


KPI_POINTS = Table(
    "kpi_points",
    "Every published value of every KPI: open, final, and all revisions.",
    (
        *_timed(INTERNAL["kpi_point"]),
        *PLACE,
        Column(
            "version", "UInt64", "Generation, then source offset of the publisher: of two open values the greater is newer.",
            "MATERIALIZED bitOr(bitShiftLeft(toUInt64(generation), 44), toUInt64(source_offset))",
        ),
    ),
    order_by="(tenant_id, kpi, window, by, window_start, revision, final)",
    engine="ReplacingMergeTree(version)",
    partition_by="toYYYYMM(window_start)",
)  # fmt: skip
DEAD_LETTERS = Table(
    "dead_letters",
    "Records that could not be decoded or are not valid, encrypted.",
    (*_timed(INTERNAL["dead_letter"]), *PLACE),
    order_by="(topic, partition, offset)",
    engine="ReplacingMergeTree",
    expires="_inserted_at",
    retention_days=30,
)
PRODUCER_REPORTS = Table(
    "producer_reports",
    "Newest report of each producer process: what it has accepted so far.",
    (*_timed(INTERNAL["producer_report"]), *PLACE),
    order_by="(tenant_id, source, producer_id)",
    engine="ReplacingMergeTree(last_sequence)",
)
SESSION_VERSIONS = Table(
    "session_versions",
    "Every published state of every session, rounds' notes among them; read the view sessions.",
    (
        *_timed(INTERNAL["session"]),
        *PLACE,
        Column(
            "version", "UInt64", "Generation, then clock of the worker: of two states the greater is newer.",
            "MATERIALIZED bitOr(bitShiftLeft(toUInt64(generation), 44), toUInt64(toUnixTimestamp64Milli(published_at)))",
        ),
    ),
    order_by="(tenant_id, person, started_at)",
    engine="ReplacingMergeTree(version)",
    partition_by="toYYYYMM(started_at)",
    expires="_inserted_at",
)  # fmt: skip
#: What brought a row about a record that is not among the events.
_BROUGHT = (
    Column("_batch_first", "UInt64", "First offset of the batch that brought the row."),
    Column("_batch_last", "UInt64", "Last offset of the batch that brought the row."),
    Column("_inserted_at", TIME, "Clock of the store when the row came.", "DEFAULT now64(3)"),
)
DUPLICATES = Table(
    "duplicates",
    "Records whose message_id already stood at a smaller offset of the same partition.",
    (
        Column("topic", "LowCardinality(String)", "Topic of the repeat."),
        Column("partition", "UInt16", "Partition of the repeat and of its first."),
        Column("offset", "UInt64", "Offset of the repeat."),
        Column("message_id", "String", "Id that both carry."),
        Column("first_offset", "UInt64", "Offset of the record that counts."),
        Column("tenant_id", "LowCardinality(String)", "Tenant of the repeat."),
        Column("source", "LowCardinality(String)", "Source of the repeat."),
        Column("producer_id", "String", "Producer of the repeat."),
        Column("sequence", "Int64", "Sequence of the repeat within its producer."),
        Column(
            "redelivery", "Bool", "True when the repeat has the producer and the sequence of a record that came before."
        ),
        Column(
            "differs",
            "Array(LowCardinality(String))",
            "Fields that say something else than the first: two events met under one id, and this one is lost. Empty of a repeat.",
        ),
        Column("occurred_at", TIME, "When the repeat says that it happened, UTC."),
        *_BROUGHT,
    ),
    order_by="(topic, partition, offset)",
    expires="_inserted_at",
    extras=(
        "PROJECTION position (SELECT topic, partition, max((_batch_first, _batch_last)) GROUP BY topic, partition)",
    ),
)
WITHHELD = Table(
    "withheld",
    "Records that were not stored because their people opted out: where they stood and who sent them, nothing of what they said.",
    (
        Column("topic", "LowCardinality(String)", "Topic of the record."),
        Column("partition", "UInt16", "Partition."),
        Column("offset", "UInt64", "Offset."),
        Column("message_id", "String", "Id of the record."),
        Column("tenant_id", "LowCardinality(String)", "Tenant."),
        Column("source", "LowCardinality(String)", "Source."),
        Column("producer_id", "String", "Producer."),
        Column("sequence", "Int64", "Sequence within its producer."),
        *_BROUGHT,
    ),
    order_by="(topic, partition, offset)",
    engine="ReplacingMergeTree",
    expires="_inserted_at",
)
REFUSED = Table(
    "refused",
    "Dead letters that their producers had numbered: each number once, so that a record that is sent again counts once.",
    (
        Column("topic", "LowCardinality(String)", "Topic of the record."),
        Column("partition", "UInt16", "Partition."),
        Column("offset", "UInt64", "Offset of the first record with this number."),
        Column("source", "LowCardinality(String)", "Source by the record's headers."),
        Column("producer_id", "String", "Producer by the record's headers."),
        Column("sequence", "Int64", "Sequence by the record's headers."),
        *_BROUGHT,
    ),
    order_by="(topic, partition, producer_id, sequence, offset)",
    engine="ReplacingMergeTree",
    expires="_inserted_at",
)
BATCHES = Table(
    "batches",
    "The range of every batch that was taken from Kafka, even one without a row; the ledger counts from it. Append-only.",
    (
        Column("topic", "LowCardinality(String)", "Topic."),
        Column("partition", "UInt16", "Partition."),
        Column("first", "UInt64", "First offset, inclusive."),
        Column("last", "UInt64", "Last offset, inclusive."),
        Column("rows", "UInt64", "Records in the range."),
        Column("stored", COUNTS, "Rows stored, by source."),
        Column("duplicates", COUNTS, "Repeats of a message_id that were kept out, by source; redeliveries left out."),
        Column("redelivered", COUNTS, "Repeats that are the very same record of the same producer, by source."),
        Column(
            "collisions", COUNTS, "Of duplicates and redelivered: other events under an id that was taken, by source."
        ),
        Column("dead_lettered", COUNTS, "Records that could not be decoded or are not valid, by source."),
        Column(
            "unclaimed",
            COUNTS,
            "Dead letters without a producer's number in their headers, by source; part of dead_lettered.",
        ),
        Column("excluded", COUNTS, "Rows stored that count in no figure, by source."),
        Column("withheld", COUNTS, "Records of people who opted out, by source."),
        Column("sequences", COUNTS, "Greatest sequence of each producer in the range; the key is source/producer_id."),
        Column("epoch", "String", "Id of the Kafka topic and number of the rebuild."),
        Column("lease", "String", "Owner that wrote the row."),
        Column("written_at", TIME, "Clock of the store.", "DEFAULT now64(3)"),
    ),
    order_by="(topic, partition, first)",
)
LEASES = Table(
    "leases",
    "Who may write the rows of a partition; the greatest lease counts, and an insert under an older one fails.",
    (
        Column("topic", "LowCardinality(String)", "Topic."),
        Column("partition", "UInt16", "Partition."),
        Column("lease", "UInt64", "Greater than every lease before."),
        Column("owner", "String", "Sink process and assignment that took it."),
        Column("taken_at", TIME, "Clock of the store.", "DEFAULT now64(3)"),
    ),
    order_by="(topic, partition)",
    engine="ReplacingMergeTree(lease)",
)
METRIC_DEFINITIONS = Table(
    "metric_definitions",
    "What each KPI means, as declared; filled by every migration.",
    (
        Column("kpi", "String", "Name."),
        Column("version", "UInt32", "Version of the definition."),
        Column("formula", "String", "Formula over the measures."),
        Column("unit", "LowCardinality(String)", "Unit of the value."),
        Column("kind", "LowCardinality(String)", "KPI, KRI or KR."),
        Column("help", "String", "What it says."),
        Column("windows", "Array(String)", "Windows in which it is published."),
        Column("by", "Array(String)", "Combinations of dimensions, each as a sorted list with commas."),
        Column("good", "LowCardinality(String)", "Direction that is welcome: up, down or flat."),
        Column("owner", "LowCardinality(String)", "Team that answers for it."),
        Column("families", "Array(String)", "Event families that it is computed from."),
        Column("updated_at", TIME, "When this definition was written.", "DEFAULT now64(3)"),
    ),
    order_by="kpi",
    engine="ReplacingMergeTree(updated_at)",
)
MIGRATIONS = Table(
    "migrations",
    "Migrations that were applied.",
    (
        Column("name", "String", "File name."),
        Column("checksum", "String", "SHA-256 of the file."),
        Column("applied_at", TIME, "Clock of the store.", "DEFAULT now64(3)"),
    ),
    order_by="name",
)

EVENTS: dict[str, Table] = {family.topic: _events(family) for family in FAMILIES.values()}
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        *EVENTS.values(), KPI_POINTS, DEAD_LETTERS, PRODUCER_REPORTS, SESSION_VERSIONS, DUPLICATES, WITHHELD, REFUSED, BATCHES,
        LEASES, *DAILY, METRIC_DEFINITIONS, MIGRATIONS,
    )
}  # fmt: skip
