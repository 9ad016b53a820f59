"""Brings the store's tables up to date: forward only, each file once, one migrator at a time.

In: a clickhouse-connect client with the right to create.
Out: the names of the migrations that were applied now; views, definitions and retention as declared.
Never: an applied file that changed unseen, or two migrators at work.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import structlog

from schemas.metric_catalogue import METRICS
from sinks.daily import ZONE
from sinks.ddl import RETENTION, create_sql, ttl_sql, view_sql
from sinks.errors import MigrationError
from sinks.table import DATABASE, quoted
from sinks.tables import MIGRATIONS, REPORTING_COLUMN, TABLES
from sinks.trust_views import PLATFORM
from sinks.views import VIEWS

log = structlog.get_logger(__name__)

LOCK = f"{DATABASE}.migration_lock"
LOCK_EXPIRES_S = 60
_WAIT_S = 0.2
_ALREADY_EXISTS = "Code: 57"


class Client(Protocol):
    """What a migration asks of a client of clickhouse-connect."""

    def command(self, cmd: str) -> Any:
        """Run a statement."""
        ...

    def query(self, query: str) -> Any:
        """Run a query; the answer has `result_rows`."""
        ...


@dataclass(frozen=True)
class Migration:
    """A numbered file of statements, each ended by a line with a semicolon alone."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """The statements in order."""
        return [s.strip() for s in f"\n{self.text}\n".split("\n;\n") if s.strip()]


def migrations() -> list[Migration]:
    """The files of this package in the order of their numbers."""
    folder = files(__package__).joinpath("migrations")
    names = sorted(p.name for p in folder.iterdir() if p.name.endswith(".sql"))
    return [Migration(name, folder.joinpath(name).read_text()) for name in names]


def migrate(
    client: Client, retention_days: int = 365, *, zone: str = "UTC", available: list[Migration] | None = None
) -> list[str]:
    """Apply what is missing, in order, and bring views, definitions and retention to what is declared.

    `zone` is the reporting zone of the daily tables; it stays what it was when their migration was applied.

    Raises
    ------
    MigrationError
        When an applied file has changed or is gone, the store's days are of another zone, or another migrator holds the lock for a
        minute.
    """
    wanted = migrations() if available is None else available
    client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
    with _lock(client):
        client.command(create_sql(MIGRATIONS).replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1))
        applied = dict(client.query(f"SELECT name, checksum FROM {DATABASE}.migrations").result_rows)
        _check(applied, wanted)
        _check_zone(client, ZoneInfo(zone).key)
        done = [m for m in wanted if m.name not in applied]
        for migration in done:
            for statement in migration.statements:
                # A migration that was interrupted is applied again from its start.
                again = statement
                for kind in ("CREATE TABLE ", "CREATE MATERIALIZED VIEW "):
                    again = again.replace(kind, f"{kind}IF NOT EXISTS ", 1)
                client.command(again.replace(RETENTION, str(int(retention_days))).replace(ZONE, ZoneInfo(zone).key))
            client.command(
                f"INSERT INTO {DATABASE}.migrations (name, checksum) "
                f"VALUES ({quoted(migration.name)}, {quoted(migration.checksum)})"
            )
            log.info("migration_applied", name=migration.name)
        _declare(client, int(retention_days), ZoneInfo(zone).key)
    return [m.name for m in done]


def _check(applied: dict[str, str], wanted: list[Migration]) -> None:
    by_name = {m.name: m for m in wanted}
    for name, checksum in sorted(applied.items()):
        if name not in by_name:
            raise MigrationError(f"Migration {name} was applied by a newer release; run that release or a later one.")
        if by_name[name].checksum != checksum:
            raise MigrationError(
                f"Migration {name} has changed since it was applied; restore the file and put the change into a new migration."
            )
    newest = max(applied, default="")
    if skipped := [m.name for m in wanted if m.name not in applied and m.name < newest]:
        raise MigrationError(
            f"Migration {skipped[0]} comes before {newest}, which is applied; give it a greater number."
        )


def reporting_zone(client: Client) -> str | None:
    """Time zone of the store's calendar days; None before its views were ever written."""
    there = client.query(
        f"SELECT count() FROM system.tables WHERE database = '{DATABASE}' AND name = '{PLATFORM.name}'"
    ).result_rows[0][0]
    if not there:
        return None
    return str(client.query(f"SELECT reporting_zone FROM {DATABASE}.{PLATFORM.name}").result_rows[0][0])


