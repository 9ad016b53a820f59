"""The tables that the migrations make are the tables that are declared."""

import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.hosted import LISTED
from schemas.metric_catalogue import METRICS
from sinks.daily import MATERIALISED
from sinks.errors import MigrationError
from sinks.migrate import LOCK, Migration, migrate, migrations, reporting_zone
from sinks.table import DATABASE
from sinks.tables import TABLES
from sinks.views import VIEWS
from tests.catalogue.test_cohorts import row

pytestmark = pytest.mark.clickhouse


def rows(store: Any, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in store.query(sql).result_rows]


def test_days_of_another_zone_are_refused(store: Any) -> None:
    migrate(store)
    assert reporting_zone(store) == "UTC"
    with pytest.raises(MigrationError, match="of the zone UTC, and FOOTLIGHTS_REPORTING_ZONE is Asia/Kolkata"):
        migrate(store, zone="Asia/Kolkata")
    assert reporting_zone(store) == "UTC"


def test_a_second_run_applies_nothing(store: Any) -> None:
    assert migrate(store) == []
    assert len(rows(store, "SELECT DISTINCT kpi FROM footlights.metric_definitions")) == len(METRICS)
    assert rows(store, f"EXISTS TABLE {LOCK}") == [(0,)]


def test_every_column_of_every_table_and_view_has_a_comment(store: Any) -> None:
    found = rows(store, f"SELECT table, name, comment FROM system.columns WHERE database = '{DATABASE}'")
    assert {table for table, _, _ in found} == {*TABLES, *VIEWS, *(m.name for m in MATERIALISED)}
    assert [(table, name) for table, name, comment in found if len(comment) < 4] == []
    described = rows(store, f"SELECT name, comment FROM system.tables WHERE database = '{DATABASE}'")
    assert [name for name, comment in described if not comment] == []


@pytest.mark.parametrize("name", sorted(TABLES))
def test_the_migrations_make_what_is_declared(store: Any, name: str) -> None:
    found = rows(
        store,
        f"SELECT name, type, comment, default_kind FROM system.columns WHERE database = '{DATABASE}' AND table = '{name}' "
        "ORDER BY position",
    )
    declared = [(c.name, c.type, c.comment, c.default.split(" ")[0]) for c in TABLES[name].columns]
    assert found == declared
    [(key, partition)] = rows(
        store, f"SELECT sorting_key, partition_key FROM system.tables WHERE database = '{DATABASE}' AND name = '{name}'"
    )
    assert key == TABLES[name].order_by.strip("()") if "toStartOfHour" not in key else key in TABLES[name].order_by
    assert partition == TABLES[name].partition_by


def test_a_changed_file_is_refused(store: Any) -> None:
    changed = [Migration(m.name, m.text + "\n-- changed") for m in migrations()]
    with pytest.raises(MigrationError, match="has changed since it was applied"):
        migrate(store, available=changed)


def test_a_file_with_a_smaller_number_than_an_applied_one_is_refused(store: Any) -> None:
    with pytest.raises(MigrationError, match="greater number"):
        migrate(store, available=[Migration("0000_early.sql", "SELECT 1"), *migrations()])


def test_an_older_release_does_not_touch_a_newer_store(store: Any) -> None:
    with pytest.raises(MigrationError, match="newer release"):
        migrate(store, available=[])


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Asia/Kolkata", "UTC", "America/New_York", "Etc/GMT+12"])
def test_a_day_has_the_name_that_it_has_in_the_reporting_zone(store: Any, zone: str) -> None:
    store.command("DROP VIEW footlights.platform_settings")  # only this view of days is looked at: any zone will do
    migrate(store, zone=zone)
    start = datetime(2026, 3, 8, tzinfo=ZoneInfo(zone))  # in New York a day of 23 hours
    store.command(
        "INSERT INTO footlights.kpi_points (tenant_id, kpi, window, by, window_start, window_end, value, revision, final, rows) "
        f"VALUES ({zone!r}, 'page_views', '1d', '', fromUnixTimestamp64Milli({int(start.timestamp() * 1000)}), "
        f"fromUnixTimestamp64Milli({int((start + timedelta(days=1)).timestamp() * 1000)}), 5, 0, true, 5)"
    )
    assert rows(store, f"SELECT day FROM footlights.kpi_daily WHERE tenant_id = {zone!r}") == [(start.date(),)]
    store.command("DROP VIEW footlights.platform_settings")
    migrate(store)


