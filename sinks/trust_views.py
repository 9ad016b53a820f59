"""Views that show whether the figures can be trusted: what was restated and why, and what became of each producer's records.

In: the tables.
Out: RESTATEMENTS, PLATFORM, CONSERVATION, LOST_SQL.
Never: a count of batches where rows can be counted: a row that somebody deleted must show.
"""

from schemas.families import FAMILIES
from sinks.daily import ZONE
from sinks.ddl import RETENTION
from sinks.table import DATABASE, SEQUENCES
from sinks.view import View

_SERIES = "tenant_id, kpi, window, by, window_start"
_ORDER = f"PARTITION BY {_SERIES} ORDER BY revision ROWS BETWEEN 1 PRECEDING AND CURRENT ROW"
RESTATEMENTS = View(
    "restatements",
    "Every change of a final figure, oldest first: old and new value, why, by what, and when. The ledger of restatements.",
    {
        "tenant_id": "Tenant.",
        "kpi": "Name of the KPI.",
        "window": "1m 5m 1h 24h 1d 7d or 30d.",
        "by": "Sorted key=value,… of the dimensions; empty for the whole.",
        "window_start": "Start of the window, inclusive.",
        "window_end": "End of the window, exclusive.",
        "revision": "Number of the change, from 1.",
        "old_value": "Value before; null at a zero base.",
        "new_value": "Value since; null at a zero base.",
        "reason": "late, refund, definition, backfill, duplicate, erasure or identity_merge.",
        "cause": "JSON: rows by family, partition and source offsets, or the request that restated it.",
        "old_rows": "Rows of the KPI's families in the window before.",
        "new_rows": "Rows since.",
        "old_definition_version": "Version of the definition that gave the old value.",
        "new_definition_version": "Version of the definition that gave the new value.",
        "watermark": "Event time up to which the families were complete then.",
        "published_at": "When the change was published.",
    },
    f"""
SELECT {_SERIES}, window_end, revision, old_value, value AS new_value, reason, cause, old_rows, rows AS new_rows,
    old_definition_version, definition_version AS new_definition_version, watermark, published_at
FROM
(
    SELECT *, lagInFrame(value) OVER ({_ORDER}) AS old_value, lagInFrame(rows) OVER ({_ORDER}) AS old_rows,
        lagInFrame(definition_version) OVER ({_ORDER}) AS old_definition_version
    FROM {DATABASE}.kpi_revisions
)
WHERE revision > 0
ORDER BY published_at, {_SERIES}, revision
""",
)

#: How the platform was set when its views were last written. Whoever recomputes figures asks here, not its own settings.
PLATFORM = View(
    "platform_settings",
    "How the figures of this store are made: one row.",
    {
        "reporting_zone": "Time zone of calendar days: those of the windows 1d 7d and 30d, and of the tables of days.",
        "retention_days": "Days after which raw rows leave the store.",
    },
    f"SELECT '{ZONE}' AS reporting_zone, toInt64({RETENTION}) AS retention_days",
)

#: Rows that the batches say were stored and that the tables no longer hold, by source. Per batch the counts are small and come
#: from the projection `counted`; batches whose rows retention may have taken are left out.
LOST_SQL = f"""
SELECT source, toInt64(sum(greatest(amount - held, 0))) AS lost FROM
(
    SELECT topic, partition, first, source, toInt64(sum(amount)) AS amount, toInt64(sum(held)) AS held FROM
    (
        SELECT topic, partition, first, source, amount, 0 AS held FROM {DATABASE}.batches
        ARRAY JOIN mapKeys(stored) AS source, mapValues(stored) AS amount
        WHERE startsWith(topic, 'events.') AND written_at > now64(3) - INTERVAL greatest(1, {RETENTION} - 1) DAY
        UNION ALL
        {
    " UNION ALL ".join(
        f"SELECT _topic, _partition, _batch_first, source, 0, count() FROM {DATABASE}.{f.table} "
        "GROUP BY _topic, _partition, _batch_first, source"
        for f in FAMILIES.values()
    )
}
    )
    GROUP BY topic, partition, first, source
)
GROUP BY source
HAVING lost > 0
"""

