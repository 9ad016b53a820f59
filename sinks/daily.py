"""Who did what on which day: kept by materialised views while rows come in, so that questions read days, not events.

In: the event tables.
Out: DAILY, MATERIALISED.
Never: a sum: greatest and least values come out the same however often a row is inserted.

A day is a calendar day of the reporting zone that stood in the settings when the table was made; another zone needs it made anew.
"""

from dataclasses import dataclass

from schemas.families import FAMILIES
from schemas.hosted import SAID_SQL
from sinks.table import DATABASE, TIME, Column, Table, quoted

#: Stands in migrations for the reporting zone.
ZONE = "{zone}"
_AT = "fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')"
_FLAG = "SimpleAggregateFunction(max, UInt8)"
#: What a row of a family says of its person's day; families that are left out make nobody active.
_SAYS: dict[str, dict[str, str]] = {
    "interaction": {"active": "1"},
    "commerce": {"active": "1", "bought": "event_name = 'ticket_purchased'"},
    "attendance": {"active": "1"},
    "feedback": {"active": "1"},
    "performance": {
        "crashed": "event_name = 'crash'",
        "met_error": "coalesce(status, 200) >= 500 OR error IS NOT NULL",
    },
}
_FLAGS = {
    "active": "1 when there was an interaction, commerce, attendance or feedback record.",
    "bought": "1 when tickets were bought.",
    "crashed": "1 when the app crashed.",
    "met_error": "1 when an operation failed for the person.",
}
_TOUCHED = Column(
    "touched_at",
    "SimpleAggregateFunction(max, DateTime)",
    "Clock of the store at the last change.",
    "DEFAULT now()",
)
_DAY = Column("day", "Date", "Calendar day of the reporting zone.")
_TENANT = Column("tenant_id", "LowCardinality(String)", "Tenant.")
USER_DAYS = Table(
    "user_days",
    "Each person's days: what they did on a calendar day of the reporting zone. Bots are left out. Group or use max(): parts that "
    "are not merged yet hold a day more than once.",
    (
        _TENANT,
        _DAY,
        Column("person", "String", "Pseudonym of the user, else of the visitor who is not signed in."),
        *(Column(name, _FLAG, comment) for name, comment in _FLAGS.items()),
        Column("first_at", f"SimpleAggregateFunction(min, {TIME})", "First record of the day, UTC."),
        Column("last_at", f"SimpleAggregateFunction(max, {TIME})", "Last record of the day, UTC."),
        _TOUCHED,
    ),
    order_by="(tenant_id, day, person)",
    engine="AggregatingMergeTree",
    partition_by="toYYYYMM(day)",
    expires="touched_at",
)


USER_FIRST_DAYS = Table(
    "user_first_days",
    "The first day on which each person was active. Use min(): parts that are not merged yet hold a person more than once.",
    (
        _TENANT,
        Column("person", "String", "Pseudonym of the user, else of the visitor who is not signed in."),
        Column("first_day", "SimpleAggregateFunction(min, Date)", "First active day, of the reporting zone."),
        _TOUCHED,
    ),
    order_by="(tenant_id, person)",
    engine="AggregatingMergeTree",
    expires="touched_at",
)