def test_retention_follows_the_setting(store: Any) -> None:
    def kept() -> set[str]:
        found = rows(
            store, f"SELECT engine_full FROM system.tables WHERE database = '{DATABASE}' AND name LIKE 'events_%'"
        )
        return {text.split("toIntervalDay(")[1].split(")")[0] for (text,) in found}

    migrate(store, 30)
    assert kept() == {"30"}
    migrate(store, 365)
    assert kept() == {"365"}


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_every_view_answers(store: Any, name: str) -> None:
    columns = [row[0] for row in rows(store, f"DESCRIBE TABLE {DATABASE}.{name}")]
    assert columns == list(VIEWS[name].comments)
    rows(store, f"SELECT * FROM {DATABASE}.{name}")


def _listed(event: str, at_ms: int, places: int | None, starts_ms: int | None) -> dict[str, Any]:
    return row("listing", "hosted_event_created", None, (0, 0, 0), at_ms % 10**6, {
        "hosted_event_id": event, "occurred_at_ms": at_ms, "received_at_ms": at_ms, "capacity": places, "starts_at_ms": starts_ms,
    })  # fmt: skip


def test_a_store_of_before_gets_what_was_listed_last(store: Any) -> None:
    """Rows whose events have expired keep the greatest of their day; of all others the newest counts."""
    table, view = f"{DATABASE}.hosted_event_days", f"{DATABASE}.hosted_event_days_of_listing"
    store.command(f"TRUNCATE TABLE {DATABASE}.events_listing")
    store.command(f"TRUNCATE TABLE {table}")
    store.command(f"DROP VIEW {view}")
    for column in ("last_capacity", "last_starts_at", "last_ends_at"):
        store.command(f"ALTER TABLE {table} DROP COLUMN {column}")
    [before] = [m for m in migrations() if m.name == "0010_hosted_event_days.sql"]
    [made] = [s for s in before.statements if s.startswith(f"CREATE MATERIALIZED VIEW {view} ")]
    store.command(made.replace("{zone}", "UTC"))
    day, noon = 86_400_000, 1_760_011_200_000 + 43_200_000
    said = [
        _listed("changed", noon, 9, noon + 9 * day), _listed("changed", noon + 60_000, 4, noon + 5 * day),
        _listed("changed", noon + day, None, None),
        _listed("expired", noon, 9, noon + 9 * day), _listed("expired", noon + day, 4, noon + 5 * day),
        _listed("half", noon, 9, None), _listed("half", noon + day, 4, None), _listed("half", noon + day + 1, 3, None),
    ]  # fmt: skip
    store.raw_insert(
        f"{DATABASE}.events_listing",
        column_names=list(said[0]),
        insert_block="\n".join(map(json.dumps, said)),
        fmt="JSONEachRow",
    )
    gone = f"hosted_event_id = 'expired' OR hosted_event_id = 'half' AND occurred_at_ms = {noon}"
    store.command(f"ALTER TABLE {DATABASE}.events_listing DELETE WHERE {gone} SETTINGS mutations_sync = 1")
    store.command(f"DELETE FROM {DATABASE}.migrations WHERE name = '0013_last_listed.sql'")
    listed = f"SELECT hosted_event_id, places, starts_ms FROM ({LISTED.format(hosted_event_days=table)}) ORDER BY 1"
    for _ in range(2):  # a second time, as after a crash before it was noted
        assert migrate(store) == ["0013_last_listed.sql"]
        assert rows(store, listed) == [
            ("changed", 4, noon + 5 * day), ("expired", 4, noon + 5 * day), ("half", 3, None),
        ]  # fmt: skip
        store.command(f"DELETE FROM {DATABASE}.migrations WHERE name = '0013_last_listed.sql'")
    assert migrate(store) == ["0013_last_listed.sql"]
    store.command(f"TRUNCATE TABLE {DATABASE}.events_listing")
    store.command(f"TRUNCATE TABLE {table}")
