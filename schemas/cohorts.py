"""The cohort metrics of the product.

In: the tables that materialised views keep, and the events.
Out: COHORTS.
Never: a metric that is declared twice.

A day is a calendar day of the reporting zone. Figures are exact counts, no sketches.
"""

from schemas.cohort_metric import DATABASE, CohortMetric
from schemas.metric import COUNT, KPI, KR, KRI, MONEY, RATING, RATIO, SECONDS, USERS, VIEWS, Alert
from schemas.money import REPORTING_CURRENCY
from schemas.sessions import sessions_sql

_COMMERCE, _LISTING = f"{DATABASE}.events_commerce", f"{DATABASE}.events_listing"
_ATTENDANCE, _ACCOUNT, _FEEDBACK = (
    f"{DATABASE}.events_attendance",
    f"{DATABASE}.events_account",
    f"{DATABASE}.events_feedback",
)
_NET = (
    "sumIf(reporting_minor, event_name = 'ticket_purchased') - sumIf(reporting_minor, event_name IN ('refund_issued', "
    "'chargeback_received'))"
)


def _active(value: str, back: int) -> str:
    """A count of people over the days back … day."""
    return (
        f"SELECT tenant_id, '' AS by, toFloat64({value}) AS value, count() AS row_count FROM {{user_days}} "
        f"WHERE active = 1 AND day BETWEEN {{day}} - {back} AND {{day}} GROUP BY tenant_id HAVING countIf(day = {{day}}) > 0"
    )


def _of_people(flag: str) -> str:
    """Share of the day's people to whom something happened."""
    return (
        f"SELECT tenant_id, '' AS by, uniqExactIf(person, {flag} = 1) / uniqExact(person) AS value, count() AS row_count "
        "FROM {user_days} WHERE day = {day} GROUP BY tenant_id"
    )


def _retention(n: int) -> str:
    return f"""
SELECT tenant_id, '' AS by, countIf(back) / count() AS value, count() AS row_count FROM (
    SELECT tenant_id, person, max(day = {{day}} + {n}) AS back FROM {{user_days}}
    WHERE active = 1 AND day IN ({{day}}, {{day}} + {n}) AND (tenant_id, person) IN (
        SELECT tenant_id, person FROM {{user_first_days}} GROUP BY tenant_id, person HAVING min(first_day) = {{day}})
    GROUP BY tenant_id, person
) GROUP BY tenant_id
"""


def _growth(value: str, table: str, where: str) -> str:
    """This month to the day against as many days of the month before."""
    month = "toStartOfMonth({day})"
    at = "toDate(occurred_at, '{zone}')"
    this = f"{at} BETWEEN {month} AND {{day}}"
    last = f"{at} BETWEEN {month} - INTERVAL 1 MONTH AND least({month} - INTERVAL 1 MONTH + ({{day}} - {month}), {month} - 1)"
    return f"""
SELECT tenant_id, '' AS by, (this - before) / nullIf(before, 0) AS value, row_count FROM (
    SELECT tenant_id, sumIf(amount, {this}) AS this, sumIf(amount, {last}) AS before, toUInt64(countIf({this})) AS row_count FROM (
        SELECT tenant_id, occurred_at, {value} AS amount FROM {table}
        WHERE _excluded = '' AND {where} AND occurred_at >= {{start}} - INTERVAL 63 DAY AND occurred_at < {{end}})
    GROUP BY tenant_id)
"""


def _hosted(value: str, of: str, having: str = "true") -> str:
    """A figure over the hosted events whose begin (or end) lies on the day, by what was last listed of each."""
    return f"""
SELECT tenant_id, '' AS by, {value} AS value, count() AS row_count FROM (
    SELECT tenant_id, hosted_event_id, max(capacity) AS places, max(starts_at_ms) AS starts, max(ends_at_ms) AS ends,
        max(cancelled) AS cancelled, max(sold_out) AS sold_out
    FROM {{hosted_event_days}} GROUP BY tenant_id, hosted_event_id
) AS listed
LEFT JOIN (
    SELECT tenant_id, hosted_event_id, sumIf(quantity, event_name = 'ticket_purchased')
        - sumIf(coalesce(quantity, 1), event_name = 'refund_issued') AS tickets
    FROM {_COMMERCE} WHERE _excluded = '' AND event_name IN ('ticket_purchased', 'refund_issued')
    GROUP BY tenant_id, hosted_event_id
) AS sold USING (tenant_id, hosted_event_id)
LEFT JOIN (
    SELECT tenant_id, hosted_event_id, uniqExact(ticket_id) AS checked_in FROM {_ATTENDANCE}
    WHERE _excluded = '' AND event_name = 'ticket_checked_in' GROUP BY tenant_id, hosted_event_id
) AS door USING (tenant_id, hosted_event_id)
WHERE fromUnixTimestamp64Milli(coalesce({of}, 0), 'UTC') >= {{start}}
    AND fromUnixTimestamp64Milli(coalesce({of}, 0), 'UTC') < {{end}} AND {having}
GROUP BY tenant_id
"""


