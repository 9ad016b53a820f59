"""Rows of a busy year, made inside ClickHouse: a hundred million take minutes and no network.

In: a client, a number of rows.
Out: filled events tables.
Never: a row that the sink would not store: the same columns, without the positions of a real batch.

People are drawn so that few are seen often (the cube of a uniform number), hosted events likewise; the seed is the row's number.
"""

from typing import Any

DAY_MS = 86_400_000
#: Share of the rows of each family.
SHARES = {
    "interaction": 0.62,
    "performance": 0.22,
    "commerce": 0.12,
    "attendance": 0.02,
    "feedback": 0.01,
    "listing": 0.01,
}
CHUNK = 5_000_000
_PLACE = "'bench' AS _topic, 0 AS _partition, number AS _offset, 0 AS _batch_first, 0 AS _batch_last, '' AS _excluded"
#: Two independent uniform numbers a row.
_RANDOM = (
    "cityHash64(number, '{family}') / 18446744073709551616. AS u, "
    "cityHash64(number, '{family}', 2) / 18446744073709551616. AS v"
)
_ENVELOPE = """
'default' AS tenant_id, lower(hex(cityHash64(number, '{family}', 3))) || lower(hex(number)) AS message_id,
toInt64({start_ms} + (number * {span_ms}) / {rows}) AS occurred_at_ms, occurred_at_ms AS sent_at_ms,
occurred_at_ms + if(v < 0.01, 120000, 300) AS received_at_ms,
lower(hex(toUInt64(pow(u, 3) * {people} * (0.4 + 0.6 * number / {rows})))) AS user_id,
1 AS pseudonym_version, 'bench' AS source, 'bench' AS producer_id,
toInt64(number + 1) AS sequence, u > 0.98 AS automatic, ['mobile', 'desktop', 'tablet'][1 + toUInt8(v * 3)] AS device,
'city-' || toString(toUInt8(u * 50)) AS city, ['DE', 'IN', 'US', 'FR'][1 + toUInt8(v * 4)] AS country,
if(v < 0.3, 'campaign-' || toString(toUInt8(u * 12)), NULL) AS campaign, '{{}}' AS properties
"""
_EVENT = "'e' || toString(toUInt32(pow(v, 2) * {hosted}))"
_FIELDS = {
    "interaction": "multiIf(v < 0.8, 'page_view', v < 0.9, 'search', v < 0.97, 'api_call', 'share') AS event_name, "
    "'/events/' || toString(toUInt16(pow(v, 2) * 400)) AS path",
    "performance": "multiIf(v < 0.8, 'operation_timed', v < 0.995, 'page_loaded', 'crash') AS event_name, "
    "['api', 'web', 'worker'][1 + toUInt8(u * 3)] AS component, 'GET /' || toString(toUInt8(pow(v, 2) * 60)) AS operation, "
    "toInt64(20 + 400 * pow(u, 4)) AS response_time_ms, if(u > 0.993, 503, 200) AS status",
    "commerce": "multiIf(v < 0.35, 'checkout_started', v < 0.6, 'payment_attempted', v < 0.75, 'payment_authorised', v < 0.78, "
    "'payment_failed', v < 0.98, 'ticket_purchased', v < 0.998, 'refund_issued', 'chargeback_received') AS event_name, "
    "lower(hex(intDiv(number, 5))) AS order_id, "
    + _EVENT
    + " AS hosted_event_id, toInt64(1000 + u * 20000) AS amount_minor, "
    "['USD', 'EUR', 'INR'][1 + toUInt8(u * 3)] AS currency, toInt64(1 + v * 3) AS quantity, "
    "if(event_name = 'payment_failed', ['declined', 'timeout', 'fraud'][1 + toUInt8(u * 3)], NULL) AS reason",
    "attendance": "if(v < 0.9, 'ticket_checked_in', 'rsvp_given') AS event_name, " + _EVENT + " AS hosted_event_id, "
    "lower(hex(number)) AS ticket_id",
    "feedback": "'feedback_given' AS event_name, " + _EVENT + " AS hosted_event_id, toInt64(1 + u * 5) AS rating, "
    "if(v < 0.5, toInt64(v * 4000 - 1000), NULL) AS sentiment_milli",
    "listing": "'hosted_event_created' AS event_name, 'e' || toString(number % {hosted}) AS hosted_event_id, "
    "'h' || toString(toUInt16(pow(u, 2) * 3000)) AS host_id, toInt64(100 + u * 900) AS capacity, "
    "['concert', 'theatre', 'sport'][1 + toUInt8(u * 3)] AS category, "
    "toInt64({start_ms} + 1728000000 + (number % {hosted}) * {span_ms} / {hosted}) AS starts_at_ms",
}


def fill(client: Any, rows: int, *, end_ms: int, days: int = 365) -> dict[str, int]:
    """Insert that many rows in all, spread over the days before `end_ms`; returns rows by family."""
    counts = {}
    for family, share in SHARES.items():
        count = counts[family] = max(100, int(rows * share))
        values = {
            "family": family, "rows": count, "span_ms": days * DAY_MS, "start_ms": end_ms - days * DAY_MS,
            "people": max(50, rows // 60), "hosted": max(20, rows // 20_000),
        }  # fmt: skip
        select = ", ".join((_RANDOM, _ENVELOPE, _FIELDS[family], _PLACE)).format(**values)
        for first in range(0, count, CHUNK):
            some = min(CHUNK, count - first)
            inner = f"SELECT {select} FROM numbers({first}, {some})"
            names = [row[0] for row in client.query(f"DESCRIBE TABLE ({inner})").result_rows if row[0] not in "uv"]
            listed = ", ".join(names)
            client.command(
                f"INSERT INTO footlights.events_{family} ({listed}) SELECT {listed} FROM ({inner})",
                settings={"max_partitions_per_insert_block": 0},
            )
    return counts