#: What a listing says of its hosted event's day, and of its host's.
_LISTED = {
    "created": (
        "event_name = 'hosted_event_created'",
        "1 when it was created.",
        "1 when the host created a hosted event.",
    ),
    "cancelled": (
        "event_name = 'hosted_event_cancelled'",
        "1 when it was cancelled.",
        "1 when the host cancelled one.",
    ),
    "sold_out": (
        "event_name = 'hosted_event_sold_out'",
        "1 when it was sold out.",
        "1 when one of the host's was sold out.",
    ),
}
_GREATEST = "SimpleAggregateFunction(max, Nullable(Int64))"
#: What was listed last: of two statements the later has the greater tuple, of two of one moment that of the greater id.
_NEWEST = "SimpleAggregateFunction(max, Tuple(Int64, String, Int64))"
_LATEST = {
    "last_capacity": ("capacity", "places were listed last, epoch milliseconds, by which record, and how many"),
    "last_starts_at": ("starts_at_ms", "a begin was listed last, epoch milliseconds, by which record, and that begin"),
    "last_ends_at": ("ends_at_ms", "an end was listed last, epoch milliseconds, by which record, and that end"),
}
HOSTED_EVENT_DAYS = Table(
    "hosted_event_days",
    "Each hosted event's days: what was listed of it on a calendar day of the reporting zone. Group or use max(): parts that are "
    "not merged yet hold a day more than once.",
    (
        _TENANT,
        Column("hosted_event_id", "String", "Hosted event."),
        _DAY,
        *(Column(name, _FLAG, of_event) for name, (_, of_event, _) in _LISTED.items()),
        Column("capacity", _GREATEST, "Greatest number of places that was listed; last_capacity has the newest."),
        Column("starts_at_ms", _GREATEST, "Greatest begin that was listed, epoch milliseconds; last_starts_at has the newest."),
        Column("ends_at_ms", _GREATEST, "Greatest end that was listed, epoch milliseconds; last_ends_at has the newest."),
        Column(
            "last_host", "SimpleAggregateFunction(max, Tuple(Int64, String))",
            "When a host was listed last, epoch milliseconds, and the host's pseudonym; (0, '') when none was.",
        ),
        _TOUCHED,
        *(Column(name, _NEWEST, f"When {what}; (0, '', 0) when never.") for name, (_, what) in _LATEST.items()),
    ),
    order_by="(tenant_id, hosted_event_id, day)",
    engine="AggregatingMergeTree",
    expires="touched_at",
)  # fmt: skip
HOST_DAYS = Table(
    "host_days",
    "Each host's days: what was listed of their hosted events on a calendar day of the reporting zone. Group or use max(): parts "
    "that are not merged yet hold a day more than once.",
    (
        _TENANT,
        _DAY,
        Column("host_id", "String", "Pseudonym of the host."),
        *(Column(name, _FLAG, of_host) for name, (_, _, of_host) in _LISTED.items()),
        _TOUCHED,
    ),
    order_by="(tenant_id, day, host_id)",
    engine="AggregatingMergeTree",
    partition_by="toYYYYMM(day)",
    expires="touched_at",
)
DAILY = (USER_DAYS, USER_FIRST_DAYS, HOSTED_EVENT_DAYS, HOST_DAYS)


@dataclass(frozen=True)
class Materialised:
    """A view that writes what comes into one table into another."""

    name: str
    source: str
    target: Table
    select: str

    @property
    def _columns(self) -> list[Column]:
        return [c for c in self.target.columns if c.name != "touched_at"]

    @property
    def create(self) -> str:
        """Its statement."""
        columns = ", ".join(f"{c.name} {_plain(c.type)} COMMENT {quoted(c.comment)}" for c in self._columns)
        doc = f"Writes {self.target.name} while rows come into {self.source}; read that table."
        return (
            f"CREATE MATERIALIZED VIEW {DATABASE}.{self.name} TO {DATABASE}.{self.target.name} ({columns}) AS {self.select} "
            f"COMMENT {quoted(doc)}"
        )

    def refill(self, select: str, rows: str) -> str:
        """The statement that takes rows of its source in again, which is harmless.

        `select` is the view's own query as the store holds it, with the zone that it was made with; `rows` an SQL predicate.
        """
        names = ", ".join(c.name for c in self._columns)
        only = "{" + f"{quoted(f'{DATABASE}.{self.source}')}: {quoted(rows)}" + "}"
        return (
            f"INSERT INTO {DATABASE}.{self.target.name} ({names}) SELECT {names} FROM ({select}) "
            f"SETTINGS additional_table_filters = {only}"
        )

    @property
    def fill(self) -> str:
        """The statement that takes in what its source held before."""
        names = ", ".join(c.name for c in self._columns)
        return f"INSERT INTO {DATABASE}.{self.target.name} ({names}) {self.select}"