_DOOR = f"""
SELECT tenant_id, 'hosted_event_id=' || hosted_event_id AS by, inside / nullIf(places, 0) AS value, tickets AS row_count FROM (
    SELECT tenant_id, hosted_event_id, countIf(last_seen = 'ticket_checked_in') AS inside, count() AS tickets FROM (
        SELECT tenant_id, hosted_event_id, ticket_id, argMax(event_name, (occurred_at, message_id)) AS last_seen
        FROM {_ATTENDANCE} WHERE {{on_day}} AND event_name IN ('ticket_checked_in', 'ticket_checked_out')
            AND ticket_id IS NOT NULL AND hosted_event_id IS NOT NULL GROUP BY tenant_id, hosted_event_id, ticket_id)
    GROUP BY tenant_id, hosted_event_id
) AS door INNER JOIN (
    SELECT tenant_id, hosted_event_id, max(capacity) AS places FROM {{hosted_event_days}} WHERE capacity > 0
    GROUP BY tenant_id, hosted_event_id
) AS listed USING (tenant_id, hosted_event_id)
"""
_CHURN = """
SELECT tenant_id, '' AS by, countIf(before AND NOT since) / countIf(before) AS value, countIf(before) AS row_count FROM (
    SELECT tenant_id, person, max(day <= {day} - 90) AS before, max(day > {day} - 90) AS since FROM {user_days}
    WHERE active = 1 AND day BETWEEN {day} - 179 AND {day} GROUP BY tenant_id, person
) GROUP BY tenant_id HAVING countIf(before) > 0
"""
_DROPOUT = """
SELECT tenant_id, '' AS by, countIf(before AND NOT since) / countIf(before) AS value, countIf(before) AS row_count FROM (
    SELECT tenant_id, host, max(day BETWEEN {day} - 179 AND {day} - 90) AS before,
        max(day BETWEEN {day} - 89 AND {day}) AS since
    FROM (
        SELECT tenant_id, max(last_host).2 AS host,
            toDate(fromUnixTimestamp64Milli(assumeNotNull(max(starts_at_ms)), 'UTC'), '{zone}') AS day
        FROM {hosted_event_days} WHERE starts_at_ms IS NOT NULL GROUP BY tenant_id, hosted_event_id HAVING host != '')
    GROUP BY tenant_id, host
) GROUP BY tenant_id HAVING countIf(before) > 0
"""
_REFUNDED = f"""
SELECT tenant_id, '' AS by, sum(least(back, gross)) / nullIf(sum(gross), 0) AS value, count() AS row_count FROM (
    SELECT tenant_id, order_id, sumIf(reporting_minor, event_name = 'ticket_purchased' AND {{on_day}}) AS gross,
        coalesce(sumIf(reporting_minor, event_name = 'refund_issued'), 0) AS back
    FROM {_COMMERCE} WHERE _excluded = '' AND order_id IS NOT NULL AND occurred_at >= {{start}}
        AND event_name IN ('ticket_purchased', 'refund_issued')
    GROUP BY tenant_id, order_id HAVING gross > 0
) GROUP BY tenant_id
"""
_BY_ORDER = f"""
SELECT tenant_id, '' AS by, countIf(last_word = 'payment_failed') / count() AS value, count() AS row_count FROM (
    SELECT tenant_id, order_id, argMax(event_name, (occurred_at, message_id)) AS last_word FROM (
        SELECT tenant_id, order_id, event_name, occurred_at, message_id,
            min(occurred_at) OVER (PARTITION BY tenant_id, order_id) AS first_at
        FROM {_COMMERCE} WHERE _excluded = '' AND order_id IS NOT NULL AND event_name IN ('payment_authorised', 'payment_failed')
            AND occurred_at >= {{start}} - INTERVAL 30 MINUTE AND occurred_at < {{end}} + INTERVAL 30 MINUTE)
    WHERE first_at >= {{start}} AND first_at < {{end}} AND occurred_at <= first_at + INTERVAL 30 MINUTE
    GROUP BY tenant_id, order_id
) GROUP BY tenant_id
"""
_CHECKOUTS = f"""
SELECT tenant_id, '' AS by, countIf(done >= began AND done <= began + INTERVAL 60 MINUTE) / count() AS value, count() AS row_count
FROM (
    SELECT tenant_id, order_id, minIf(occurred_at, event_name = 'checkout_started') AS began,
        minIf(occurred_at, event_name = 'checkout_completed') AS done, countIf(event_name = 'checkout_started') AS starts
    FROM {_COMMERCE} WHERE _excluded = '' AND order_id IS NOT NULL AND event_name IN ('checkout_started', 'checkout_completed')
        AND occurred_at >= {{start}} - INTERVAL 1 DAY AND occurred_at < {{end}} + INTERVAL 60 MINUTE
    GROUP BY tenant_id, order_id HAVING starts > 0 AND began >= {{start}} AND began < {{end}}
) GROUP BY tenant_id
"""
_CHARGEBACKS = f"""
SELECT tenant_id, '' AS by, countIf(event_name = 'chargeback_received')
    / nullIf(countIf(event_name = 'payment_authorised'), 0) AS value, count() AS row_count
FROM {_COMMERCE} WHERE _excluded = '' AND event_name IN ('chargeback_received', 'payment_authorised')
    AND toDate(occurred_at, '{{zone}}') BETWEEN {{day}} - 29 AND {{day}} AND occurred_at >= {{start}} - INTERVAL 31 DAY
GROUP BY tenant_id
"""
_VERIFIED = f"""
SELECT tenant_id, '' AS by, uniqExactIf(user_id, event_name = 'user_verified')
    / nullIf(uniqExactIf(user_id, event_name = 'user_registered'), 0) AS value, count() AS row_count
FROM {_ACCOUNT} WHERE _excluded = '' AND event_name IN ('user_registered', 'user_verified') AND occurred_at < {{end}}
GROUP BY tenant_id HAVING max(occurred_at) >= {{start}}
"""
_PROFILES = f"""
SELECT tenant_id, '' AS by, toFloat64(sum(toDecimal64(filled / required, 12))) / count() AS value, count() AS row_count FROM (
    SELECT tenant_id, user_id, argMax(filled_fields, (occurred_at, message_id)) AS filled,
        argMax(required_fields, (occurred_at, message_id)) AS required, max(occurred_at) AS newest
    FROM {_ACCOUNT} WHERE _excluded = '' AND required_fields > 0 AND filled_fields IS NOT NULL AND user_id IS NOT NULL
        AND occurred_at < {{end}} GROUP BY tenant_id, user_id
) GROUP BY tenant_id HAVING max(newest) >= {{start}}
"""
_SHRUNK = f"""
SELECT tenant_id, 'hosted_event_id=' || hosted_event_id AS by, (total + 10 * mean) / (ratings + 10) AS value, ratings AS row_count
FROM (
    SELECT tenant_id, hosted_event_id, sum(rating) AS total, count() AS ratings,
        sum(total) OVER (PARTITION BY tenant_id) / sum(ratings) OVER (PARTITION BY tenant_id) AS mean, max(occurred_at) AS newest
    FROM {_FEEDBACK} WHERE _excluded = '' AND rating IS NOT NULL AND hosted_event_id IS NOT NULL AND occurred_at < {{end}}
    GROUP BY tenant_id, hosted_event_id
) WHERE newest >= {{start}}
"""
#: Sessions that began on the day; a day more on both sides holds all of their records.
_OF_DAY = sessions_sql("occurred_at >= {start} - INTERVAL 25 HOUR AND occurred_at < {end} + INTERVAL 25 HOUR")


