"""Segment-style lines: what they become, and what is refused.

In: the small file, single lines, hostile ones. Out: events or reasons. Never: a crash.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.replay.event import Event, Origin, Refused
from infra.replay.segment import SegmentParser

SMALL = Path(__file__).parents[1] / "data" / "segment.jsonl"
ORIGIN = Origin("digest", "default", "replay")
CALL = {"type": "track", "event": "checkout_started", "userId": "u", "timestamp": "2024-06-14T18:00:00Z"}


def parse(call: Any, origin: Origin = ORIGIN, number: int = 1) -> Event:
    [event] = SegmentParser(origin).parse(json.dumps(call).encode(), number)
    return event


def test_the_small_file() -> None:
    names, reasons = [], []
    for number, line in enumerate(SMALL.read_bytes().splitlines(), 1):
        try:
            names += [e.name for e in SegmentParser(ORIGIN).parse(line, number)]
        except Refused as refusal:
            reasons.append((number, str(refusal)))
    assert names == [
        "page_view", "profile_updated", "checkout_started", "ticket_purchased", "Wishlist Updated", "page_view", "screen",
        "group", "identity_linked", "feedback_given", "page_view",
    ]  # fmt: skip
    assert reasons == [
        (11, "not JSON"),
        (12, "not an object"),
        (13, "no type"),
        (14, "track without event"),
        (16, "timestamp absent"),
        (17, "timestamp unreadable"),
    ]


def test_columns_leave_the_properties_and_misfits_stay() -> None:
    event = parse({**CALL, "properties": {"quantity": 2.0, "amount_minor": "many", "seat": "B7", "currency": "USD"}})
    assert event.fields == {"quantity": 2, "currency": "USD"}
    assert event.properties == {"amount_minor": "many", "seat": "B7"}


def test_a_foreign_id_is_kept_and_makes_ours_by_its_original_time() -> None:
    sent = {"messageId": "m", "originalTimestamp": "2024-06-14T17:59:58Z"}
    first, again = parse({**CALL, **sent}), parse({**CALL, **sent, "timestamp": "2024-06-14T18:00:07Z"}, number=9)
    assert first.message_id == again.message_id and first.original_id == "m"
    assert first.occurred_at_ms != again.occurred_at_ms
    other = parse({**CALL, **sent}, Origin("digest", "default", "elsewhere"))
    assert other.message_id != first.message_id


def test_without_an_id_file_and_line_make_one() -> None:
    assert parse(CALL).message_id == parse(CALL).message_id
    ids = {
        parse(CALL).message_id,
        parse(CALL, number=2).message_id,
        parse(CALL, Origin("x", "default", "replay")).message_id,
    }
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": None}, "no type"),
        ({"type": "trak"}, "unknown type"),
        ({"event": " "}, "track without event"),
        ({"type": "identify", "userId": "null"}, "neither userId nor anonymousId"),
        ({"type": "alias", "userId": ""}, "neither userId nor anonymousId"),
        ({"userId": {"id": 1}}, "userId is neither a text nor a whole number"),
        ({"anonymousId": 7.5}, "anonymousId is neither a text nor a whole number"),
        ({"event": "ticket_purchased", "properties": {"currency": "doubloons"}}, "currency must be a code"),
        ({"timestamp": 1718388000}, "timestamp unreadable"),
        ({"timestamp": "1718-03-01"}, "timestamp outside 2000-2099"),
        ({"timestamp": "0001-01-01T00:00:00+23:59"}, "timestamp outside 2000-2099"),
        ({"properties": {"x": float("nan")}}, "not JSON"),
        ({"properties": {"x": "\ud800"}}, "not UTF-8"),
    ],
)
def test_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        parse({**CALL, **change})


@pytest.mark.parametrize("ids", [{"userId": None}, {"userId": ""}, {"userId": "guest", "anonymousId": "null"}])
def test_a_guest_is_taken(ids: dict[str, Any]) -> None:
    event = parse({**CALL, **ids})
    assert (event.name, event.user_id, event.anonymous_id) == ("checkout_started", None, None)


def test_a_currency_is_its_code_and_a_key_is_told_once() -> None:
    assert parse({**CALL, "properties": {"currency": "usd"}}).fields == {"currency": "USD"}
    line = json.dumps(CALL).encode()
    with pytest.raises(Refused, match="a key twice"):
        SegmentParser(ORIGIN).parse(line[:-1] + b', "userId": "v"}', 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    "type",
    "event",
    "userId",
    "anonymousId",
    "previousId",
    "groupId",
    "timestamp",
    "originalTimestamp",
    "messageId",
    "context",
    "properties",
    "traits",
    "name",
)


@given(st.dictionaries(st.sampled_from(KEYS), JSON), st.sampled_from([{}, CALL, {**CALL, "type": "page"}]))
def test_any_object_is_parsed_or_refused(odd: dict[str, Any], sound: dict[str, Any]) -> None:
    for call in ({**sound, **odd}, {**odd, **sound}):
        try:
            event = parse(call)
        except Refused:
            continue
        assert event.name and event.occurred_at_ms
        assert event.user_id or event.anonymous_id or call.get("type") not in ("identify", "alias")
        json.dumps(dict(event.properties), allow_nan=False)


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5_000, b"\x00", b'{"type":NaN}']
)
def test_hostile_lines(line: bytes) -> None:
    with pytest.raises(Refused):
        SegmentParser(ORIGIN).parse(line, 1)
