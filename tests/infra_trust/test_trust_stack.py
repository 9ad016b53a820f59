"""Explain, backfill and the books on the whole stack, through the commands."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.addresses import resolve
from infra.ledger import gaps, probe
from infra.settings import load
from infra.store import connect
from tests.torture.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
START = "2026-03-02T06:00:00Z"
EARLY_MS = int(datetime(2026, 3, 2, 6, 8, 0, tzinfo=UTC).timestamp() * 1000)
LATER = "2026-03-02T06:10:00Z"


@pytest.fixture(scope="module")
def stack(kafka_jars: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = Platform(tmp_path_factory.mktemp("trust"), {"FOOTLIGHTS_REPORTING_ZONE": "America/St_Johns"})
    platform.up()
    del platform.settings["FOOTLIGHTS_REPORTING_ZONE"]  # whoever asks need not know the zone: the store does
    platform.run("simulate", "--events", "3000", "--seed", "4", "--speed", "40", "--start", START)
    platform.run("wait", "--idle")
    yield platform
    platform.down()
    assert not platform.survivors()


def story(stack: Platform, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = stack.json("metrics", "explain", *words)
    return found


def test_days_are_those_of_the_stacks_zone(stack: Platform) -> None:
    stack.run("wait", "--idle")
    checked = stack.json("verify")
    assert checked["different"] == [] and checked["compared"] > 1_000
    [day] = stack.rows(
        "SELECT DISTINCT formatDateTime(window_start, '%H:%i:%S', 'UTC') AS at FROM kpi_history "
        "WHERE kpi = 'orders' AND window = '1d'"
    )
    assert day["at"] == "03:30:00"  # midnight of St. John's in winter


def test_a_late_refund_is_explained(stack: Platform, tmp_path: Path) -> None:
    words = ("refund_ratio", "--window", "5m", "--at", LATER)
    before = story(stack, *words)
    assert before["agrees"] and before["point"]["final"]
    refund = {
        "type": "track", "event": "refund_issued", "userId": "u-late", "messageId": "late-1",
        "timestamp": datetime.fromtimestamp(EARLY_MS / 1000, UTC).isoformat(),
        "properties": {"order_id": "o-1", "amount_minor": 123_400, "currency": "USD", "hosted_event_id": "event_1"},
    }  # fmt: skip
    file = tmp_path / "late.jsonl"
    file.write_text(json.dumps(refund) + "\n")
    stack.run("replay", str(file), "--format", "segment")
    stack.run("wait", "--idle")
    after = story(stack, *words)
    newest = after["revisions"][-1]
    assert newest["reason"] == "refund"
    assert after["agrees"] and newest["revision"] == before["revisions"][-1]["revision"] + 1
    assert newest["value"] == after["point"]["value"] != before["point"]["value"]
    [event] = newest["cause"]["events"]
    assert (event["family"], event["rows"], event["measures"]) == ("commerce", 1, ["revenue_refunded"])
    [row] = newest["rows_behind"]
    assert row["event_name"] == "refund_issued" and row["offset"] == event["to_offset"]
    refunded = {o["name"]: o["value"] for o in after["operands"]}["revenue_refunded"]
    assert refunded == {o["name"]: o["value"] for o in before["operands"]}["revenue_refunded"] + 123_400
    [told] = stack.rows(
        "SELECT old_value, new_value, reason FROM restatements WHERE kpi = 'refund_ratio' AND window = '5m' "
        f"AND toString(window_start) = '{after['point']['window_start']}' AND revision = {newest['revision']}"
    )
    assert told == {"old_value": before["point"]["value"], "new_value": newest["value"], "reason": "refund"}
    text = stack.run("metrics", "explain", *words).stdout
    for part in (
        "revision 1",
        "refund",
        "share(revenue_refunded, revenue_gross)",
        "the same to the last bit",
        row["message_id"],
    ):
        assert part in text
    refused = stack.run("metrics", "explain", "no_such", check=False)
    assert refused.returncode == 1 and "there is no metric no_such" in refused.stderr


def test_the_stamp_is_complete(stack: Platform) -> None:
    stamp = ("watermark", "completeness", "late_ratio", "definition_version")
    nothing = " OR ".join(f"{name} IS NULL" for name in stamp)
    [counted] = stack.rows(
        f"SELECT count() AS n, countIf({nothing}) AS without, avgIf(completeness, final) AS closed, "
        "countIf(NOT final AND completeness > 0 AND completeness < 1) AS partly FROM kpi_points WHERE rows > 0"
    )
    assert counted["n"] > 100 and counted["without"] == 0 and counted["partly"] > 0
    assert 0.95 < counted["closed"] <= 1  # a partition whose first rows came after the others' is behind at once
    shown = stack.rows(
        f"SELECT {', '.join(stamp)}, duplicates FROM kpi_latest WHERE kpi = 'page_views' AND window = '1m'"
    )
    [by] = stack.rows(
        "SELECT by FROM kpi_latest WHERE kpi = 'error_ratio' AND window = '24h' AND by != '' ORDER BY by LIMIT 1"
    )
    component, operation = by["by"].split(",operation=")
    told = story(stack, "error_ratio", "--window", "24h", "--by", component, "--by", f"operation={operation}")
    assert told["agrees"] and told["by"] == by["by"] and told["rows"] >= told["point"]["rows"] > 0
    assert sum(row["rows"] for row in told["events"]) == told["rows"]
    assert shown[0]["definition_version"] == 1 and shown[0]["watermark"].startswith("2026-03-02 06:")


def test_a_deleted_row_opens_a_gap_and_a_backfill_restates_what_it_made(
    stack: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    assert stack.json("ledger", "--producers")["gap"] == 0
    settings = load()
    addresses = resolve(settings)
    viewed = f"event_name = 'page_view' AND NOT automatic AND occurred_at_ms < {EARLY_MS}"
    with connect(settings, addresses) as client:
        sql = f"SELECT message_id, producer_id, sequence FROM footlights.events_interaction WHERE {viewed} LIMIT 1"
        [(victim, producer, sequence)] = client.query(sql).result_rows
        delete = f"DELETE WHERE message_id = '{victim}' SETTINGS mutations_sync = 2"
        client.command(f"ALTER TABLE footlights.events_interaction {delete}")
        consumer = probe(addresses.kafka)
        assert gaps(client, consumer)["simulate"] == 1  # what an alert looks at
        consumer.close()
    books = stack.run("ledger", "--producers", "--patience", "2", "--json", check=False)
    told = json.loads(books.stdout)
    assert books.returncode == 1 and told["gap"] == 1
    [missed] = [p for p in told["producers"] if p["missing"]]
    assert (missed["producer_id"], missed["first_missing"]) == (producer, [sequence])
    wanted = stack.json("backfill", "page_views", "--dry-run")
    done = stack.json("backfill", "page_views", "--reason", "erasure")
    assert done["restated"] and len(done["restated"]) == len(wanted["remaining"]) and done["remaining"] == []
    assert stack.json("backfill", "page_views")["restated"] == []
    # A partition that began later than the others may have made late revisions of its own.
    told = stack.rows(
        "SELECT reason, count() AS n FROM restatements WHERE kpi = 'page_views' AND reason != 'late' GROUP BY reason"
    )
    assert told == [{"reason": "erasure", "n": len(done["restated"])}]
    different = [d["window"] for d in stack.json("verify", check=False)["different"] if d["kpi"] == "page_views"]
    assert sorted(different) == sorted(row["window"] for row in done["open"])  # the stream's, until they close
