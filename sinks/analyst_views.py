"""Views that read like sentences: what analysts ask for most.

In: the event tables, `user_days`, `kpi_history`.
Out: ANALYST_VIEWS.
Never: a figure of its own: what a KPI says, its view says as well.

Days of these views are of UTC, but for those that stand on `user_days`, whose days are of the reporting zone.
"""

from schemas.hosted import CAME, LISTED, SAID_SQL, TAKEN, door_sql, sold_sql
from schemas.money import REPORTING_CURRENCY
from schemas.ratios import share_sql
from schemas.sessions import sessions_sql
from sinks.daily import ZONE
from sinks.table import DATABASE
from sinks.view import View

_SESSION = {
    "tenant_id": "Tenant.", "person": "Pseudonym of the user, else of the visitor.", "started_at": "First record, UTC.",
    "ended_at": "Last record, UTC.",
    "run_started_at": "First record of its unbroken run, UTC: earlier than `started_at` after 24 hours of it.",
    "length_s": "Seconds between them; 0 for a single record.", "records": "Records.",
    "page_views": "Pages seen.", "purchases": "Purchases.", "crashes": "Crashes of the app.",
    "engaged": "Longer than 10 s, or two pages, or a purchase.",
}  # fmt: skip
#: How far people's days are complete: the stream's watermark, which no sender's clock moves.
_SEEN = f"(SELECT max(watermark) FROM {DATABASE}.kpi_points WHERE kpi = 'daily_active_users')"
_RETURNS = f"""
SELECT tenant_id, cohort_day, n, uniqExact(person) AS people,
    uniqExactIf(person, has(days, cohort_day + n)) AS returned,
    uniqExactIf(person, arrayExists(d -> d >= cohort_day + n, days)) AS returned_on_or_after,
    uniqExactIf(person, arrayExists(d -> d > cohort_day AND d <= cohort_day + n, days)) AS returned_within,
    returned / people AS retention_ratio, ifNull(toDateTime(cohort_day + n + 1, '{ZONE}') <= {_SEEN}, 0) AS complete
FROM (
    SELECT tenant_id, person, groupUniqArray(day) AS days, min(day) AS cohort_day FROM {DATABASE}.user_days
    WHERE active = 1 GROUP BY tenant_id, person
) AS people CROSS JOIN (SELECT arrayJoin([1, 2, 3, 4, 5, 6, 7, 14, 21, 28, 30, 60, 90]) AS n) AS steps
INNER JOIN (SELECT tenant_id, max(day) AS newest FROM {DATABASE}.user_days GROUP BY tenant_id) AS ends USING (tenant_id)
WHERE cohort_day + n <= newest
GROUP BY tenant_id, cohort_day, n, newest
"""  # fmt: skip
_KINDS = f"""
SELECT tenant_id, assumeNotNull(l.hosted_event_id) AS hosted_event_id, argMax(category, {SAID_SQL}) AS category,
    argMax(city, {SAID_SQL}) AS city
FROM {DATABASE}.events_listing AS l WHERE _excluded = '' AND l.hosted_event_id IS NOT NULL GROUP BY tenant_id, hosted_event_id
"""
_SALES = f"""
SELECT tenant_id, hosted_event_id, nullIf(host, '') AS host_id, category, city, places AS capacity,
    fromUnixTimestamp64Milli(starts_ms, 'UTC') AS starts_at, toBool(listed.cancelled) AS cancelled,
    toBool(listed.sold_out) AS sold_out, sold AS tickets, returned, gross_minor,
    {share_sql(TAKEN, "coalesce(places, 0)")} AS sell_through_ratio, checked_in,
    {share_sql(CAME, "kept")} AS attendance_ratio
FROM ({LISTED.format(hosted_event_days=f"{DATABASE}.hosted_event_days")}) AS listed
LEFT JOIN ({_KINDS}) AS kinds USING (tenant_id, hosted_event_id)
LEFT JOIN ({sold_sql()}) AS sales USING (tenant_id, hosted_event_id)
LEFT JOIN ({door_sql()}) AS door USING (tenant_id, hosted_event_id)
"""

