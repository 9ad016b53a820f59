"""What a hosted event is, sold and let in, as SQL: the one definition that metrics and views share.

In: the tables of listings, sales and the door.
Out: queries with a row for each hosted event.
Never: a greater value that was said earlier than a smaller one, money counted as tickets, or a ticket counted twice.

Tickets of a hosted event are those sold and not given back: a refund that names no quantity is money alone, and an order gives
back no more than it bought. A ticket that was never sold counts as nobody's place and as nobody's coming.
"""

from schemas.cohort_metric import DATABASE

#: Days over which the tickets scanned at a hosted event's door are followed; what is open for longer forgets who came before.
DOOR_DAYS = 92
#: Tickets that the door let in, of those that were sold; and places that are taken, of those that there are.
CAME, TAKEN = "least(checked_in, kept)", "least(kept, assumeNotNull(coalesce(places, 0)))"

#: Of two listings the greater is the newer. A sender whose clock is fast has said it when it was received, and not later.
SAID_SQL = "(least(occurred_at_ms, received_at_ms), message_id)"
#: Stands for the table of listings by day, which a recomputation may replace.
LISTINGS = "{hosted_event_days}"


def _last(column: str) -> str:
    return f"if(max({column}).1 = 0, NULL, max({column}).3)"


#: By what was listed last of each: tenant_id, hosted_event_id; places, starts_ms and ends_ms, null when never listed; host, '' when
#: never listed; cancelled and sold_out, 1 when that was ever said.
LISTED = f"""
    SELECT tenant_id, hosted_event_id, {_last("last_capacity")} AS places, {_last("last_starts_at")} AS starts_ms,
        {_last("last_ends_at")} AS ends_ms, max(last_host).2 AS host, max(cancelled) AS cancelled, max(sold_out) AS sold_out
    FROM {LISTINGS} GROUP BY tenant_id, hosted_event_id
"""


def sold_sql(where: str = "true") -> str:
    """Sales: tenant_id, hosted_event_id, sold, returned, kept (the difference), gross_minor; `where` chooses hosted events."""
    return f"""
    SELECT tenant_id, hosted_event_id, toInt64(sum(bought)) AS sold,
        toInt64(least(sum(bought), sum(if(bought > 0, least(bought, back), back)))) AS returned, sold - returned AS kept,
        sum(gross) AS gross_minor
    FROM (
        SELECT tenant_id, assumeNotNull(hosted_event_id) AS hosted_event_id, order_id,
            sumIf(coalesce(quantity, 0), event_name = 'ticket_purchased') AS bought,
            sumIf(coalesce(quantity, 0), event_name = 'refund_issued') AS back,
            sumIf(reporting_minor, event_name = 'ticket_purchased') AS gross
        FROM {DATABASE}.events_commerce AS c WHERE _excluded = '' AND event_name IN ('ticket_purchased', 'refund_issued')
            AND c.hosted_event_id IS NOT NULL AND {where}
        GROUP BY tenant_id, hosted_event_id, order_id)
    GROUP BY tenant_id, hosted_event_id
"""


def door_sql(where: str = "true") -> str:
    """Tickets let in: tenant_id, hosted_event_id, checked_in; `where` chooses hosted events."""
    return f"""
    SELECT tenant_id, assumeNotNull(a.hosted_event_id) AS hosted_event_id, uniqExact(ticket_id) AS checked_in
    FROM {DATABASE}.events_attendance AS a
    WHERE _excluded = '' AND event_name = 'ticket_checked_in' AND a.hosted_event_id IS NOT NULL AND {where}
    GROUP BY tenant_id, hosted_event_id
"""


def of_day_sql(value: str, at: str, having: str = "true") -> str:
    """A figure over the hosted events whose begin or end (`starts_ms`, `ends_ms`), as it was listed last, lies on the day."""
    on_day = (
        f"{at} IS NOT NULL AND fromUnixTimestamp64Milli(assumeNotNull({at}), 'UTC') >= {{start}} "
        f"AND fromUnixTimestamp64Milli(assumeNotNull({at}), 'UTC') < {{end}} AND {having}"
    )
    theirs = f"(tenant_id, hosted_event_id) IN (SELECT tenant_id, hosted_event_id FROM ({LISTED}) WHERE {on_day})"
    return f"""
SELECT tenant_id, '' AS by, {value} AS value, count() AS row_count FROM ({LISTED}) AS listed
LEFT JOIN ({sold_sql(theirs)}) AS sales USING (tenant_id, hosted_event_id)
LEFT JOIN ({door_sql(theirs)}) AS door USING (tenant_id, hosted_event_id)
WHERE {on_day}
GROUP BY tenant_id
"""


#: Tickets inside ÷ places at the end of the day, by each ticket's last scan since the doors opened, on whichever day; of each
#: hosted event whose door was at work on the day, or that was not over when the day began.
OCCUPANCY = f"""
SELECT tenant_id, 'hosted_event_id=' || hosted_event_id AS by, inside / assumeNotNull(places) AS value, tickets AS row_count FROM (
    SELECT tenant_id, hosted_event_id, countIf(last_seen = 'ticket_checked_in') AS inside, count() AS tickets,
        max(scanned_at) AS newest
    FROM (
        SELECT tenant_id, assumeNotNull(a.hosted_event_id) AS hosted_event_id, ticket_id,
            argMax(event_name, (occurred_at, message_id)) AS last_seen, max(occurred_at) AS scanned_at
        FROM {DATABASE}.events_attendance AS a
        WHERE _excluded = '' AND occurred_at >= {{start}} - INTERVAL {DOOR_DAYS} DAY AND occurred_at < {{end}}
            AND event_name IN ('ticket_checked_in', 'ticket_checked_out') AND ticket_id IS NOT NULL
            AND a.hosted_event_id IS NOT NULL
        GROUP BY tenant_id, hosted_event_id, ticket_id)
    GROUP BY tenant_id, hosted_event_id
) AS door INNER JOIN ({LISTED}) AS listed USING (tenant_id, hosted_event_id)
WHERE places > 0 AND (newest >= {{start}} OR fromUnixTimestamp64Milli(coalesce(ends_ms, 0), 'UTC') > {{start}})
"""
#: Hosts of the ninety days before the last ninety with no hosted event since, of all of these hosts.
DROPOUT = f"""
SELECT tenant_id, '' AS by, countIf(before AND NOT since) / countIf(before) AS value, countIf(before) AS row_count FROM (
    SELECT tenant_id, host, max(day BETWEEN {{day}} - 179 AND {{day}} - 90) AS before,
        max(day BETWEEN {{day}} - 89 AND {{day}}) AS since
    FROM (
        SELECT tenant_id, host, toDate(fromUnixTimestamp64Milli(assumeNotNull(starts_ms), 'UTC'), '{{zone}}') AS day
        FROM ({LISTED}) WHERE starts_ms IS NOT NULL AND host != '')
    GROUP BY tenant_id, host
) GROUP BY tenant_id HAVING countIf(before) > 0
"""