def _plain(kind: str) -> str:
    """The type of a value, without the function that merges it."""
    return kind.partition(", ")[2].removesuffix(")") if kind.startswith("Simple") else kind


_OF_DAY = f"toDate({_AT}, '{ZONE}') AS day"


def _user_days(family: str) -> Materialised:
    says = _SAYS[family]
    flags = ", ".join(
        f"max(toUInt8({says[name]})) AS {name}" if name in says else f"toUInt8(0) AS {name}" for name in _FLAGS
    )
    return Materialised(
        f"user_days_of_{family}",
        f"events_{family}",
        USER_DAYS,
        f"SELECT tenant_id, {_OF_DAY}, assumeNotNull(coalesce(user_id, anonymous_id)) AS person, {flags}, "
        f"min({_AT}) AS first_at, max({_AT}) AS last_at FROM {DATABASE}.events_{family} "
        "WHERE _excluded = '' AND NOT automatic AND coalesce(user_id, anonymous_id) IS NOT NULL GROUP BY tenant_id, day, person",
    )


_FIRST_DAYS = Materialised(
    "user_first_days_of_user_days",
    USER_DAYS.name,
    USER_FIRST_DAYS,
    f"SELECT tenant_id, person, min(day) AS first_day FROM {DATABASE}.user_days WHERE active = 1 GROUP BY tenant_id, person",
)
_SAID = ", ".join(f"max(toUInt8({says})) AS {name}" for name, (says, *_) in _LISTED.items())
_NEWEST_SQL = ", ".join(
    f"max(if(events_listing.{column} IS NULL, (toInt64(0), '', toInt64(0)), "
    f"tupleConcat({SAID_SQL}, tuple(assumeNotNull(events_listing.{column}))))) AS {name}"
    for name, (column, _) in _LATEST.items()
)
_LISTINGS = (
    Materialised(
        "hosted_event_days_of_listing",
        "events_listing",
        HOSTED_EVENT_DAYS,
        f"SELECT tenant_id, assumeNotNull(hosted_event_id) AS hosted_event_id, {_OF_DAY}, {_SAID}, max(capacity) AS capacity, "
        "max(starts_at_ms) AS starts_at_ms, max(ends_at_ms) AS ends_at_ms, "
        f"max(if(host_id IS NULL, (toInt64(0), ''), (occurred_at_ms, assumeNotNull(host_id)))) AS last_host, {_NEWEST_SQL} "
        f"FROM {DATABASE}.events_listing WHERE _excluded = '' AND events_listing.hosted_event_id IS NOT NULL "
        "GROUP BY tenant_id, hosted_event_id, day",
    ),
    Materialised(
        "host_days_of_listing",
        "events_listing",
        HOST_DAYS,
        f"SELECT tenant_id, {_OF_DAY}, assumeNotNull(host_id) AS host_id, {_SAID} FROM {DATABASE}.events_listing "
        "WHERE _excluded = '' AND events_listing.host_id IS NOT NULL GROUP BY tenant_id, day, host_id",
    ),
)
_USER_DAYS = tuple(_user_days(family) for family in FAMILIES if family in _SAYS)
MATERIALISED: tuple[Materialised, ...] = (*_USER_DAYS, _FIRST_DAYS, *_LISTINGS)


def main() -> None:
    """Print the statements, to start a migration from."""
    from sinks.ddl import create_sql

    # What fills people's days passes on to their first days.
    statements = [
        *map(create_sql, DAILY),
        *(m.create for m in MATERIALISED),
        *(m.fill for m in (*_USER_DAYS, *_LISTINGS)),
    ]
    print("\n;\n\n".join(statements) + "\n;")


if __name__ == "__main__":
    main()