def _sessions(value: str) -> str:
    return (
        f"SELECT tenant_id, '' AS by, toFloat64({value}) AS value, count() AS row_count FROM ({_OF_DAY}) "
        "WHERE started_at >= {start} AND started_at < {end} GROUP BY tenant_id"
    )


#: Of whole milliseconds: a mean of fractions would hang on the order of its sum.
_MEAN_LENGTH = "sum(dateDiff('millisecond', started_at, ended_at)) / 1000 / count()"
_CURRENCIES = f"""
SELECT tenant_id, 'currency=' || currency AS by, toFloat64(sum(amount_minor)) AS value, count() AS row_count
FROM {_COMMERCE} WHERE {{on_day}} AND event_name = 'ticket_purchased' AND currency IS NOT NULL GROUP BY tenant_id, currency
"""


def _metric(
    name: str, sql: str, unit: str, help_: str, *, back: int = 0, matures: int = 0, ripens: bool = False, kind: str = KPI,
    good: str = "up",
    owner: str = "growth", alert: Alert | None = None, by: str = "", families: tuple[str, ...] = (),
) -> CohortMetric:  # fmt: skip
    return CohortMetric(
        name, sql, unit, help_, kind=kind, windows=("1d",), by=((by,),) if by else (), good=good, owner=owner, alert=alert,
        families=families, matures_days=matures, ripens=ripens, looks_back_days=back, whole=not by,
    )  # fmt: skip


