"""The cohort metrics of the product.

In: the tables that materialised views keep, and the events.
Out: COHORTS.
Never: a metric that is declared twice.

A day is a calendar day of the reporting zone. Figures are exact counts, no sketches.
"""

from schemas.cohort_metric import DATABASE, CohortMetric
from schemas.hosted import CAME, DOOR_DAYS, DROPOUT, OCCUPANCY, TAKEN, of_day_sql
from schemas.metric import COUNT, KPI, KR, KRI, MONEY, RATING, RATIO, SECONDS, USERS, VIEWS, Alert
from schemas.money import REPORTING_CURRENCY
from schemas.ratios import change_sql, share_sql
from schemas.sessions import sessions_sql

_COMMERCE, _LISTING = f"{DATABASE}.events_commerce", f"{DATABASE}.events_listing"
_ACCOUNT, _FEEDBACK = f"{DATABASE}.events_account", f"{DATABASE}.events_feedback"
#: Days over which the records of one order are looked for, so that it counts on one of them.
_ORDER_DAYS = 62


def _active(value: str, back: int) -> str:
    """A count of people over the days back … day, also where nobody was active on the day itself."""
    return (
        f"SELECT tenant_id, '' AS by, toFloat64({value}) AS value, count() AS row_count FROM {{user_days}} "
        f"WHERE active = 1 AND day BETWEEN {{day}} - {back} AND {{day}} GROUP BY tenant_id"
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
SELECT tenant_id, '' AS by, {change_sql("this", "before")} AS value, row_count FROM (
    SELECT tenant_id, sumIf(amount, {this}) AS this, sumIf(amount, {last}) AS before, toUInt64(countIf({this})) AS row_count FROM (
        SELECT tenant_id, occurred_at, toInt64(coalesce({value}, 0)) AS amount FROM {table}
        WHERE _excluded = '' AND {where} AND occurred_at >= {{start}} - INTERVAL 63 DAY AND occurred_at < {{end}})
    GROUP BY tenant_id)
"""


_CHURN = """
SELECT tenant_id, '' AS by, countIf(before AND NOT since) / countIf(before) AS value, countIf(before) AS row_count FROM (
    SELECT tenant_id, person, max(day <= {day} - 90) AS before, max(day > {day} - 90) AS since FROM {user_days}
    WHERE active = 1 AND day BETWEEN {day} - 179 AND {day} GROUP BY tenant_id, person
) GROUP BY tenant_id HAVING countIf(before) > 0
"""
#: An order that was bought on several days is refunded in the order of its purchases: money that went back counts once.
_REFUNDED = f"""
SELECT tenant_id, '' AS by, {share_sql("sum(least(greatest(back - before, 0), gross))", "sum(gross)")} AS value,
    count() AS row_count
FROM (
    SELECT tenant_id, order_id,
        sumIf(amount, event_name = 'ticket_purchased' AND occurred_at >= {{start}} AND occurred_at < {{end}}) AS gross,
        sumIf(amount, event_name = 'ticket_purchased' AND occurred_at < {{start}}) AS before,
        sumIf(amount, event_name = 'refund_issued') AS back
    FROM (
        SELECT tenant_id, order_id, event_name, occurred_at, coalesce(reporting_minor, 0) AS amount FROM {_COMMERCE}
        WHERE _excluded = '' AND order_id IS NOT NULL AND occurred_at >= {{start}} - INTERVAL {_ORDER_DAYS} DAY
            AND event_name IN ('ticket_purchased', 'refund_issued'))
    GROUP BY tenant_id, order_id HAVING gross > 0
) GROUP BY tenant_id
"""


def _orders_begun(names: str, minutes: int) -> str:
    """Records, of these names, of the orders whose records begin on the day: those of so many minutes from the first."""
    chosen = f"_excluded = '' AND order_id IS NOT NULL AND event_name IN ({names})"
    return f"""
    SELECT *, minIf(occurred_at, opens) OVER (PARTITION BY tenant_id, order_id) AS began FROM (
        SELECT tenant_id, order_id, event_name, occurred_at, message_id, event_name != 'checkout_completed' AS opens
        FROM {_COMMERCE} WHERE {chosen}
            AND occurred_at >= {{start}} - INTERVAL {_ORDER_DAYS} DAY AND occurred_at < {{end}} + INTERVAL {minutes} MINUTE
            AND (tenant_id, order_id) IN (SELECT tenant_id, order_id FROM {_COMMERCE} WHERE {chosen}
                AND occurred_at >= {{start}} AND occurred_at < {{end}}))
    QUALIFY began >= {{start}} AND began < {{end}} AND occurred_at >= began AND occurred_at <= began + INTERVAL {minutes} MINUTE
"""


_BY_ORDER = f"""
SELECT tenant_id, '' AS by, countIf(last_word = 'payment_failed') / count() AS value, count() AS row_count FROM (
    SELECT tenant_id, order_id, argMax(event_name, (occurred_at, message_id)) AS last_word
    FROM ({_orders_begun("'payment_authorised', 'payment_failed'", 30)}) GROUP BY tenant_id, order_id
) GROUP BY tenant_id
"""
_CHECKOUTS = f"""
SELECT tenant_id, '' AS by, countIf(done) / count() AS value, count() AS row_count FROM (
    SELECT tenant_id, order_id, max(event_name = 'checkout_completed') AS done
    FROM ({_orders_begun("'checkout_started', 'checkout_completed'", 60)}) GROUP BY tenant_id, order_id
) GROUP BY tenant_id
"""
_CHARGED_BACK, _PAID = "countIf(event_name = 'chargeback_received')", "countIf(event_name = 'payment_authorised')"
_CHARGEBACKS = f"""
SELECT tenant_id, '' AS by, {share_sql(_CHARGED_BACK, _PAID)} AS value, count() AS row_count
FROM {_COMMERCE} WHERE _excluded = '' AND event_name IN ('chargeback_received', 'payment_authorised')
    AND toDate(occurred_at, '{{zone}}') BETWEEN {{day}} - 29 AND {{day}} AND occurred_at >= {{start}} - INTERVAL 31 DAY
GROUP BY tenant_id
"""
_VERIFIED = f"""
SELECT tenant_id, '' AS by, countIf(registered AND verified) / nullIf(countIf(registered), 0) AS value, sum(records) AS row_count
FROM (
    SELECT tenant_id, user_id, max(event_name = 'user_registered') AS registered, max(event_name = 'user_verified') AS verified,
        count() AS records
    FROM {_ACCOUNT} WHERE _excluded = '' AND event_name IN ('user_registered', 'user_verified') AND user_id IS NOT NULL
        AND occurred_at < {{end}} GROUP BY tenant_id, user_id
) GROUP BY tenant_id
"""
_PROFILES = f"""
SELECT tenant_id, '' AS by, toFloat64(sum(toDecimal64(least(filled, required) / required, 12))) / count() AS value,
    count() AS row_count
FROM (
    SELECT tenant_id, user_id, argMax(filled_fields, (occurred_at, message_id)) AS filled,
        argMax(required_fields, (occurred_at, message_id)) AS required
    FROM {_ACCOUNT} WHERE _excluded = '' AND required_fields > 0 AND filled_fields IS NOT NULL AND user_id IS NOT NULL
        AND occurred_at < {{end}} GROUP BY tenant_id, user_id
) GROUP BY tenant_id
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
    good: str = "up", owner: str = "growth", alert: Alert | None = None, by: str = "", families: tuple[str, ...] = (),
    version: int = 1, open_ended: bool = False,
) -> CohortMetric:  # fmt: skip
    return CohortMetric(
        name, sql, unit, help_, kind=kind, windows=("1d",), by=((by,),) if by else (), good=good, owner=owner, alert=alert,
        families=families, matures_days=matures, ripens=ripens, looks_back_days=back, whole=not by,
        version=version, open_ended=open_ended,
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
        "Active people of the seven days that end with the day.", back=6, families=_PEOPLE, version=2,
    ),
    _metric(
        "monthly_active_users_exact", _active("uniqExact(person)", 29), USERS,
        "Active people of the thirty days that end with the day.", back=29, kind=KR, families=_PEOPLE, version=2,
    ),
    _metric(
        "stickiness_ratio", _active("uniqExactIf(person, day = {day}) / uniqExact(person)", 29), RATIO,
        "Active people of the day ÷ those of its thirty days.", back=29, families=_PEOPLE, version=2,
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
        "checkout_conversion_ratio", _CHECKOUTS, RATIO,
        "Checkouts completed within 60 minutes ÷ begun, matched by order; an order counts on the day of its first checkout.",
        back=_ORDER_DAYS, matures=1, owner="sales", families=("commerce",), version=2,
    ),
    _metric(
        "payment_failure_by_order_ratio", _BY_ORDER, RATIO,
        "Share of orders whose last payment attempt within 30 minutes failed; an order counts on the day of its first attempt.",
        back=_ORDER_DAYS, matures=1, kind=KRI, good="down", owner="payments", families=("commerce",), version=2,
    ),
    _metric(
        "refund_by_sale_ratio", _REFUNDED, RATIO,
        "Of the day's sales, the share refunded so far; an order's refunds go to its purchases from the first on.",
        back=_ORDER_DAYS, matures=35, ripens=True, kind=KRI, good="down", owner="finance", families=("commerce",), version=2,
    ),
    _metric(
        "chargeback_ratio", _CHARGEBACKS, RATIO, "Chargebacks ÷ successful payments of thirty days, 1 at most.", back=29,
        kind=KRI, good="down", owner="finance", alert=_ticket(0.009), families=("commerce",), version=2,
    ),
    _metric(
        "revenue_by_currency_minor", _CURRENCIES, MONEY, "Purchases of the day in each currency, in its own minor units.",
        owner="finance", by="currency", families=("commerce",),
    ),
    _metric(
        "revenue_growth_ratio", _growth("toInt64(multiIf(event_name = 'ticket_purchased', 1, -1)) * reporting_minor", _COMMERCE,
        "event_name IN ('ticket_purchased', 'refund_issued', 'chargeback_received') AND reporting_minor IS NOT NULL"), RATIO,
        f"Net revenue ({REPORTING_CURRENCY}) of the month to the day against as many days of the month before.", back=62, kind=KR,
        owner="finance", families=("commerce",), version=2, open_ended=True,
    ),
    _metric(
        "event_creation_growth_ratio", _growth("1", _LISTING, "event_name = 'hosted_event_created'"), RATIO,
        "Hosted events created in the month to the day against as many days of the month before.", back=62, kind=KR,
        owner="hosts", families=("listing",), version=2, open_ended=True,
    ),
    _metric(
        "event_sellout_ratio", of_day_sql("avg(sold_out)", "ends_ms", "NOT cancelled"), RATIO,
        "Hosted events that ended on the day having sold out ÷ those that ended.", back=_EVER, owner="hosts", families=("listing",),
        version=2,
    ),
    _metric(
        "sell_through_ratio",
        of_day_sql(share_sql(f"sum({TAKEN})", "sum(coalesce(places, 0))"), "starts_ms", "NOT cancelled"), RATIO,
        "Places for which a ticket is sold and not given back ÷ places, over hosted events that start on the day.", back=_EVER,
        owner="hosts", families=("listing", "commerce"), version=2,
    ),
    _metric(
        "attendance_ratio", of_day_sql(share_sql(f"sum({CAME})", "sum(kept)"), "starts_ms", "NOT cancelled"), RATIO,
        "Distinct tickets let in ÷ tickets sold and not given back, over hosted events that start on the day.", matures=1,
        back=_EVER, owner="hosts", families=("listing", "commerce", "attendance"), version=2,
    ),
    _metric(
        "no_show_ratio", of_day_sql("1 - " + share_sql(f"sum({CAME})", "sum(kept)"), "starts_ms", "NOT cancelled"), RATIO,
        "Share of those tickets that nobody came with.", back=_EVER, matures=1, good="down", owner="hosts",
        families=("listing", "commerce", "attendance"), version=2,
    ),
    _metric(
        "event_cancellation_ratio", of_day_sql("avg(cancelled)", "starts_ms"), RATIO,
        "Hosted events cancelled ÷ those scheduled to start on the day.", back=_EVER, kind=KRI, good="down", owner="hosts",
        alert=_ticket(0.05), families=("listing",), version=2,
    ),
    _metric(
        "host_dropout_ratio", DROPOUT, RATIO,
        "Of the hosts with a hosted event in the ninety days before the last ninety, the share with none since.", back=_EVER,
        kind=KRI, good="down", owner="hosts", alert=_ticket(0.30), families=("listing",), version=2,
    ),
    _metric(
        "door_occupancy_ratio", OCCUPANCY, RATIO,
        "Tickets inside ÷ places of a hosted event, by each ticket's last scan since its doors opened, before midnight too.",
        back=DOOR_DAYS, version=2, open_ended=True, kind=KRI, good="flat", owner="hosts",
        alert=Alert("1d", "0m", "page", above=1.0), by="hosted_event_id",
        families=("attendance", "listing"),
    ),
    _metric(
        "verified_users_ratio", _VERIFIED, RATIO, "Of the users registered so far, the share that is verified.", back=_EVER,
        kind=KR, families=("account",), version=2,
    ),
    _metric(
        "profile_completion_ratio", _PROFILES, RATIO, "Mean share of required profile fields that are filled.", back=_EVER, kind=KR,
        families=("account",), version=2,
    ),
    _metric(
        "event_rating_shrunk_mean", _SHRUNK, RATING, "Mean rating of a hosted event, drawn to the mean of all by ten ratings.",
        back=_EVER, kind=KR, owner="hosts", by="hosted_event_id", families=("feedback",),
    ),
)  # fmt: skip

COHORTS: dict[str, CohortMetric] = {m.name: m for m in _DECLARED}
