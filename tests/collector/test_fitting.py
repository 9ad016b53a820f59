"""A foreign event becomes the record that the SDK makes of the same values, split into columns and properties and then scrubbed."""

from pathlib import Path
from typing import Any

import pytest
from footlights import HmacPseudonymiser, uuid7_of
from footlights.collector.fitting import Fitter
from footlights.collector.segment import Call
from footlights.foreign import split_columns
from footlights.outcome import Refusal
from footlights.records import Encoded, Recorder
from footlights.registry import Schemas
from footlights.scrubber import Found, scrub_properties, scrub_text
from footlights.written import Written
from hypothesis import given
from hypothesis import strategies as st

from infra.replay.shapes import columns_of
from schemas.families import FAMILIES
from schemas.topics import TOPICS

WHO: dict[str, Any] = {"tenant_id": "default", "source": "shop", "producer_id": "p" * 32}
NOW, SENT = 1_780_000_000_000, 1_779_999_999_000


class Declared(Schemas):
    """The schemas as they are declared, without a registry."""

    def written(self, subject: str) -> Written:
        topic = TOPICS[subject.removesuffix("-value")]
        return Written(subject, 7, topic.record.text)


DECLARED = Declared("http://127.0.0.1:1", Path("/nonexistent"), 0.1)
FITTER = Fitter(DECLARED, HmacPseudonymiser(b"k" * 32), **WHO)


def split(call: Call, found: Found) -> Encoded:
    """The same by way of the SDK's recorder."""
    recorder = Recorder(DECLARED, HmacPseudonymiser(b"k" * 32), **WHO)
    fields, properties = split_columns(columns_of(call.name), call.properties)
    for name, value in fields.items():
        if isinstance(value, str) and name != "host_id":
            fields[name], more = scrub_text(value)
            found.update({kind: found.get(kind, 0) + number for kind, number in more.items()})
    properties_, more = scrub_properties(properties)
    found.update({kind: found.get(kind, 0) + number for kind, number in more.items()})
    original = uuid7_of(call.original_ms or 0, "default", "shop", call.original_id or "")
    ago = None if call.ago_ms is None else NOW - call.ago_ms
    occurred = ago if call.occurred_ms is None else call.occurred_ms + NOW - SENT
    return recorder.encode(
        call.name,
        (call.user_id, call.anonymous_id, call.session_id, None, properties_, NOW if occurred is None else occurred, call.context,
         call.automatic, original, SENT, NOW, call.original_id, fields),
    )  # fmt: skip


def outcome(made: Any) -> Any:
    """What a function returns, or the refusal that it raises."""
    try:
        return made()
    except Refusal as refusal:
        return refusal.reason, refusal.detail


WORDS = st.sampled_from(
    ["gold", "USD", "", " x ", "42", "-7", "3.0", "null", "mail rosa@example.org", "+49 30 901820", "[email]", "password=hunter22"]
)  # fmt: skip
PLAIN = st.none() | st.booleans() | st.integers(-5, 700) | st.integers() | st.floats() | WORDS | st.text(max_size=5)
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2))
NAMES = st.sampled_from(
    sorted({n for f in FAMILIES.values() for n in f.kinds} | {"seat", "token", "rosa@example.org", "note"})
)
EVENTS = st.sampled_from(
    ["ticket_purchased", "page_view", "operation_timed", "hosted_event_created", "feedback_given", "own_name"]
)
CALLS = st.builds(
    Call,
    name=EVENTS,
    occurred_ms=st.none() | st.integers(1_700_000_000_000, 1_800_000_000_000) | st.just(-1),
    original_ms=st.none() | st.integers(0, 1 << 45),
    original_id=st.text(min_size=1, max_size=9),
    user_id=st.none() | st.sampled_from(["u1", "rosa@example.org"]),
    anonymous_id=st.just("a1"),
    session_id=st.none() | st.just("s1"),
    automatic=st.booleans(),
    context=st.just({}) | st.fixed_dictionaries({"device": st.sampled_from(["phone", "desktop"])}),
    properties=st.dictionaries(NAMES, VALUES, max_size=5),
    ignored=st.just(()),
    ago_ms=st.none() | st.integers(0, 10**11),
)


@given(CALLS)
def test_a_foreign_event_is_written_as_the_sdk_writes_it(call: Call) -> None:
    expected, got = Found(), Found()
    wanted = outcome(lambda: split(call, expected))
    assert outcome(lambda: FITTER.fit(call, FITTER.clocks(NOW, SENT), got)) == wanted
    if isinstance(wanted, Encoded):
        assert got == expected


def piece(call: Call, column: str, found: Found | None = None) -> bytes:
    """What stands in a column of a call's record."""
    encoded = FITTER.fit(call, FITTER.clocks(NOW, SENT), Found() if found is None else found)
    return encoded.pieces[FITTER._form(call.name).columns[column].index]


@pytest.mark.parametrize("host", ["rosa@example.org", "+49 30 901820", "4111 1111 1111 1111"])
def test_a_host_whose_id_looks_like_personal_data_keeps_a_pseudonym_of_its_own(host: str) -> None:
    found = Found()
    call = Call(name="hosted_event_created", user_id=host, properties={"host_id": host})
    assert piece(call, "host_id", found) == piece(call, "user_id")
    assert not found


def test_what_a_client_says_around_its_event_is_scrubbed_too() -> None:
    found = Found()
    call = Call(name="page_view", user_id="u", context={"campaign": "for rosa@example.org", "city": "Rome"})
    assert piece(call, "campaign", found).endswith(b"for [email]")
    assert piece(call, "city").endswith(b"Rome")
    assert found == {"email": 1}


def test_a_text_that_had_something_is_looked_into_each_time() -> None:
    call = Call(name="page_view", user_id="u", properties={"title": "for rosa@example.org"})
    for _ in range(2):
        found = Found()
        assert piece(call, "title", found).endswith(b"for [email]")
        assert found == {"email": 1}
