"""What analysts read is right at once, whatever the engine has merged."""

import io
from typing import Any

import fastavro
import pytest
import requests
from confluent_kafka import Producer

from schemas.avro_batch import frame_header
from schemas.families import INTERNAL
from sinks.table import DATABASE
from tests.sinks.conftest import Bench, renew
from tests.sinks.traffic import START_MS, record

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]
RECORDS = {"kpi-points": "kpi_point", "dead-letters": "dead_letter", "producer-reports": "producer_report"}


def point(**changes: Any) -> dict[str, Any]:
    return {
        "tenant_id": "default", "kpi": "csat_ratio", "window": "5m", "by": "", "window_start_ms": START_MS,
        "window_end_ms": START_MS + 300_000, "value": 0.5, "revision": 0, "final": False, "reason": None,
        "watermark_ms": START_MS, "completeness": 1.0, "late_ratio": 0.0, "rows": 4, "duplicates": 0,
        "definition_version": 1, "rates_version": 1, "published_at_ms": START_MS, "generation": 3, "source_offset": 10,
        **changes,
    }  # fmt: skip


def report(**changes: Any) -> dict[str, Any]:
    return {
        "tenant_id": "default", "source": "shop", "producer_id": "p1", "reported_at_ms": START_MS, "last_sequence": 0,
        "acked": 0, "failed": 0, "refused": "{}", "closing": False, **changes,
    }  # fmt: skip


def publish(bench: Bench, registry_url: str, topic: str, records: list[dict[str, Any]]) -> None:
    held = INTERNAL[RECORDS[topic]]
    answer = requests.post(f"{registry_url}/subjects/{topic}-value/versions", json={"schema": held.text}, timeout=10)
    schema = fastavro.parse_schema(held.schema)
    producer = Producer({"bootstrap.servers": bench.config.bootstrap})
    for found in records:
        buffer = io.BytesIO()
        buffer.write(frame_header(answer.json()["id"]))
        fastavro.schemaless_writer(buffer, schema, found)
        producer.produce(topic, buffer.getvalue(), b"key", partition=0)
    assert producer.flush(20) == 0


def written(bench: Bench, topic: str, records: int) -> bool:
    sql = f"SELECT sum(rows) FROM {DATABASE}.batches WHERE topic = '{topic}'"
    return bool(bench.rows(sql)[0][0] == records)


def test_the_newest_value_of_a_window_wins(bench: Bench, registry_url: str) -> None:
    renew(bench.config.bootstrap, "kpi-points", 1)
    bench.store.command("SYSTEM STOP MERGES footlights.kpi_points")
    later, latest = START_MS + 300_000, START_MS + 600_000
    points = [
        point(value=0.1),
        point(value=0.2, source_offset=20),
        point(value=0.9, generation=2, source_offset=90),  # a zombie's
        point(value=0.3, window_start_ms=later),
        point(value=0.4, window_start_ms=later, final=True, source_offset=30),
        point(value=None, window_start_ms=later, final=True, revision=1, reason="late", source_offset=40),
        point(value=0.8, window_start_ms=later, source_offset=50),  # open, after it was final
        point(value=0.6, window_start_ms=latest, source_offset=60),
    ]
    publish(bench, registry_url, "kpi-points", points)
    sink = bench.start(topics=("kpi-points",), flush_rows=3)
    bench.until(lambda: written(bench, "kpi-points", len(points)), process=sink)
    history = "SELECT toUnixTimestamp64Milli(window_start), value, revision, final, reason FROM footlights.kpi_history ORDER BY 1"
    expected = [(START_MS, 0.2, 0, False, None), (later, None, 1, True, "late"), (latest, 0.6, 0, False, None)]
    assert bench.rows(history) == expected
    assert bench.rows("SELECT value FROM footlights.kpi_latest") == [(0.6,)]
    assert bench.rows("SELECT revision, value, reason FROM footlights.kpi_revisions") == [
        (0, 0.4, None),
        (1, None, "late"),
    ]
    bench.store.command("SYSTEM START MERGES footlights.kpi_points")
    bench.store.command("OPTIMIZE TABLE footlights.kpi_points FINAL")
    assert bench.rows(history) == expected
    assert bench.rows("SELECT count() FROM footlights.kpi_points") == [(5,)]
    sink.terminate()
    assert sink.wait(20) == 0


def test_dead_letters_stay_sealed(bench: Bench, registry_url: str) -> None:
    renew(bench.config.bootstrap, "dead-letters", 1)
    sealed = bytes(range(256))
    letter = {
        "topic": "events.commerce", "partition": 1, "offset": 7, "schema_id": None, "error_code": "UNDECODABLE",
        "detail": "5 bytes", "source": "shop", "producer_id": None, "sequence": 3, "stage": "decode",
        "first_seen_ms": START_MS, "payload": sealed,
    }  # fmt: skip
    publish(bench, registry_url, "dead-letters", [letter, letter])
    sink = bench.start(topics=("dead-letters",))
    bench.until(lambda: written(bench, "dead-letters", 2), process=sink)
    rows = bench.rows("SELECT topic, partition, offset, sequence, hex(payload) FROM footlights.dead_letters FINAL")
    assert rows == [("events.commerce", 1, 7, 3, sealed.hex().upper())]


def ledger(bench: Bench) -> dict[str, dict[str, int]]:
    answer = bench.store.query("SELECT * FROM footlights.ledger")
    return {row[0]: dict(zip(answer.column_names[1:], row[1:], strict=True)) for row in answer.result_rows}


def test_the_ledger_accounts_for_every_record(bench: Bench, registry_url: str) -> None:
    renew(bench.config.bootstrap, "producer-reports", 1)
    traffic = bench.traffic
    traffic.mixed(500)
    repeated = record(traffic.rng, START_MS)
    traffic.send(repeated)
    traffic.sequence -= 1
    traffic.send(repeated)  # the same record of the same producer, sent twice
    traffic.raw(b"no producer of ours", partition=0, headers=False)
    traffic.flush()
    reported = traffic.sequence - 20
    publish(bench, registry_url, "producer-reports", [report(last_sequence=5), report(last_sequence=reported)])
    sink = bench.start(topics=("events.commerce", "producer-reports"))
    bench.until(lambda: written(bench, "producer-reports", 2), process=sink)
    bench.drain(sink)
    shop = ledger(bench)["shop"]
    assert (shop["published"], shop["unconfirmed"], shop["missing"], shop["redelivered"]) == (reported, 20, 0, 1)
    assert shop["stored"] + shop["dead_lettered"] + shop["duplicates"] == traffic.sequence
    unknown = ledger(bench)["unknown"]
    assert (unknown["dead_lettered"], unknown["unconfirmed"], unknown["missing"]) == (1, 1, 0)
    assert ledger(bench)["shop"]["refused"] == 0
    refused = '{"INVALID_FIELD": 4, "OPTED_OUT": 2, "EVENT_TOO_LARGE": 1}'  # who opted out is no loss
    # A later report of more records than ever came: the rest is missing, and of them two were given up.
    publish(
        bench, registry_url, "producer-reports", [report(last_sequence=traffic.sequence + 7, failed=2, refused=refused)]
    )
    again = bench.start(topics=("events.commerce", "producer-reports"))
    bench.until(lambda: written(bench, "producer-reports", 3), process=again)
    assert ledger(bench)["shop"]["missing"] == 5
    assert ledger(bench)["shop"]["dropped"] == 2
    assert ledger(bench)["shop"]["refused"] == 5
