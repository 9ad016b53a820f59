"""The views that analysts use, as data.

In: the tables.
Out: VIEWS; every migration writes them anew, since they hold nothing.
Never: an answer that depends on which parts the engine has merged so far.
"""

from schemas.identity import LATE_SQL
from schemas.money import REPORTING_CURRENCY
from schemas.sentiment import NEGATIVE_MILLI, POSITIVE_MILLI
from sinks.analyst_views import ANALYST_VIEWS
from sinks.table import DATABASE, SEQUENCES
from sinks.tables import KPI_POINTS, TABLES
from sinks.trust_views import CONSERVATION, LOST_SQL, PLATFORM, RESTATEMENTS
from sinks.view import View

_POINT = {c.name: c.comment for c in KPI_POINTS.columns if not c.name.startswith("_") and c.name != "version"}
_KEY = ("tenant_id", "kpi", "window", "by", "window_start")


def _newest(keys: tuple[str, ...], order: str, where: str = "true") -> str:
    """One row per key: the one with the greatest `order`. By a tuple, since argMax alone passes over a null value."""
    rest = [name for name in _POINT if name not in keys]
    picked = [name if name in keys else f"tupleElement(newest, {rest.index(name) + 1}) AS {name}" for name in _POINT]
    return (
        f"SELECT {', '.join(picked)} FROM (SELECT {', '.join(keys)}, argMax(tuple({', '.join(rest)}), {order}) AS newest "
        f"FROM {DATABASE}.kpi_points WHERE {where} GROUP BY {', '.join(keys)})"
    )


KPI_VIEWS = (
    View(
        "kpi_history",
        "The newest value of each window of each KPI: final before open, then the greatest revision.",
        _POINT,
        _newest(_KEY, "(final, revision, version, _offset)"),
    ),
    View(
        "kpi_latest",
        "The newest window of each KPI with its newest value.",
        _POINT,
        _newest(("tenant_id", "kpi", "window", "by"), "(window_start, final, revision, version, _offset)"),
    ),
    View(
        "kpi_revisions",
        "Every final value that a window has had, oldest first: what changed, when and why.",
        _POINT,
        _newest((*_KEY, "revision"), "(version, _offset)", "final")
        + " ORDER BY tenant_id, kpi, window, by, window_start, revision",
    ),
)

