"""An insert holds rows of several partitions; whoever owns them after a crash, and whatever landed, each row stands once."""

import signal
import threading
from dataclasses import replace

import polars as pl
import pytest
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from sinks.batch import Batch
from sinks.daily import MATERIALISED, USER_DAYS, USER_FIRST_DAYS
from sinks.dedup import SeenIds
from sinks.failpoints import AFTER_INSERT
from sinks.patience import Patience, Pulse
from sinks.positions import read_positions, shards_of, take_leases
from sinks.record_batches import Record
from sinks.sink_metrics import SinkMetrics
from sinks.source import Source
from sinks.store import Store
from sinks.writer import Writer, groups
from tests.sinks.audit import audit
from tests.sinks.conftest import Bench
from tests.sinks.traffic import FAMILY, TOPIC

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]
DAYS = "tenant_id, day, person, max(active), max(bought), min(first_at), max(last_at)"


@pytest.fixture
def held(bench: Bench) -> Bench:
    """One insert of both partitions, and no word of it in `batches`."""
    bench.traffic.mixed(600)
    bench.traffic.flush()
    assert bench.start(failpoint=AFTER_INSERT, flush_rows=10_000, flush_s=1.0).wait(30) == -signal.SIGKILL, bench.log()
    assert bench.rows("SELECT count() FROM footlights.batches") == [(0,)]
    return bench


def days_are_whole(bench: Bench) -> None:
    """The daily tables say what the rows say."""
    [view] = [m for m in MATERIALISED if m.source == "events_commerce"]
    [(select,)] = bench.rows(f"SELECT as_select FROM system.tables WHERE name = '{view.name}'")
    of_rows = bench.rows(
        f"SELECT tenant_id, day, person, active, bought, first_at, last_at FROM ({select}) ORDER BY 1, 2, 3"
    )
    by = "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    assert of_rows and bench.rows(f"SELECT {DAYS} FROM footlights.{USER_DAYS.name} {by}") == of_rows
    first = f"SELECT person, min(first_day) FROM footlights.{USER_FIRST_DAYS.name} GROUP BY 1 ORDER BY 1"
    assert bench.rows(first) == bench.rows(f"SELECT person, min(day) FROM ({select}) GROUP BY 1 ORDER BY 1")


def test_partitions_share_an_insert(held: Bench) -> None:
    parts = held.rows(
        "SELECT uniqExact(_partition), uniqExact(_batch_last) FROM footlights.events_commerce GROUP BY _part"
    )
    assert parts == [(2, 2)]


def test_two_heirs_of_one_insert(held: Bench) -> None:
    store, patience = Store(held.config.clickhouse_url), Patience(Pulse(60), threading.Event(), lambda: None)
    admin = AdminClient({"bootstrap.servers": held.config.bootstrap})
    epoch = str(admin.describe_topics(TopicCollection([TOPIC]))[TOPIC].result(10).topic_id)
    for partition in (1, 0):
        place, owner = (TOPIC, partition), f"heir-{partition}"
        take_leases(store, [place], owner, patience)
        plan = read_positions(store, [place])[place].plan
        assert plan is not None
        batch = Batch(*place, *plan, begun=True)
        writer = Writer(store, held.config, lambda _: FAMILY.schema, patience, SinkMetrics())
        writer.write(
            [(batch, records(held, partition, plan[1] + 1), SeenIds(shards_of(store, *place), 1000))],
            owner,
            {TOPIC: epoch},
        )
        writer.close()
    audit(held)
    days_are_whole(held)


def records(bench: Bench, partition: int, end: int) -> list[Record]:
    source, place, found = Source(bench.config.bootstrap), (TOPIC, partition), list[Record]()
    source.start()
    source.read_from({place: 0})
    while len(found) < end:
        found += [r for _, fetched in source.take(1.0) for r in fetched.records()]
    source.close()
    return found[:end]


@pytest.mark.parametrize("lost", ["_offset % 3 = 0", "_partition = 1", "1"])
def test_what_did_not_land_is_added(held: Bench, lost: str) -> None:
    """An insert over several months is several parts, of which some may have landed."""
    held.store.command(f"ALTER TABLE footlights.events_commerce DELETE WHERE {lost} SETTINGS mutations_sync = 2")
    held.drain(held.start(flush_rows=33))
    audit(held)
    days_are_whole(held)


def test_days_that_did_not_land_are_added(held: Bench) -> None:
    """Rows and what views make of them are parts of their own."""
    for table in (USER_DAYS, USER_FIRST_DAYS):
        held.store.command(f"TRUNCATE TABLE footlights.{table.name}")
    with pytest.raises(AssertionError):
        days_are_whole(held)
    held.drain(held.start(flush_rows=33))
    audit(held)
    days_are_whole(held)


def batch(topic: str, partition: int) -> Batch:
    return Batch(topic, partition, 0, 9)


def test_what_fits_into_one_insert() -> None:
    rows = pl.DataFrame({"a": list(range(10))})
    left = [(batch(t, p), rows if p != 1 else rows.clear()) for t in ("b", "a") for p in (2, 1, 0, 3)]
    assert [[(b.topic, b.partition) for b, _ in g] for g in groups(left, 20, 10_000)] == [
        [("a", 0), ("a", 2)], [("a", 3)], [("b", 0), ("b", 2)], [("b", 3)],
    ]  # fmt: skip
    assert [len(g) for g in groups(left, 5, 10_000)] == [1] * 6
    assert [len(g) for g in groups(left, 1000, 170)] == [2, 1, 2, 1]
    assert [len(g) for g in groups(left, 1000, 10_000)] == [3, 3]
    assert list(groups([(replace(b, partition=9), f.clear()) for b, f in left], 20, 20)) == []
