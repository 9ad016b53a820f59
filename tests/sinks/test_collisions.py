"""Two events under one id are told apart from one event that came twice, in whatever batches and processes they come."""

import random
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from schemas.families import FAMILIES
from sinks.collisions import Content
from sinks.failpoints import PLACES
from sinks.sink_metrics import SinkMetrics
from sinks.store import Store
from tests.sinks.audit import audit
from tests.sinks.conftest import Bench
from tests.sinks.traffic import FAMILY, START_MS, record

CONTENT = Content(FAMILY, store_text=True)
FIRST = record(random.Random(1), START_MS, session_id="s1", city="Pune", device="desktop", order_id="o1")
#: Another value of each kind.
OTHER: dict[str, Any] = {"string": "other", "long": 77, "double": 7.5, "boolean": True}
#: What may change on the way of one record, whoever brings it.
CARRIED = {
    "message_id", "sent_at_ms", "received_at_ms", "source", "producer_id", "sequence", "pseudonym_version", "device", "browser",
    "os", "city", "country", "automatic",
}  # fmt: skip


def differing(first: dict[str, Any], repeat: dict[str, Any], content: Content = CONTENT) -> list[str]:
    return content.differing(*(tuple(found.get(name) for name in content.columns) for found in (first, repeat)))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda f: f.name)
def test_every_field_is_either_content_or_carried(family: Any) -> None:
    content = Content(family, store_text=True)
    first: dict[str, Any] = {
        f.name: {"string": "one", "long": 1, "double": 1.0, "boolean": False}[f.kind] for f in family.fields
    }
    for declared in family.fields:
        found = differing(first, {**first, declared.name: OTHER[declared.kind]}, content)
        assert found == (
            []
            if declared.name in CARRIED
            else [declared.name.removesuffix("_ms") if declared.name == "occurred_at_ms" else declared.name]
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"producer_id": "p2", "sequence": 9, "source": "replay"},
        {"received_at_ms": START_MS + 90_000, "sent_at_ms": START_MS + 60_000},
        # A collector corrects the time by the clocks of each request: the client's is 5 s behind, the second request 80 ms slower.
        {"occurred_at_ms": START_MS + 80, "sent_at_ms": START_MS + 60_000, "received_at_ms": START_MS + 60_080},
        # A record without a time of its own has that of its arrival.
        {"occurred_at_ms": START_MS + 60_000, "sent_at_ms": START_MS + 60_000, "received_at_ms": START_MS + 60_000},
        {"city": "Mumbai", "country": "IN", "device": "mobile", "browser": "Firefox", "os": "Linux", "automatic": True},
        {"pseudonym_version": 2, "user_id": "0" * 32, "session_id": "f" * 32},
    ],
)  # fmt: skip
def test_the_way_of_a_record_is_no_content(changes: dict[str, Any]) -> None:
    assert differing(FIRST, {**FIRST, **changes}) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"user_id": "0" * 32}, ["user_id"]),
        ({"user_id": None, "anonymous_id": "0" * 32}, ["user_id", "anonymous_id"]),
        ({"amount_minor": None}, ["amount_minor"]),
        ({"quantity": 0}, ["quantity"]),
        ({"occurred_at_ms": START_MS - 1}, ["occurred_at"]),
        ({"pseudonym_version": 2, "user_id": "0" * 32, "order_id": "o2"}, ["order_id"]),
    ],
)
def test_what_a_record_says_is_content(changes: dict[str, Any], told: list[str]) -> None:
    assert differing(FIRST, {**FIRST, **changes}) == told


def test_properties_are_compared_as_values() -> None:
    first = {**FIRST, "properties": '{"a": 1, "b": {"c": [1, 2], "d": "\\u00fc"}}'}
    assert differing(first, {**first, "properties": '{"b":{"d":"ü","c":[1,2]},"a":1}'}) == []
    for other in ('{"a": 1, "b": {"c": [2, 1], "d": "ü"}}', '{"a": 2, "b": {"c": [1, 2], "d": "ü"}}', "{}", "no JSON"):
        assert differing(first, {**first, "properties": other}) == ["properties"]
    deep = "[" * 100_000
    assert differing({**FIRST, "properties": deep}, {**FIRST, "properties": deep + "["}) == ["properties"]


def test_texts_that_the_store_does_not_hold_are_compared_by_their_sound() -> None:
    family = FAMILIES["feedback"]
    first: dict[str, Any] = {f.name: None for f in family.fields} | {"text": "very good", "sentiment_milli": 493}
    first |= {"occurred_at_ms": 1, "sent_at_ms": 1, "received_at_ms": 1, "properties": "{}"}
    bad = {**first, "text": "very bad", "sentiment_milli": -584}
    held, hidden = Content(family, store_text=True), Content(family, store_text=False)
    assert differing(first, bad, held) == ["text"]
    assert differing({**first, "text": None}, bad, held) == []  # it was not stored then
    assert differing({**first, "text": None}, bad, hidden) == ["sentiment_milli"]
    assert "text" not in hidden.columns


