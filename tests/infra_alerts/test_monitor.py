"""The monitor tells which part is away, keeps the figures of the others, and forgets those that it cannot know."""

import json
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.embedded.ports import free_port
from infra.migrate import migrate_topics
from infra.monitor.run import Monitor
from infra.settings import load
from sinks.migrate import migrate

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


def look(folder: Path, **addresses: str) -> dict[str, float]:
    """Samples after one look, by name and labels."""
    registry = CollectorRegistry()
    settings = load(
        {"FOOTLIGHTS_DATA_DIR": str(folder), "FOOTLIGHTS_SCHEMA_REGISTRY": "http://127.0.0.1:9", **addresses}
    )
    monitor = Monitor(settings, registry)
    monitor.look()
    monitor.close()
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.fixture(scope="module")
def addresses(kafka: str, clickhouse_url: str) -> dict[str, str]:
    migrate_topics(kafka)
    client: Any = clickhouse_connect.get_client(dsn=f"{clickhouse_url}/default")
    migrate(client)
    client.close()
    return {"FOOTLIGHTS_KAFKA": kafka, "FOOTLIGHTS_CLICKHOUSE": clickhouse_url}


def up(samples: dict[str, float]) -> dict[str, float]:
    return {part: samples[f'footlights_monitor_up{{part="{part}"}}'] for part in ("kafka", "clickhouse")}


def test_all_is_well(addresses: dict[str, str], tmp_path: Path) -> None:
    samples = look(tmp_path, **addresses)
    assert up(samples) == {"kafka": 1, "clickhouse": 1}
    assert samples['footlights_consumer_lag_seconds{app="sink"}'] >= 0
    assert 0 < samples["footlights_clickhouse_disk_free_ratio"] <= 1
    assert samples["footlights_store_duplicate_rows"] == 0


def test_a_collision_shows_in_the_books(addresses: dict[str, str], tmp_path: Path, monkeypatch: Any) -> None:
    client: Any = clickhouse_connect.get_client(dsn=f"{addresses['FOOTLIGHTS_CLICKHOUSE']}/default")
    client.command("TRUNCATE TABLE footlights.batches")  # other tests fill the store from topics of other brokers
    assert look(tmp_path, **addresses)["footlights_store_collisions"] == 0
    for name, value in {
        **addresses,
        "FOOTLIGHTS_DATA_DIR": str(tmp_path),
        "FOOTLIGHTS_SCHEMA_REGISTRY": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    ledger = ["ledger", "--patience", "0"]
    assert CliRunner().invoke(app, ledger).exit_code == 0
    columns = "topic, partition, first, last, rows, stored, duplicates, collisions, written_at"
    client.command(
        f"INSERT INTO footlights.batches ({columns}) VALUES "
        "('events.account', 3, 0, 9, 10, {'meet': 6}, {'meet': 4}, {'meet': 3}, now64(3)), "
        "('events.account', 3, 10, 19, 10, {'meet': 9}, {'meet': 1}, {'meet': 1}, now64(3) - INTERVAL 2 HOUR)"
    )
    try:
        samples = look(tmp_path, **addresses)
        assert samples["footlights_store_collisions"] == 3
        assert samples['footlights_ledger_collisions_records{source="meet"}'] == 4
        told = CliRunner().invoke(app, ledger)
        assert told.exit_code == 1
        assert "4 events were lost, since their ids were taken by other events" in " ".join(told.output.split())
        found = json.loads(CliRunner().invoke(app, [*ledger, "--json"]).stdout)
        assert found["collisions"] == 4
        [meet] = [row for row in found["sources"] if row["source"] == "meet"]
        assert (meet["duplicates"], meet["collisions"]) == (5, 4)
    finally:
        client.command(
            "ALTER TABLE footlights.batches DELETE WHERE topic = 'events.account' SETTINGS mutations_sync = 2"
        )
        client.close()


def test_kafka_is_away(addresses: dict[str, str], tmp_path: Path) -> None:
    samples = look(tmp_path, **{**addresses, "FOOTLIGHTS_KAFKA": f"127.0.0.1:{free_port()}"})
    assert up(samples) == {"kafka": 0, "clickhouse": 1}
    assert not [name for name in samples if name.startswith(("footlights_consumer_lag", "footlights_ledger_gap"))]
    assert samples["footlights_clickhouse_disk_free_ratio"] > 0


def test_clickhouse_is_away(addresses: dict[str, str], tmp_path: Path) -> None:
    samples = look(tmp_path, **{**addresses, "FOOTLIGHTS_CLICKHOUSE": f"http://127.0.0.1:{free_port()}"})
    assert up(samples) == {"kafka": 1, "clickhouse": 0}
    assert not [name for name in samples if name.startswith("footlights_ledger_gap")]
    assert samples["footlights_clickhouse_disk_free_ratio"] != samples["footlights_clickhouse_disk_free_ratio"]  # NaN