def _check_zone(client: Client, wanted: str) -> None:
    held = reporting_zone(client)
    if held is not None and held != wanted:
        raise MigrationError(
            f"The calendar days of this store are of the zone {held}, and FOOTLIGHTS_REPORTING_ZONE is {wanted}: set it to {held}, "
            "or begin a new store and replay the events into it."
        )


def _declare(client: Client, retention_days: int, zone: str) -> None:
    """Whatever holds no data is written anew, so that it follows its declaration."""
    for table in TABLES.values():
        if table.expires is not None and table.retention_days is None:
            _retain(client, table.name, ttl_sql(table, str(retention_days)))
    commerce = f"{DATABASE}.events_commerce"
    client.command(
        f"ALTER TABLE {commerce} MODIFY COLUMN {REPORTING_COLUMN.name} {REPORTING_COLUMN.type} {REPORTING_COLUMN.default}"
    )
    for view in VIEWS.values():
        select = view.select.replace(RETENTION, str(retention_days)).replace(ZONE, zone)
        types = {row[0]: row[1] for row in client.query(f"DESCRIBE TABLE ({select})").result_rows}
        columns = [(name, types[name], comment) for name, comment in view.comments.items()]
        client.command(view_sql(view.name, view.doc, columns, select))
    client.command(_definitions_sql())


def _retain(client: Client, table: str, ttl: str) -> None:
    """Set a table's time to live, when it differs; the change reaches old rows by ordinary merges."""
    found = client.query(
        f"SELECT engine_full FROM system.tables WHERE database = '{DATABASE}' AND name = '{table}'"
    ).result_rows
    days = ttl.split("INTERVAL ")[1].split(" ", maxsplit=1)[0]
    if f"toIntervalDay({days})" not in found[0][0]:
        client.command(f"ALTER TABLE {DATABASE}.{table} MODIFY TTL {ttl} SETTINGS materialize_ttl_after_modify = 0")


def _definitions_sql() -> str:
    rows = []
    for kpi in METRICS.values():
        windows = ", ".join(quoted(w) for w in kpi.windows)
        by = ", ".join(quoted(",".join(d)) for d in kpi.by)
        families = ", ".join(quoted(f) for f in kpi.families)
        texts = ", ".join(quoted(t) for t in (kpi.definition, kpi.unit, kpi.kind, kpi.help))
        tail = f"{quoted(kpi.good)}, {quoted(kpi.owner)}, [{families}]"
        rows.append(f"({quoted(kpi.name)}, {kpi.version}, {texts}, [{windows}], [{by}], {tail})")
    columns = "kpi, version, formula, unit, kind, help, windows, by, good, owner, families"
    return f"INSERT INTO {DATABASE}.metric_definitions ({columns}) VALUES {', '.join(rows)}"


@contextmanager
def _lock(client: Client) -> Iterator[None]:
    """Hold the lock: a table, since to create one either succeeds or says that it exists already."""
    deadline = time.monotonic() + LOCK_EXPIRES_S + 10
    while True:
        try:
            client.command(
                f"CREATE TABLE {LOCK} (held UInt8 COMMENT 'Always empty.') ENGINE = Memory COMMENT 'A migrator is at work.'"
            )
            break
        except Exception as problem:  # each client has error classes of its own; the code tells
            if _ALREADY_EXISTS not in str(problem) and "TABLE_ALREADY_EXISTS" not in str(problem):
                raise
        # A migrator that was killed leaves its lock behind.
        stale = client.query(
            f"SELECT count() FROM system.tables WHERE database = '{DATABASE}' AND name = 'migration_lock' "
            f"AND metadata_modification_time < now() - INTERVAL {LOCK_EXPIRES_S} SECOND"
        ).result_rows[0][0]
        if stale:
            client.command(f"DROP TABLE IF EXISTS {LOCK} SYNC")
        elif time.monotonic() > deadline:
            raise MigrationError(f"Another migrator holds {LOCK}; wait for it, or drop that table when there is none.")
        else:
            time.sleep(_WAIT_S)
    try:
        yield
    finally:
        client.command(f"DROP TABLE IF EXISTS {LOCK} SYNC")