_FOUND = " UNION ALL ".join(
    [
        *(
            f"SELECT source, producer_id, toUInt64(sequence) AS number, 'stored' AS kind FROM {DATABASE}.{f.table} "
            "WHERE sequence > 0"
            for f in FAMILIES.values()
        ),
        "SELECT source, producer_id, toUInt64(sequence), if(redelivery, 'redelivered', 'duplicate') "
        f"FROM {DATABASE}.duplicates WHERE sequence > 0",
        f"SELECT source, producer_id, toUInt64(sequence), 'withheld' FROM {DATABASE}.withheld FINAL WHERE sequence > 0",
        f"SELECT source, producer_id, toUInt64(sequence), 'refused' FROM {DATABASE}.refused FINAL WHERE sequence > 0",
        "SELECT assumeNotNull(source), assumeNotNull(producer_id), toUInt64(assumeNotNull(sequence)), 'letter' "
        f"FROM {DATABASE}.dead_letters FINAL WHERE source IS NOT NULL AND producer_id IS NOT NULL AND sequence > 0",
    ]
)
_PRODUCERS = f"""
SELECT source, producer_id, max(reported) AS reported_at, max(accepted) AS accepted, max(gone) AS dropped,
    max(greatest_seen) AS last_sequence, sum(stored) AS stored, sum(duplicates) AS duplicates, sum(redelivered) AS redelivered,
    sum(dead_lettered) AS dead_lettered, sum(withheld) AS withheld, groupBitmapMergeState(held) AS numbers
FROM
(
    SELECT source, producer_id, reported_at AS reported, toUInt64(last_sequence) AS accepted, toUInt64(failed) AS gone,
        toUInt64(0) AS greatest_seen, 0 AS stored, 0 AS duplicates, 0 AS redelivered, 0 AS dead_lettered, 0 AS withheld,
        bitmapBuild(emptyArrayUInt64()) AS held
    FROM {DATABASE}.producer_reports
    UNION ALL
    SELECT source, producer_id, toDateTime64(0, 3, 'UTC'), 0, 0, sequence, 0, 0, 0, 0, 0, bitmapBuild(emptyArrayUInt64())
    FROM {SEQUENCES}
    UNION ALL
    SELECT source, producer_id, toDateTime64(0, 3, 'UTC'), 0, 0, max(number), countIf(kind = 'stored'),
        countIf(kind = 'duplicate'),
        countIf(kind = 'redelivered') + countIf(kind = 'letter') - uniqExactIf(number, kind = 'letter'),
        uniqExactIf(number, kind IN ('letter', 'refused')), countIf(kind = 'withheld'),
        groupBitmapState(number)
    FROM ({_FOUND}) GROUP BY source, producer_id
)
GROUP BY source, producer_id
"""
#: Gaps between the numbers that were found, as the first ten of their first missing numbers.
_FIRST_MISSING = """if(missing = 0, emptyArrayUInt64(), arraySlice(arrayFlatten(arrayMap(
    (low, high) -> range(low + 1, least(high, low + 11)),
    arrayConcat([toUInt64(0)], bitmapToArray(numbers)), arrayConcat(bitmapToArray(numbers), [last + 1]))), 1, 10))"""
CONSERVATION = View(
    "conservation",
    "What became of every record, for each producer process; counted from the rows themselves, so that a row that went shows.",
    {
        "source": "Service or file that published.",
        "producer_id": "Process.",
        "reported_at": "Clock of the producer at its newest report; 1970 when it never reported.",
        "accepted": "Records that it reported as accepted: its sequences 1 … accepted.",
        "last_sequence": "Greatest sequence that came, or was reported.",
        "unconfirmed": "Records beyond what it last reported.",
        "stored": "Rows in the events tables.",
        "duplicates": "Repeats of a message_id that were kept out.",
        "redelivered": "Copies of one record that it sent twice; no sequence of their own.",
        "dead_lettered": "Records that could not be decoded or are not valid, each once however often it was sent.",
        "withheld": "Records that were not stored, since their people opted out.",
        "dropped": "Records that it gave up after it had numbered them.",
        "missing": "Sequences of which no row tells, less those dropped: on their way, lost, or older than the retention.",
        "first_missing": "The first ten sequences of which no row tells, those dropped among them.",
    },
    f"""
SELECT source, producer_id, reported_at, accepted, last AS last_sequence, last - least(accepted, last) AS unconfirmed, stored,
    duplicates, redelivered, dead_lettered, withheld, dropped, missing, {_FIRST_MISSING} AS first_missing
FROM
(
    SELECT * EXCEPT (last_sequence), greatest(last_sequence, accepted) AS last,
        toInt64(last) - toInt64(bitmapCardinality(numbers)) - toInt64(dropped) AS missing
    FROM ({_PRODUCERS})
)
ORDER BY source, producer_id
""",
)
