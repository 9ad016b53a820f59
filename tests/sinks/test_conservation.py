"""A row that was stored and is there no more shows in the books, with its number."""

from typing import Any

import pytest

from infra.ledger import conservation
from tests.sinks.conftest import Bench, renew
from tests.sinks.test_views import publish, report, written
from tests.sinks.traffic import START_MS, record

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]
DELETE = "ALTER TABLE footlights.events_commerce DELETE"


def of_p1(bench: Bench) -> dict[str, Any]:
    return next(row for row in conservation(bench.store) if row["producer_id"] == "p1")


def test_a_deleted_row_is_missed(bench: Bench, registry_url: str) -> None:
    renew(bench.config.bootstrap, "producer-reports", 1)
    traffic = bench.traffic
    for i in range(300):
        traffic.send(record(traffic.rng, START_MS + i * 1_000))
    traffic.send(traffic.sent[7])  # a repeat, with a number of its own
    traffic.sequence += 2  # two that the producer numbered and gave up
    traffic.flush()
    reports = [report(last_sequence=traffic.sequence, acked=301, failed=2)]
    publish(bench, registry_url, "producer-reports", reports)
    sink = bench.start(topics=("events.commerce", "producer-reports"))
    bench.until(lambda: written(bench, "producer-reports", 1), process=sink)
    bench.drain(sink)
    before = of_p1(bench)
    counted = ("accepted", "last_sequence", "stored", "duplicates", "dropped", "missing", "unconfirmed")
    assert [before[name] for name in counted] == [303, 303, 300, 1, 2, 0, 0]
    assert before["first_missing"] == []
    read = "SELECT _topic, _partition, _batch_first, source, count() FROM footlights.events_commerce GROUP BY ALL"
    assert any("ReadFromMergeTree (counted)" in row[0] for row in bench.rows(f"EXPLAIN {read}"))  # no row is read
    bench.store.command(f"{DELETE} WHERE producer_id = 'p1' AND sequence = 42 SETTINGS mutations_sync = 2")
    after = of_p1(bench)
    assert (after["stored"], after["missing"], after["first_missing"]) == (299, 1, [42, 302, 303])
    [row] = bench.rows("SELECT stored, missing FROM footlights.ledger WHERE source = 'shop'")
    assert row == (299, 1)