_SEEN = f"SELECT source, producer_id, max(sequence) AS greatest FROM {SEQUENCES} GROUP BY source, producer_id"
_REPORTED = f"""
SELECT source, producer_id, toUInt64(max(last_sequence)) AS accepted, toUInt64(max(failed)) AS gone,
    max(arraySum(arrayMap(t -> if(t.1 = 'OPTED_OUT', 0, t.2), JSONExtractKeysAndValues(refused, 'UInt64')))) AS unnumbered
FROM {DATABASE}.producer_reports GROUP BY source, producer_id
"""
_KINDS = ("stored", "duplicates", "redelivered", "collisions", "dead_lettered", "unclaimed", "excluded", "withheld")
_COUNTED = " UNION ALL ".join(
    f"SELECT source, '{kind}' AS kind, amount FROM {DATABASE}.batches "
    f"ARRAY JOIN mapKeys({kind}) AS source, mapValues({kind}) AS amount WHERE startsWith(topic, 'events.')"
    for kind in _KINDS
)
_LEDGER = f"""
SELECT source, toInt64(sum(published)) AS published, toInt64(sum(stored) - sum(lost)) AS stored,
    toInt64(sum(dead_lettered)) AS dead_lettered, toInt64(sum(dropped) + sum(withheld)) AS dropped,
    toInt64(sum(duplicates)) AS duplicates,
    toInt64(sum(unconfirmed) + sum(unclaimed)) AS unconfirmed,
    toInt64(sum(redelivered)) AS redelivered, toInt64(sum(collisions)) AS collisions, toInt64(sum(excluded)) AS excluded,
    toInt64(sum(unnumbered)) AS refused,
    published + unconfirmed - stored - dead_lettered - dropped - duplicates AS missing
FROM
(
    SELECT source, accepted AS published, gone AS dropped, greatest(seen, accepted) - accepted AS unconfirmed,
        {", ".join(f"0 AS {k}" for k in _KINDS)}, 0 AS lost, unnumbered
    FROM
    (
        SELECT source, producer_id, max(accepted) AS accepted, max(gone) AS gone, max(seen) AS seen,
            max(unnumbered) AS unnumbered FROM
        (
            SELECT source, producer_id, accepted, gone, 0 AS seen, unnumbered FROM ({_REPORTED})
            UNION ALL
            SELECT source, producer_id, 0, 0, greatest, 0 FROM ({_SEEN})
        )
        GROUP BY source, producer_id
    )
    UNION ALL
    SELECT source, 0, 0, 0, {", ".join(f"if(kind = '{k}', amount, 0)" for k in _KINDS)}, 0, 0 FROM ({_COUNTED})
    UNION ALL
    SELECT source, 0, 0, 0, {", ".join("0" for _ in _KINDS)}, lost, 0 FROM ({LOST_SQL})
)
GROUP BY source
ORDER BY source
"""
LEDGER = View(
    "ledger",
    "What became of every record that was published, by source. gap = missing - in_flight, the latter from Kafka's ends.",
    {
        "source": "Service or file that published.",
        "published": "Records that its producers reported as accepted.",
        "stored": "Rows in the events tables; rows that were written and are there no more do not count.",
        "dead_lettered": "Records that could not be decoded or are not valid.",
        "dropped": "Records that producers gave up after they had numbered them, and records of people who opted out.",
        "duplicates": "Repeats of a message_id that were kept out.",
        "unconfirmed": "Records beyond what their producer last reported, and dead letters that no producer claims.",
        "redelivered": "Copies of one record that a producer sent twice; not in published.",
        "collisions": "Events lost, since another event had their id; part of duplicates and redelivered.",
        "excluded": "Rows stored that count in no figure, late or future; part of stored.",
        "refused": "Events that producers refused as they were handed over, with a reason and without a number; not in published.",
        "missing": "published + unconfirmed - stored - dead_lettered - dropped - duplicates; the rest is on its way or lost.",
    },
    _LEDGER,
)

_COMMENTS = {f"{table.name}.{column.name}": column.comment for table in TABLES.values() for column in table.columns}


def _plain(name: str, family: str, doc: str, columns: str, where: str) -> View:
    """Rows of one kind that count, with the columns that matter for it."""
    names = columns.split()
    table = f"events_{family}"
    return View(
        name,
        doc + " Rows that count in no figure are left out.",
        {n: _COMMENTS[f"{table}.{n}"] for n in names},
        f"SELECT {', '.join(names)} FROM {DATABASE}.{table} WHERE _excluded = '' AND ({where})",
    )


