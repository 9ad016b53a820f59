"""Published sessions against those that the records tell now.

In: the store; a span of time.
Out: comparisons, in a VerifyResult; their value is the number of records, and what else a session says counts as well.
Never: a person with a record that no complete round has seen yet: their sessions follow a round later.
"""

from infra.verify.cells import Store
from infra.verify.result import Difference, VerifyResult
from schemas.sessions import NOTED_SQL, PERSON, ROUND_SEEN_S, sessions_sql

RECORDS = "SELECT sum(records) FROM footlights.sessions"
COMPARED = """
SELECT tenant_id, person, start_ms, told, found, told_all = found_all FROM (
    SELECT tenant_id, person, toUnixTimestamp64Milli(started_at) AS start_ms,
        sumIf(records, side = 1) AS told, sumIf(records, side = 2) AS found,
        groupArrayIf(state, side = 1) AS told_all, groupArrayIf(state, side = 2) AS found_all
    FROM (
        SELECT tenant_id, person, started_at, records, {state} AS state, 1 AS side FROM footlights.sessions WHERE {whose} AND {span}
        UNION ALL
        SELECT tenant_id, person, started_at, records, {state} AS state, 2 AS side FROM ({sessions}) WHERE {span}
    )
    GROUP BY tenant_id, person, started_at
)
"""
_STATE = "(ended_at, run_started_at, records, page_views, purchases, crashes)"
RECORDS_AT_ONCE = 2_000_000
#: The newest record of each person that the store got before the last complete round.
_SEEN = """(tenant_id, assumeNotNull({person})) IN (
    SELECT tenant_id, person FROM footlights.user_days WHERE cityHash64(person) % {parts} = {part}
    GROUP BY tenant_id, person HAVING max(touched_at) < toDateTime({seen_s}))"""


def verify_sessions(
    store: Store, result: VerifyResult, *, from_ms: int | None, to_ms: int | None, cutoff_ms: int
) -> None:
    """Add every session to the result, some people at a time; none before the first complete round."""
    [(noted_ms,)] = store.rows(NOTED_SQL)
    if not noted_ms:
        return
    [(records,)] = store.rows(RECORDS)
    span = f"run_started_at >= fromUnixTimestamp64Milli({max(0, cutoff_ms, from_ms or 0)})"
    if to_ms is not None:
        span += f" AND ended_at <= fromUnixTimestamp64Milli({to_ms})"
    parts = int(records) // RECORDS_AT_ONCE + 1
    for part in range(parts):
        seen = {"parts": parts, "part": part, "seen_s": noted_ms // 1000 - ROUND_SEEN_S}
        sql = COMPARED.format(
            state=_STATE, span=span, whose=_SEEN.format(person="person", **seen),
            sessions=sessions_sql(_SEEN.format(person=PERSON, **seen)),
        )  # fmt: skip
        for tenant, person, start_ms, told, found, same in store.rows(sql):
            result.compared += 1
            result.sessions += 1
            result.equal += bool(same)
            if not same:
                result.different.append(Difference(tenant, "session", "", person, start_ms, told, found))