ANALYST_VIEWS = (
    View(
        "kpi_daily",
        "Each KPI's figure of each calendar day of the reporting zone, with what is known about it.",
        {
            "tenant_id": "Tenant.", "day": "Calendar day of the reporting zone.", "kpi": "Name; metric_definitions explains it.",
            "by": "Dimensions, key=value; empty for the whole.", "value": "The figure; null at a zero base.", "unit": "Its unit.",
            "final": "False while the day is not over, or may still change.",
            "revision": "How often the final figure was restated.",
            "completeness": "Share of the day that the watermark has passed.", "late_ratio": "Share of rows that came late.",
        },
        f"SELECT tenant_id, toDate(window_start + INTERVAL 12 HOUR, '{ZONE}') AS day, kpi, by, value, unit, final, revision, "
        f"completeness, late_ratio FROM {DATABASE}.kpi_history AS points LEFT JOIN (SELECT kpi, argMax(unit, updated_at) AS unit "
        f"FROM {DATABASE}.metric_definitions GROUP BY kpi) AS definitions USING (kpi) WHERE window = '1d'",
    ),
    View(
        "sessions",
        "Visits of people: records no more than 30 minutes apart, at most 24 hours; it counts on the day on which it starts.",
        _SESSION,
        "SELECT tenant_id, person, started_at, ended_at, run_started_at, "
        "dateDiff('millisecond', started_at, ended_at) / 1000 AS length_s, toUInt64(v.records) AS records, "
        "toUInt64(v.page_views) AS page_views, toUInt64(v.purchases) AS purchases, toUInt64(v.crashes) AS crashes, "
        "length_s > 10 OR page_views >= 2 OR purchases > 0 AS engaged "
        f"FROM {DATABASE}.session_versions AS v FINAL WHERE v.records > 0",
    ),
    View(
        "sessions_from_events",
        "The same as `sessions`, worked out from all records now: it lags behind nothing, and is slow.",
        _SESSION,
        sessions_sql("true"),
    ),
    View(
        "recent_sessions",
        "Sessions that began in the last two days: worked out now from the last three days of records.",
        _SESSION,
        "SELECT * FROM (" + sessions_sql("occurred_at > now() - INTERVAL 3 DAY") + ") WHERE started_at > now() - INTERVAL 2 DAY",
    ),
    View(
        "funnel_checkout",
        "People by day (UTC) and how far they came: a page, a checkout, a payment that went through, tickets.",
        {
            "tenant_id": "Tenant.", "day": "Day, UTC.", "viewers": "People who saw a page.", "starters": "Who began a checkout.",
            "payers": "Whose payment was authorised.", "buyers": "Who bought tickets.",
        },
        "SELECT tenant_id, toDate(occurred_at) AS day, uniqExactIf(person, event_name = 'page_view') AS viewers, "
        "uniqExactIf(person, event_name = 'checkout_started') AS starters, "
        "uniqExactIf(person, event_name = 'payment_authorised') AS payers, "
        "uniqExactIf(person, event_name = 'ticket_purchased') AS buyers FROM ("
        + " UNION ALL ".join(
            f"SELECT tenant_id, occurred_at, event_name, coalesce(user_id, anonymous_id) AS person FROM {DATABASE}.events_{family} "
            f"WHERE _excluded = '' AND NOT automatic AND event_name IN {names}"
            for family, names in (
                ("interaction", "('page_view')"), ("commerce", "('checkout_started', 'payment_authorised', 'ticket_purchased')"),
            )
        )
        + ") GROUP BY tenant_id, day",
    ),
    View(
        "cohort_retention",
        "Of the people first seen on a day, how many came back n days later. Days of the reporting zone.",
        {
            "tenant_id": "Tenant.", "cohort_day": "Day on which these people were first active.", "n": "Days later.",
            "people": "People of the cohort.", "returned": "Active exactly n days later.",
            "returned_on_or_after": "Active n days later or at any time after (unbounded retention).",
            "returned_within": "Active on any day after the first, up to n days later (rolling retention).",
            "retention_ratio": "returned ÷ people.", "complete": "False while the stream's watermark has not passed the n-th day.",
        },
        _RETURNS,
    ),
    View(
        "hosted_event_sales",
        f"Each hosted event with its sales and its door. Money in minor units of {REPORTING_CURRENCY}.",
        {
            "tenant_id": "Tenant.", "hosted_event_id": "Hosted event.", "host_id": "Host.", "category": "Category.",
            "city": "City.", "capacity": "Places.", "starts_at": "Begin, UTC.", "cancelled": "Whether it was cancelled.",
            "sold_out": "Whether it was sold out.", "tickets": "Tickets sold.",
            "returned": "Tickets of these that were given back: by refunds that name a quantity, others are money alone.",
            "gross_minor": "Purchases.",
            "sell_through_ratio": "Places with a ticket that is sold and not given back ÷ places; as the metric of this name.",
            "checked_in": "Distinct tickets let in.",
            "attendance_ratio": "Tickets let in ÷ tickets sold and not given back; as the metric of this name.",
        },
        _SALES,
    ),
    View(
        "api_health",
        "Timed operations by hour (UTC): requests, failures, times.",
        {
            "tenant_id": "Tenant.", "hour": "Hour, UTC.", "component": "Component.", "operation": "Operation.",
            "requests": "Operations.", "errors": "Those with status 500 and above, or an error.",
            "error_ratio": "errors ÷ requests.",
            "p50_ms": "Median time.", "p95_ms": "95th percentile.",
        },
        "SELECT tenant_id, toStartOfHour(occurred_at) AS hour, component, operation, count() AS requests, "
        "countIf(coalesce(status, 200) >= 500 OR error IS NOT NULL) AS errors, errors / requests AS error_ratio, "
        "quantile(0.5)(response_time_ms) AS p50_ms, quantile(0.95)(response_time_ms) AS p95_ms "
        f"FROM {DATABASE}.events_performance WHERE _excluded = '' AND event_name = 'operation_timed' "
        "GROUP BY tenant_id, hour, component, operation",
    ),
    View(
        "identity_links",
        "Which visitors were told to be which users, as it stands now: an alias, or an unalias after it.",
        {
            "tenant_id": "Tenant.", "user_id": "Pseudonym of the user.",
            "anonymous_id": "Pseudonym of the visitor, or of the former id.",
            "linked": "Whether they are one person now.", "changed_at": "When that was said last, UTC.",
            "first_linked_at": "When it was said first, UTC.",
        },
        "SELECT tenant_id, user_id, anonymous_id, argMax(event_name, (occurred_at, _offset)) = 'identity_linked' AS linked, "
        "max(occurred_at) AS changed_at, minIf(occurred_at, event_name = 'identity_linked') AS first_linked_at "
        f"FROM {DATABASE}.events_interaction WHERE event_name IN ('identity_linked', 'identity_unlinked') "
        "AND user_id IS NOT NULL AND anonymous_id IS NOT NULL GROUP BY tenant_id, user_id, anonymous_id",
    ),
)  # fmt: skip
