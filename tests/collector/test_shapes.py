"""What a client says is stored somewhere or told; its clock is corrected before it is judged; nobody is an ordinary person."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from footlights import HmacPseudonymiser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.collector.inside import Inside, Told, inside
from tests.collector.test_one_by_one import GOOD, LISTS, OWN, POSTHOG, SEGMENT

TOLERANCE_MS = 3_000


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with inside(tmp_path_factory.mktemp("inside")) as made:
        yield made


def since(told: Told) -> list[int]:
    """How long before it was received each event happened, milliseconds."""
    return [one["received_at_ms"] - one["occurred_at_ms"] for one in told.stored]


CLOCKS = [
    ("1970-01-01T00:05:10Z", "1970-01-01T00:05:00Z"), ("1970-01-01T00:00:05Z", "1969-12-31T23:59:55Z"),
    ("2107-03-01T00:00:10+00:00", "2107-03-01T00:00:00Z"), ("0001-01-01T00:00:10Z", "0001-01-01T00:00:00Z"),
    ("9999-12-31T23:59:59Z", "9999-12-31T23:59:49Z"), ("1999-12-31T23:59:59Z", "1999-12-31T23:59:49Z"),
    ("2000-01-01T00:00:05Z", "1999-12-31T23:59:55Z"), (310_000, 300_000), (-5_000, -15_000), (4_328_000_010_000, 4_328_000_000_000),
    (1_780_000_010, 1_780_000_000), (1_780_000_010.5, 1_780_000_000.5), ("2026-06-01T12:00:10+02:00", 1_780_308_000_000),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "occurred"), CLOCKS)
@pytest.mark.parametrize("path", GOOD)
def test_a_clock_is_corrected_before_it_is_judged(collector: Inside, path: str, sent: Any, occurred: Any) -> None:
    name = "sent_at" if path != SEGMENT else "sentAt"
    event = {**GOOD[path], "timestamp": occurred}
    for body in ({LISTS[path]: [event], name: sent}, {LISTS[path]: [{**event, name: sent}]}):
        told = collector.post(path, body)
        assert told.results == [("ok", "")] and since(told) == [10_000]
        assert told.stored[0]["sent_at_ms"] >= 946_684_800_000
    if path == SEGMENT:
        told = collector.post("/v1/track", {**event, name: sent})
        assert told.results == [("ok", "")] and since(told) == [10_000]
        moved = {**GOOD[path], "originalTimestamp": occurred}
        assert since(collector.post(path, {"batch": [moved], name: sent})) == [10_000]


@pytest.mark.parametrize("path", GOOD)
def test_a_time_that_nothing_corrects_is_refused(collector: Inside, path: str) -> None:
    for odd in ("1970-01-01T00:05:00Z", "2107-01-01T00:00:00Z", 300_000, True, {}, [1], "soon", 1e300, 10**30):
        told = collector.post(path, {LISTS[path]: [GOOD[path], {**GOOD[path], "timestamp": odd}]})
        assert told.results == [("ok", ""), ("drop", "SCHEMA_VIOLATION")], odd


def test_posthogs_other_ways_to_tell_a_time(collector: Inside) -> None:
    assert since(collector.post(POSTHOG, {**GOOD[POSTHOG], "offset": 10_000})) == [10_000]
    event = {**GOOD[POSTHOG], "timestamp": "1970-01-01T00:05:00Z"}
    assert since(collector.post("/e", event, query="ip=1&_=000000310000&ver=1")) == [10_000]


def test_a_clock_that_cannot_be_read_is_told(collector: Inside) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    told = collector.post(SEGMENT, {"batch": [{**GOOD[SEGMENT], "timestamp": now}], "sentAt": "soon"})
    assert told.results == [("warning", "IGNORED")] and abs(since(told)[0]) < TOLERANCE_MS
    assert told.body["data"]["results"][0]["error"] == "ignored: sentAt"


@pytest.mark.parametrize("path", GOOD)
def test_an_event_without_a_person_is_stored(collector: Inside, path: str) -> None:
    nobody = {n: v for n, v in GOOD[path].items() if n not in ("userId", "user_id", "distinct_id")}
    told = collector.post(path, {LISTS[path]: [nobody, {**nobody, "user_id": "", "userId": None, "distinct_id": ""}]})
    assert told.results == [("ok", ""), ("ok", "")]
    for one in told.stored:
        assert (one["user_id"], one["anonymous_id"], one["quantity"]) == (None, None, 1)
        assert one["key"] == f"default\x1f{one['message_id']}".encode()


@pytest.mark.parametrize("kind", ["identify", "alias"])
def test_who_says_something_of_a_person_names_one(collector: Inside, kind: str) -> None:
    for value in ({}, {"userId": ""}, {"userId": "null"}, {"userId": {"id": 1}}):
        assert collector.post(f"/v1/{kind}", value).status == 422
    name = "$identify" if kind == "identify" else "$create_alias"
    assert collector.post(POSTHOG, {"event": name}).status == 422


@pytest.mark.parametrize("odd", [{}, [], True, False, 0, 1.5, {"id": "rosa"}, ["rosa"], "null", "undefined"])
@pytest.mark.parametrize(("path", "name"), [(OWN, "user_id"), (SEGMENT, "userId"), (POSTHOG, "distinct_id")])
def test_an_id_that_is_none_is_told_and_kept_nowhere(collector: Inside, path: str, name: str, odd: Any) -> None:
    told = collector.post(path, {LISTS[path]: [{**GOOD[path], name: odd}]})
    assert told.results == [("warning", "IGNORED")]
    assert told.stored[0]["user_id"] is None and "rosa" not in json.dumps(told.stored[0]["properties"])


ODD: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {
    OWN: [
        ({"properties": "text"}, {"properties": "text"}), ({"context": []}, {"context": []}), ({"amount": "12"}, {"amount": "12"}),
        ({"amount": {"value": 12}}, {"amount": {"value": 12}}), ({"automatic": "yes"}, {"automatic": "yes"}),
        ({"context": {"city": {"n": 1}, "shoe": 44}}, {"context": {"city": {"n": 1}, "shoe": 44}}),
        ({"event": "other"}, {"event": "other"}), ({"quantity": [2]}, {"quantity": [2]}),
    ],
    SEGMENT: [
        ({"properties": "text"}, {"properties": "text"}), ({"context": []}, {"quantity": None, "context": []}),
        ({"properties": {"automatic": 3}}, {"automatic": 3}), ({"context": {"device": 5}}, {"context": {"device": 5}}),
        ({"context": {"os": {"name": ["x"]}}}, {"context": {"os": {"name": ["x"]}}}),
        ({"context": {"userAgent": 7}}, {"context": {"userAgent": 7}}), ({"colour": "red"}, {"colour": "red"}),
        ({"traits": 5}, {"traits": 5}), ({"type": "identify", "traits": 5}, {"traits": 5}),
        ({"type": "page", "name": 5, "context": {"page": {"url": 9}}}, {"name": 5, "context": {"page": {"url": 9}}}),
        ({"type": "group", "groupId": []}, {"groupId": []}), ({"type": "page", "context": {"page": []}}, {"context": {"page": []}}),
    ],
    POSTHOG: [
        ({"properties": "text"}, {"properties": "text"}), ({"$set": 5}, {"$set": 5}),
        ({"properties": {"$set": 5}}, {"$set": 5}), ({"offset": "x"}, {"offset": "x"}), ({"colour": "red"}, {"colour": "red"}),
        ({"properties": {"$browser": 5, "$user_agent": []}}, {"$browser": 5, "$user_agent": []}),
        ({"properties": {"a": 1, "$set": {"a": 2, "b": 3}}}, {"a": 1, "b": 3, "$set": {"a": 2}}),
        ({"properties": {"$set": {"a": 1}}, "$set": {"b": 2}}, {"a": 1, "b": 2}),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("path", "odd", "kept"), [(path, *one) for path, pairs in ODD.items() for one in pairs])
def test_what_does_not_fit_stays_a_property(
    collector: Inside, path: str, odd: dict[str, Any], kept: dict[str, Any]
) -> None:
    told = collector.post(path, {LISTS[path]: [{**GOOD[path], **odd}]})
    assert told.results == [("ok", "")], told.body
    found = told.stored[0]["properties"]
    assert {n: v for n, v in kept.items() if v is not None}.items() <= found.items(), found


#: A word that nothing else says, in any place of an event: it is stored there or elsewhere, or the answer names its field.
WORD = "zebra-7f"
HOLDERS = st.sampled_from([WORD, [WORD], {"in": WORD}, {"amount_minor": WORD}, {"name": WORD}, {"type": WORD}])
FIELDS = {
    OWN: ["event", "event_type", "session_id", "occurred_at", "message_id", "context", "properties", "automatic", "amount", "x"],
    SEGMENT: ["anonymousId", "messageId", "timestamp", "context", "properties", "traits", "name", "groupId", "previousId", "event",
              "category"],
    POSTHOG: ["uuid", "timestamp", "offset", "properties", "$set", "$set_once", "x"],
}  # fmt: skip
#: Ids are stored as pseudonyms.
IDS = {"session_id", "anonymousId", "previousId"}


@given(st.sampled_from(sorted(GOOD)), st.sampled_from(["track", "page", "identify", "group", "alias"]), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_called_ok_that_was_dropped(collector: Inside, path: str, kind: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(FIELDS[path]))
    value = data.draw(HOLDERS)
    event = {**GOOD[path], "type": kind, name: value} if path == SEGMENT else {**GOOD[path], name: value}
    told = collector.post(path, {LISTS[path]: [event]})
    status = told.results[0][0]
    if status == "ok":
        stored = json.dumps(told.stored, default=repr)
        pseudonym = HmacPseudonymiser(b"k" * 32)("default", WORD)
        assert WORD in stored or (name in IDS and pseudonym in stored), (event, told.stored)


def test_a_batchs_context_is_each_events(collector: Inside) -> None:
    event = {**GOOD[SEGMENT], "context": {"os": {"name": "iOS"}}}
    shared = {"campaign": {"name": "spring"}, "os": {"name": "Android"}}
    told = collector.post(SEGMENT, {"batch": [event, GOOD[SEGMENT]], "context": shared})
    assert [(one["campaign"], one["os"]) for one in told.stored] == [("spring", "iOS"), ("spring", "Android")]


@pytest.mark.parametrize("path", GOOD)
def test_a_currency_is_a_code_or_refused(collector: Inside, path: str) -> None:
    def event(currency: Any) -> dict[str, Any]:
        money = {"amount_minor": 4_500, "currency": currency}
        return {**GOOD[path], **(money if path == OWN else {"properties": money})}

    written = ["USD", "usd", " Usd", "US$", "€", "jpy", "USDD", "$", "GBp", "", 840, ["USD"], "rosa@example.org"]
    told = collector.post(path, {LISTS[path]: [event(one) for one in written]})
    assert told.results == [("ok", "")] * 6 + [("drop", "SCHEMA_VIOLATION")] * 7
    assert [one["currency"] for one in told.stored] == ["USD", "USD", "USD", "USD", "EUR", "JPY"]
    assert {one["amount_minor"] for one in told.stored} == {4_500}