@pytest.mark.clickhouse
@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30), st.text(max_size=40))
def test_the_store_gives_values_back_as_they_were(clickhouse_url: str, numbers: list[float], text: str) -> None:
    told = ", ".join(f"reinterpretAsFloat64(unhex('{struct.pack('<d', n).hex()}'))" for n in numbers)
    [row] = Store(clickhouse_url).rows(f"SELECT [{told}], unhex('{text.encode().hex()}'), CAST(1 AS Nullable(Bool))")
    assert ([float(n) for n in row[0]], *row[1:]) == (numbers, text, True)
    content = Content(FAMILIES["performance"], store_text=True)
    first: dict[str, Any] = {"occurred_at_ms": 1, "sent_at_ms": 1, "received_at_ms": 1}
    for held, number in zip(row[0], numbers, strict=True):
        assert differing({**first, "memory_mb": held}, {**first, "memory_mb": number}, content) == []


def test_the_counter_is_there_before_it_counts() -> None:
    metrics = SinkMetrics(topics=["events.commerce", "events.account"])
    shown = generate_latest(metrics.registry).decode()
    for topic in ("events.commerce", "events.account"):
        assert f'footlights_sink_collisions_total{{topic="{topic}"}} 0.0' in shown


def collided(bench: Bench) -> list[tuple[Any, ...]]:
    return bench.rows("SELECT offset, first_offset, redelivery, differs FROM footlights.duplicates ORDER BY offset")


@pytest.mark.kafka
@pytest.mark.clickhouse
def test_two_workers_that_draw_the_same_ids(bench: Bench) -> None:
    """Both have the producer id, the numbers and the random state of one parent: 300 events each, of which 100 met."""
    ids = [record(bench.traffic.rng, START_MS + i * 10) for i in range(500)]
    for number in range(300):
        bench.traffic.send_again({**ids[number], "sequence": number + 1, "order_id": f"a{number}"}, partition=0)
    for number in range(200, 500):
        bench.traffic.send_again({**ids[number], "sequence": number - 199, "order_id": f"b{number}"}, partition=0)
    bench.traffic.flush()
    bench.drain(bench.start(flush_rows=170))
    assert bench.rows("SELECT count() FROM footlights.events_commerce") == [(500,)]
    found = collided(bench)
    assert len(found) == 100
    assert {tuple(differs) for *_, differs in found} == {("order_id",)}
    [row] = bench.rows("SELECT collisions, duplicates + redelivered FROM footlights.ledger WHERE source = 'shop'")
    assert row == (100, 100)


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.parametrize("place", PLACES)
def test_a_collision_is_told_once_whatever_is_killed(bench: Bench, place: str) -> None:
    """The first of some lies in the same batch, of others in one that another process has stored."""
    rng, hostile = random.Random(4), "a'\\\"\n\t\x00\x7f\u2028😀\ufeff"
    before = [
        record(
            rng,
            START_MS + i,
            reason=f"{hostile}{i}",
            properties=f'{{"n": {i}}}',
            order_id=hostile,
            amount_minor=50_000 + i,
        )
        for i in range(40)
    ]
    for one in before:
        bench.traffic.send(one, partition=0)
    bench.traffic.flush()
    bench.drain(bench.start())
    expected = []
    for i, one in enumerate(before):
        again = {**one, "received_at_ms": START_MS + 60_000, "city": "Pune"}
        if i % 4 == 0:
            again |= {"amount_minor": one["amount_minor"] + 1}
        bench.traffic.send(again, partition=0)
        expected.append((40 + i, i, False, ["amount_minor"] if i % 4 == 0 else []))
    fresh = record(rng, START_MS)
    others: list[dict[str, Any]] = [{}, {"quantity": 2}, {"user_id": "0" * 32, "quantity": 3}]
    for at, changes in enumerate(others):
        bench.traffic.send({**fresh, **changes}, partition=0)
        if changes:
            expected.append((80 + at, 80, False, [name for name in ("user_id", "quantity") if name in changes]))
    bench.traffic.flush()
    bench.start(failpoint=place, flush_rows=50, dedup_ids=28).wait(30)
    bench.drain(bench.start(flush_rows=7, dedup_ids=28))
    audit(bench)
    assert collided(bench) == expected
    assert bench.rows("SELECT sum(collisions['shop']) FROM footlights.batches") == [(12,)]
    assert bench.rows("SELECT collisions, duplicates FROM footlights.ledger WHERE source = 'shop'") == [(12, 42)]