def _ticket(above: float) -> Alert:
    return Alert("1d", "1h", "ticket", above=above)


#: Figures that read the whole history, or all that was ever said of a hosted event: a late row changes them up to today.
_EVER = 400
_PEOPLE = ("interaction", "commerce", "attendance", "feedback")
_ALL = (*_PEOPLE, "performance")
_DECLARED = (
    _metric("sessions", _sessions("count()"), COUNT, "Visits that began on the day.", matures=1, owner="product", families=_ALL),
    _metric(
        "session_length_seconds", _sessions(_MEAN_LENGTH), SECONDS, "Mean time from a visit's first to its last record.",
        matures=1, owner="product", families=_ALL,
    ),
    _metric(
        "session_length_p50_seconds", _sessions("quantileExact(0.5)(length_s)"), SECONDS, "Median of that time.", matures=1,
        owner="product", families=_ALL,
    ),
    _metric(
        "session_length_p95_seconds", _sessions("quantileExact(0.95)(length_s)"), SECONDS, "95th percentile of that time.",
        matures=1, owner="product", families=_ALL,
    ),
    _metric(
        "engaged_sessions_ratio", _sessions("avg(engaged)"), RATIO,
        "Share of visits longer than 10 s, or with two pages, or with a purchase.", matures=1, owner="product", families=_ALL,
    ),
    _metric(
        "page_views_per_session", _sessions("avg(page_views)"), VIEWS, "Pages seen ÷ visits.", matures=1, owner="product",
        families=_ALL,
    ),
    _metric(
        "crash_session_ratio", _sessions("avg(crashes > 0)"), RATIO, "Share of visits that saw a crash.", matures=1, kind=KRI,
        good="down", owner="web", alert=Alert("1d", "10m", "page", above=0.01), families=_ALL,
    ),
    _metric(
        "daily_active_users_exact", _active("uniqExact(person)", 0), USERS, "Active people of the day, counted.", families=_PEOPLE,
    ),
    _metric(
        "weekly_active_users_exact", _active("uniqExact(person)", 6), USERS,
        "Active people of the seven days that end with the day.", back=6, families=_PEOPLE,
    ),
    _metric(
        "monthly_active_users_exact", _active("uniqExact(person)", 29), USERS,
        "Active people of the thirty days that end with the day.", back=29, kind=KR, families=_PEOPLE,
    ),
    _metric(
        "stickiness_ratio", _active("uniqExactIf(person, day = {day}) / uniqExact(person)", 29), RATIO,
        "Active people of the day ÷ those of its thirty days.", back=29, families=_PEOPLE,
    ),
    *(
        _metric(
            f"retention_d{n}_ratio", _retention(n), RATIO,
            f"Of the people first active on the day, the share active exactly {n} {'day' if n == 1 else 'days'} later.",
            matures=n, families=_PEOPLE,
        )
        for n in (1, 7, 30)
    ),
    _metric(
        "churn_ratio", _CHURN, RATIO, "Of the people active in the ninety days before the last ninety, the share absent since.",
        back=179, kind=KRI, good="down", alert=_ticket(0.30), families=_PEOPLE,
    ),
    _metric(
        "crash_user_ratio", _of_people("crashed"), RATIO, "Share of the day's people whose app crashed.", kind=KRI, good="down",
        owner="web", alert=Alert("1d", "10m", "page", above=0.01), families=(*_PEOPLE, "performance"),
    ),
    _metric(
        "users_with_error_ratio", _of_people("met_error"), RATIO, "Share of the day's people for whom an operation failed.",
        kind=KRI, good="down", owner="platform", families=(*_PEOPLE, "performance"),
    ),
    _metric(
        "checkout_conversion_ratio", _CHECKOUTS, RATIO, "Checkouts completed within 60 minutes ÷ begun, matched by order.",
        owner="sales", families=("commerce",),
    ),
    _metric(
        "payment_failure_by_order_ratio", _BY_ORDER, RATIO,
        "Share of orders whose last payment attempt within 30 minutes failed.", kind=KRI, good="down", owner="payments",
        families=("commerce",),
    ),
    _metric(
        "refund_by_sale_ratio", _REFUNDED, RATIO, "Of the day's sales, the share refunded so far.", matures=35, ripens=True,
        kind=KRI,
        good="down", owner="finance", families=("commerce",),
    ),
    _metric(
        "chargeback_ratio", _CHARGEBACKS, RATIO, "Chargebacks ÷ successful payments of thirty days.", back=29, kind=KRI,
        good="down", owner="finance", alert=_ticket(0.009), families=("commerce",),
    ),
    _metric(
        "revenue_by_currency_minor", _CURRENCIES, MONEY, "Purchases of the day in each currency, in its own minor units.",
        owner="finance", by="currency", families=("commerce",),
    ),
    _metric(
        "revenue_growth_ratio", _growth("toInt64(multiIf(event_name = 'ticket_purchased', 1, -1)) * reporting_minor", _COMMERCE,
        "event_name IN ('ticket_purchased', 'refund_issued', 'chargeback_received') AND reporting_minor IS NOT NULL"), RATIO,
        f"Net revenue ({REPORTING_CURRENCY}) of the month to the day against as many days of the month before.", back=62, kind=KR,
        owner="finance", families=("commerce",),
    ),
    _metric(
        "event_creation_growth_ratio", _growth("1", _LISTING, "event_name = 'hosted_event_created'"), RATIO,
        "Hosted events created in the month to the day against as many days of the month before.", back=62, kind=KR,
        owner="hosts", families=("listing",),
    ),
    _metric(
        "event_sellout_ratio", _hosted("avg(sold_out)", "ends", "NOT cancelled"), RATIO,
        "Hosted events that ended on the day having sold out ÷ those that ended.", back=_EVER, owner="hosts", families=("listing",),
    ),
    _metric(
        "sell_through_ratio", _hosted("sum(tickets) / nullIf(sum(places), 0)", "starts", "NOT cancelled"), RATIO,
        "Tickets sold ÷ places, over hosted events that start on the day.", back=_EVER, owner="hosts",
        families=("listing", "commerce"),
    ),
    _metric(
        "attendance_ratio", _hosted("sum(checked_in) / nullIf(sum(tickets), 0)", "starts", "NOT cancelled"), RATIO,
        "Distinct tickets let in ÷ tickets sold and not returned, over hosted events that start on the day.", matures=1,
        back=_EVER, owner="hosts", families=("listing", "commerce", "attendance"),
    ),
    _metric(
        "no_show_ratio", _hosted("1 - sum(checked_in) / nullIf(sum(tickets), 0)", "starts", "NOT cancelled"), RATIO,
        "Share of those tickets that nobody came with.", back=_EVER, matures=1, good="down", owner="hosts",
        families=("listing", "commerce", "attendance"),
    ),
    _metric(
        "event_cancellation_ratio", _hosted("avg(cancelled)", "starts"), RATIO,
        "Hosted events cancelled ÷ those scheduled to start on the day.", back=_EVER, kind=KRI, good="down", owner="hosts",
        alert=_ticket(0.05), families=("listing",),
    ),
    _metric(
        "host_dropout_ratio", _DROPOUT, RATIO,
        "Of the hosts with a hosted event in the ninety days before the last ninety, the share with none since.", back=_EVER,
        kind=KRI, good="down", owner="hosts", alert=_ticket(0.30), families=("listing",),
    ),
    _metric(
        "door_occupancy_ratio", _DOOR, RATIO, "Tickets inside ÷ places of a hosted event; the last scan of a ticket counts.",
        kind=KRI, good="flat", owner="hosts", alert=Alert("1d", "0m", "page", above=1.0), by="hosted_event_id",
        families=("attendance", "listing"),
    ),
    _metric(
        "verified_users_ratio", _VERIFIED, RATIO, "Users verified ÷ registered, so far.", back=_EVER, kind=KR,
        families=("account",),
    ),
    _metric(
        "profile_completion_ratio", _PROFILES, RATIO, "Mean share of required profile fields that are filled.", back=_EVER, kind=KR,
        families=("account",),
    ),
    _metric(
        "event_rating_shrunk_mean", _SHRUNK, RATING, "Mean rating of a hosted event, drawn to the mean of all by ten ratings.",
        back=_EVER, kind=KR, owner="hosts", by="hosted_event_id", families=("feedback",),
    ),
)  # fmt: skip

COHORTS: dict[str, CohortMetric] = {m.name: m for m in _DECLARED}
