"""One event costs no other: whatever stands in it, its neighbours are stored, it is told apart, and no content is answered 500."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from footlights.collector.app import ROUTES
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.collector.inside import Inside, inside

OWN, SEGMENT, POSTHOG = "/api/analytics/events/track", "/v1/batch", "/batch"
#: Each shape's purchase and the name of its list.
GOOD: dict[str, dict[str, Any]] = {
    OWN: {"event_name": "ticket_purchased", "user_id": "u1", "quantity": 1},
    SEGMENT: {"type": "track", "event": "ticket_purchased", "userId": "u1", "properties": {"quantity": 1}},
    POSTHOG: {"event": "ticket_purchased", "distinct_id": "u1", "properties": {"quantity": 1}},
}
LISTS = {OWN: "events", SEGMENT: "batch", POSTHOG: "batch"}
HUGE = "9" * 5_000


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with inside(tmp_path_factory.mktemp("inside")) as made:
        yield made


def batch(path: str, *events: str) -> bytes:
    return f'{{"{LISTS[path]}": [{", ".join(events)}]}}'.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("path", GOOD)
def test_a_quantity_that_is_none_is_kept_as_a_property(collector: Inside, path: str) -> None:
    odd = json.loads(json.dumps(GOOD[path]).replace('"quantity": 1', '"quantity": "--1"'))
    told = collector.post(path, {LISTS[path]: [GOOD[path], odd, GOOD[path]]})
    assert [one for one, _ in told.results] == ["ok"] * 3
    assert [one["quantity"] for one in told.stored] == [1, None, 1]
    assert told.stored[1]["properties"] == {"quantity": "--1"}


#: Texts that stand in a property of an event, after `"q": `.
NO_JSON = [
    r'"jazz night \ud83c"', '"jazz \udcff"', "NaN", "-Infinity", '1, "q": 2', r'1, "\u0071": 2', '{"a": 1, "a": 2}', HUGE, "01",
    "tru", "", "[1, 2", "{]", '"a\nb"', '{"\\udc00": 1}',
]  # fmt: skip


@pytest.mark.parametrize("text", NO_JSON)
@pytest.mark.parametrize("path", GOOD)
def test_an_event_that_is_no_json_is_dropped_alone(collector: Inside, path: str, text: str) -> None:
    good = json.dumps(GOOD[path])
    bad = good[:-1] + f', "q": {text}}}'
    whole = text != "[1, 2"
    for body in (
        batch(path, good, good, bad, good),
        f"[{good}, {good}, {bad}, {good}]".encode("utf-8", "surrogateescape"),
    ):
        if body[:1] == b"[" and path == SEGMENT:
            continue
        told = collector.post(path, body)
        if not whole:  # nobody knows where it ends
            assert (told.status, told.body["error_code"], told.stored) == (400, "INVALID_JSON", [])
            continue
        assert told.results == [("ok", ""), ("ok", ""), ("drop", "INVALID_JSON"), ("ok", "")]
        assert len(told.stored) == 3
    alone = collector.post(path, batch(path, bad))
    assert (alone.status, alone.body["error_code"], alone.stored) == (400, "INVALID_JSON", [])


@pytest.mark.parametrize("path", GOOD)
def test_what_is_no_list_is_refused_as_a_whole(collector: Inside, path: str) -> None:
    good, name = json.dumps(GOOD[path]), LISTS[path]
    for body in (
        f'{{"{name}": [{good}, {good}', f'{{"{name}": [{good}]}} x', f'{{"{name}": [{good}], "{name}": [{good}]}}',
        f'{{"x": NaN, "{name}": [{good}]}}', f'\ufeff{{"{name}": [{good}]}}', f'{{"{name}": [{good},]}}',
    ):  # fmt: skip
        told = collector.post(path, body.encode())
        assert (told.status, told.body["error_code"]) == (400, "INVALID_JSON")
        assert not told.stored


def test_an_event_nested_without_end_costs_no_other(collector: Inside) -> None:
    good = json.dumps(GOOD[SEGMENT])
    told = collector.post(SEGMENT, batch(SEGMENT, good, "[" * 50_000 + "]" * 50_000, good))
    assert told.results == [("ok", ""), ("drop", "EVENT_TOO_LARGE"), ("ok", "")]
    most = collector.post(SEGMENT, batch(SEGMENT, *["NaN"] * 1_001))
    assert (most.status, most.body["error_code"]) == (413, "BATCH_TOO_LARGE")


TEXTS = st.text(max_size=8) | st.sampled_from(
    ["--1", "٣", "²", "1e400", "NaN", "\x00", "a\x1fb", "0000-01-01", "2026-02-30", "9999-12-31T23:59:59-24:00",
     "DE89İ70400440532013000 1",
     "DE89%C4%B070400440532013000 1", "0001-01-01T00:00:00+23:59", "null", "usd", "GBp", "1780000000000", "2026-06-01T12:00:00Z"]
)  # fmt: skip
NUMBERS = (
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([10**400, -(10**4_200), 1 << 63])
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["type", "event", "event_name", "event_type", "userId", "anonymousId", "previousId", "groupId", "messageId", "timestamp",
     "originalTimestamp", "sentAt", "context", "properties", "traits", "name", "user_id", "anonymous_id", "session_id",
     "message_id", "occurred_at", "occurred_at_ms", "sent_at", "amount", "automatic", "distinct_id", "uuid", "offset", "$set",
     "$set_once", "quantity", "currency", "amount_minor", "host_id", ""]
)  # fmt: skip
INNER = st.sampled_from(
    ["quantity", "currency", "amount_minor", "order_id", "session_id", "automatic", "distinct_id", "$set", "$ip", "$session_id",
     "$anon_distinct_id", "$browser", "$raw_user_agent", "$current_url", "token", "alias", "device", "os", "app", "page",
     "userAgent", "location", "campaign", "sessionId", "rating", "status", "memory_mb", "starts_at_ms", "analytics_allowed"]
)  # fmt: skip
PARTS = st.dictionaries(NAMES, VALUES | st.dictionaries(INNER, VALUES, max_size=3), max_size=4)
EVENTS = st.sampled_from(
    ["ticket_purchased", "hosted_event_created", "feedback_given", "operation_timed", "consent_changed", "page_view", "own",
     "$identify", "$create_alias", "$pageview"]
)  # fmt: skip
KINDS = st.sampled_from(["track", "page", "identify", "alias", "group", "screen"])


@given(st.sampled_from(sorted(GOOD)), EVENTS, KINDS, PARTS)
@example(OWN, "operation_timed", "track", {"memory_mb": 10**400})
@example(SEGMENT, "ticket_purchased", "track", {"properties": {"note": "DE89İ70400440532013000 1"}})
@example(SEGMENT, "ticket_purchased", "track", {"properties": {"quantity": "--1"}})
@example(SEGMENT, "own", "track", {"properties": {"order": 10**4_299}})
@example(POSTHOG, "own", "track", {"properties": {"$raw_user_agent": {"n": [10**4_299]}}})
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_in_any_field_costs_its_own_event_at_most(
    collector: Inside, path: str, event: str, kind: str, parts: dict[str, Any]
) -> None:
    sound = {"event_name": event, "event": event, "type": kind, "userId": "u9", "distinct_id": "u9"}
    for odd in ({**sound, **parts}, parts):
        told = collector.post(path, {LISTS[path]: [GOOD[path], odd, GOOD[path]], "sentAt": "2026-06-01T12:00:00Z"})
        assert told.status in (200, 202), told.body
        results = told.results
        assert results[0] == results[2] == ("ok", "") and results[1][0] in ("ok", "warning", "drop")
        taken = len(results) - (results[1][0] == "drop")
        assert len(told.stored) == taken
        assert told.stored[0]["quantity"] == told.stored[-1]["quantity"] == 1


@given(st.sampled_from(sorted(ROUTES)), VALUES | PARTS | st.lists(PARTS, max_size=2))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_content_is_answered_500_on_any_route(collector: Inside, path: str, value: Any) -> None:
    assert collector.post(path, value).status in (200, 202, 400, 413, 422)
    assert collector.post(path, {"batch": value, "sentAt": value, "context": value}).status in (200, 202, 400, 413, 422)


@given(st.binary(max_size=60), st.sampled_from(sorted(GOOD)))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_in_the_place_of_an_event_never_shift_its_neighbours(collector: Inside, raw: bytes, path: str) -> None:
    good = json.dumps(GOOD[path]).encode()
    told = collector.post(path, b'{"%s": [%s, %s, %s]}' % (LISTS[path].encode(), good, raw, good))
    assert told.status in (200, 202, 400)
    if told.status != 400:
        assert told.results[0] == told.results[-1] == ("ok", "")


def test_what_a_function_raises_that_should_not_have_costs_one_event_and_tells_no_content(
    collector: Inside, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def place(*_: Any) -> None:
        raise ValueError("rosa@example.org")

    from footlights.collector import segment

    whole = segment._properties

    def odd(kind: str, name: str, call: Any, context: Any, rest: Any) -> Any:
        return place() if call["event"] == "odd" else whole(kind, name, call, context, rest)

    monkeypatch.setattr(segment, "_properties", odd)
    with caplog.at_level(logging.ERROR, "footlights.collector"):
        told = collector.post(SEGMENT, {"batch": [GOOD[SEGMENT], {**GOOD[SEGMENT], "event": "odd"}, GOOD[SEGMENT]]})
    assert told.results == [("ok", ""), ("drop", "SCHEMA_VIOLATION"), ("ok", "")] and len(told.stored) == 2
    assert "ValueError in place" in caplog.text and "rosa" not in caplog.text