_WHO = "tenant_id occurred_at user_id anonymous_id"
_PEOPLE = " UNION ALL ".join(
    f"SELECT tenant_id, toDate(occurred_at) AS day, coalesce(user_id, anonymous_id) AS person, automatic "
    f"FROM {DATABASE}.events_{family} WHERE _excluded = ''"
    for family in ("interaction", "commerce", "attendance", "feedback")
)
_SUMS = {"gross": "ticket_purchased", "refunded": "refund_issued", "charged_back": "chargeback_received"}
FRIENDLY = (
    _plain(
        "page_views", "interaction", "Pages that people and machines saw.",
        f"{_WHO} session_id url path title referrer device browser os city country campaign automatic source message_id",
        "event_name = 'page_view'",
    ),
    _plain(
        "purchases", "commerce", "Purchases of tickets.",
        f"{_WHO} order_id payment_id hosted_event_id ticket_id quantity amount_minor currency reporting_minor city message_id",
        "event_name = 'ticket_purchased'",
    ),
    _plain(
        "payments", "commerce", "Payments attempted, authorised and failed.",
        f"{_WHO} event_name order_id payment_id amount_minor currency reporting_minor reason source message_id",
        "event_name IN ('payment_attempted', 'payment_authorised', 'payment_failed')",
    ),
    _plain(
        "ratings", "feedback", "Ratings of hosted events.",
        f"{_WHO} hosted_event_id rating nps text sentiment_milli source message_id", "true"
    ),
    View(
        "sentiments",
        "How texts of feedback sound.",
        {
            "tenant_id": "Tenant.", "message_id": "Id of the feedback.", "occurred_at": "When it was given, UTC.",
            "hosted_event_id": "Hosted event that it is about.", "rating": "Rating beside the text, 1 to 5.",
            "score": "Sentiment by VADER, -1 to 1.",
            "label": "negative, neutral or positive, by the thresholds of VADER's authors.",
        },
        "SELECT tenant_id, message_id, occurred_at, hosted_event_id, rating, sentiment_milli / 1000 AS score, "
        f"multiIf(sentiment_milli <= {NEGATIVE_MILLI}, 'negative', sentiment_milli >= {POSITIVE_MILLI}, 'positive', 'neutral') "
        f"AS label FROM {DATABASE}.events_feedback WHERE _excluded = '' AND sentiment_milli IS NOT NULL",
    ),
    _plain(
        "api_requests", "performance", "Timed operations.",
        "tenant_id occurred_at component operation response_time_ms status error memory_mb source message_id",
        "event_name = 'operation_timed'",
    ),
    View(
        "users_by_day",
        "Distinct people per day (UTC), bots left out.",
        {"tenant_id": "Tenant.", "day": "Day, UTC.", "users": "Distinct people."},
        f"SELECT tenant_id, day, uniqExact(person) AS users FROM ({_PEOPLE}) WHERE NOT automatic AND person IS NOT NULL "
        "GROUP BY tenant_id, day",
    ),
    View(
        "revenue_by_day",
        f"Revenue per day (UTC) in minor units of {REPORTING_CURRENCY}.",
        {
            "tenant_id": "Tenant.", "day": "Day, UTC.", "tickets": "Tickets in purchases.", "gross_minor": "Purchases.",
            "refunded_minor": "Refunds, by refund date.", "charged_back_minor": "Chargebacks, by their date.",
            "net_minor": "Gross less refunds and chargebacks.", "unrated": "Rows whose currency has no rate; they are in no sum.",
        },
        "SELECT tenant_id, toDate(occurred_at) AS day, sumIf(quantity, event_name = 'ticket_purchased') AS tickets, "
        + ", ".join(f"sumIf(reporting_minor, event_name = '{name}') AS {what}_minor" for what, name in _SUMS.items())
        + ", coalesce(gross_minor, 0) - coalesce(refunded_minor, 0) - coalesce(charged_back_minor, 0) AS net_minor, "
        f"countIf(reporting_minor IS NULL AND amount_minor IS NOT NULL AND event_name IN {tuple(_SUMS.values())}) AS unrated "
        f"FROM {DATABASE}.events_commerce WHERE _excluded = '' GROUP BY tenant_id, day",
    ),
    View(
        "lateness_by_day",
        "How many rows came late, per family and day (UTC).",
        {"family": "Event family.", "day": "Day, UTC.", "rows": "Rows that count.", "late": "Rows that came late."},
        " UNION ALL ".join(
            f"SELECT '{t.name.removeprefix('events_')}' AS family, toDate(occurred_at) AS day, count() AS rows, "
            f"countIf({LATE_SQL}) AS late FROM {DATABASE}.{t.name} WHERE _excluded = '' GROUP BY day"
            for t in TABLES.values() if t.name.startswith("events_")
        ),
    ),
)  # fmt: skip
VIEWS: dict[str, View] = {
    view.name: view for view in (*KPI_VIEWS, RESTATEMENTS, PLATFORM, LEDGER, CONSERVATION, *FRIENDLY, *ANALYST_VIEWS)
}
