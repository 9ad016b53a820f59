"""Sessions of people as SQL over the events: a function of the rows, whatever the order in which they came.

In: a condition on the rows.
Out: a query.
Never: a bot's record, or a session that is cut at midnight: it counts where it began.

Records of a person no more than 30 minutes apart are one visit; after 24 hours from a visit's first record a new session begins.
"""

DATABASE = "footlights"
#: A break of 30 minutes ends a session, and so does its 24th hour.
IDLE_S, CAP_S = 1_800, 86_400
#: A round over people's records looks back so far behind the one before: inserts and clocks are not of one moment.
ROUND_OVERLAP_S = 60
#: A complete round has seen what the store got so long before it. It is shorter: `touched_at` is set at the end of an insert and
#: `_inserted_at` at its begin, and rounds, which look at the one, must go on until the other is old enough.
ROUND_SEEN_S = 30
#: Clock of the store, epoch milliseconds, at the last round that was complete; 0 before the first.
NOTED_SQL = f"SELECT toUnixTimestamp64Milli(max(ended_at)) FROM {DATABASE}.session_versions WHERE tenant_id = '' AND person = ''"
#: Who a record of a person is of.
PERSON = "coalesce(user_id, anonymous_id)"


def records_sql(where: str) -> str:
    """Records that make sessions, by a condition on the rows: tenant_id, person, occurred_at, event_name, crash."""
    return " UNION ALL ".join(
        f"SELECT tenant_id, {PERSON} AS person, occurred_at, event_name, {crash} AS crash "
        f"FROM {DATABASE}.events_{family} WHERE _excluded = '' AND NOT automatic AND {PERSON} IS NOT NULL "
        f"AND {where}"
        for family, crash in (
            ("interaction", "0"), ("commerce", "0"), ("attendance", "0"), ("feedback", "0"),
            ("performance", "event_name = 'crash'"),
        )
    )  # fmt: skip


def sessions_sql(where: str) -> str:
    """Sessions of the people's records that a condition on tenant_id, PERSON and occurred_at chooses.

    Columns: tenant_id, person, started_at, ended_at, run_started_at, length_s, records, page_views, purchases, crashes, engaged. An
    unbroken run of records, which begins at `run_started_at`, is cut every 24 hours.
    """
    begins = (
        "SELECT *, toUInt8(row_number() OVER w = 1 OR dateDiff('millisecond', lagInFrame(occurred_at) OVER w, occurred_at) > "
        f"{IDLE_S * 1000}) AS starts FROM ({records_sql(where)}) "
        "WINDOW w AS (PARTITION BY tenant_id, person ORDER BY occurred_at ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
    )
    # Of records of one millisecond the one that begins a visit comes first, or the others would belong to the visit before.
    runs = (
        "SELECT *, sum(starts) OVER (PARTITION BY tenant_id, person ORDER BY occurred_at, starts DESC ROWS UNBOUNDED PRECEDING) "
        f"AS run FROM ({begins})"
    )
    cut = (
        "SELECT *, min(occurred_at) OVER (PARTITION BY tenant_id, person, run) AS run_started_at, "
        f"intDiv(dateDiff('second', run_started_at, occurred_at), {CAP_S}) AS piece FROM ({runs})"
    )
    return (
        "SELECT tenant_id, person, min(occurred_at) AS started_at, max(occurred_at) AS ended_at, "
        "any(cut.run_started_at) AS run_started_at, "
        "dateDiff('millisecond', started_at, ended_at) / 1000 AS length_s, count() AS records, "
        "countIf(event_name = 'page_view') AS page_views, countIf(event_name = 'ticket_purchased') AS purchases, "
        "sum(crash) AS crashes, length_s > 10 OR page_views >= 2 OR purchases > 0 AS engaged "
        f"FROM ({cut}) AS cut GROUP BY tenant_id, person, run, piece"
    )
