"""The rule of withholding, and the reader that says when it may be applied."""

import io
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import fastavro
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro_batch import frame_header
from schemas.consent_reader import ConsentReader
from schemas.consents import GRACE_MS, Consents, statements
from schemas.families import INTERNAL

NAMES = ("search", "search", "consent_changed")
IDS = st.sampled_from(["ann", "ben", "cat"])
SAID = st.tuples(IDS, st.booleans(), st.integers(0, 20_000))
EVENT = st.tuples(IDS | st.none(), IDS | st.none(), st.integers(0, 30_000), st.sampled_from(NAMES))


def frame_of(events: Sequence[tuple[str | None, str | None, int, str]], tenant: str = "t") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "tenant_id": [tenant] * len(events), "user_id": [e[0] for e in events], "anonymous_id": [e[1] for e in events],
            "event_name": [e[3] for e in events],
        },
        schema={"tenant_id": pl.String, "user_id": pl.String, "anonymous_id": pl.String, "event_name": pl.String},
    )  # fmt: skip


@given(st.lists(SAID, max_size=12), st.lists(EVENT, max_size=12), st.data())
def test_the_rule_is_that_of_its_words(
    said: list[tuple[str, bool, int]], events: list[tuple[str | None, str | None, int, str]], data: st.DataObject
) -> None:
    said = sorted(said, key=lambda s: s[2])
    consents = Consents()
    for number, (who, allowed, at) in enumerate(said):
        consents.say("t", who, allowed=allowed, message_id=f"m{number}", appended_ms=at)
        again = data.draw(st.integers(0, number))  # a repeat of an earlier statement says nothing
        consents.say("t", said[again][0], allowed=said[again][1], message_id=f"m{again}", appended_ms=at)

    def refused(who: str | None, at: int) -> bool:
        told = [allowed for subject, allowed, when in said if subject == who and when <= at - GRACE_MS]
        return bool(told) and not told[-1]

    expected = [
        row
        for row, (user, visitor, at, name) in enumerate(events)
        if name != "consent_changed" and (refused(user, at) or refused(visitor, at))
    ]
    assert consents.withheld(frame_of(events), lambda: [e[2] for e in events]) == expected
    assert not consents.withheld(frame_of(events, "another"), lambda: [e[2] for e in events])


def test_what_is_said_later_changes_no_decision_about_earlier_records() -> None:
    events, times = [("ann", None, at, "search") for at in range(0, 10_000, 100)], list(range(0, 10_000, 100))
    consents = Consents()
    consents.say("t", "ann", allowed=False, message_id="a", appended_ms=1_000)
    before = consents.withheld(frame_of(events), lambda: times)
    consents.say("t", "ann", allowed=True, message_id="b", appended_ms=times[-1] - GRACE_MS + 1)
    assert consents.withheld(frame_of(events), lambda: times) == before == [r for r in range(100) if times[r] >= 3_000]


def test_statements_are_those_of_both_ids() -> None:
    frame = frame_of(
        [("ann", "v1", 0, "consent_changed"), ("ben", None, 0, "consent_changed"), ("cat", None, 0, "search")]
    )
    frame = frame.with_columns(
        analytics_allowed=pl.Series([False, None, True]), message_id=pl.Series(["m1", "m2", "m3"]), occurred_at_ms=5
    )
    same = {"tenant_id": "t", "analytics_allowed": False, "message_id": "m1", "said_at_ms": 5}
    assert statements(frame) == [{**same, "subject": "ann"}, {**same, "subject": "v1"}]


class Log:
    """What the reader asks of Kafka, and the faults of a test."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, int]] = []
        self.read_to = 0
        self.blocked, self.absent = threading.Event(), False

    def append(self, who: str, *, allowed: bool, at: int, value: bytes | None = None) -> None:
        buffer = io.BytesIO(frame_header(1))
        buffer.seek(5)
        record = {
            "tenant_id": "t",
            "subject": who,
            "analytics_allowed": allowed,
            "message_id": str(at),
            "said_at_ms": at,
        }
        fastavro.schemaless_writer(buffer, fastavro.parse_schema(INTERNAL["consent"].schema), record)
        self.records.append((buffer.getvalue() if value is None else value, at))

    def assign(self, _: Any) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    def list_topics(self, name: str, timeout: float) -> Any:
        return type("M", (), {"topics": {name: type("T", (), {"error": "unknown" if self.absent else None})}})

    def get_watermark_offsets(self, _: Any, timeout: float) -> tuple[int, int]:
        return 0, len(self.records)

    def consume(self, most: int, wait_s: float) -> list[Any]:
        if self.blocked.is_set():
            time.sleep(0.02)
            return []
        found, self.read_to = self.records[self.read_to :], len(self.records)
        if not found:
            time.sleep(0.02)
        return [Message(self.read_to - len(found) + i, *one) for i, one in enumerate(found)]


class Message:
    def __init__(self, offset: int, value: bytes, at: int) -> None:
        self._offset, self._value, self._at = offset, value, at

    def error(self) -> None:
        return None

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes:
        return self._value

    def timestamp(self) -> tuple[int, int]:
        return 2, self._at


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_is_fresh_only_with_everything_read() -> None:
    log = Log()
    log.append("ann", allowed=False, at=1_000)
    log.append("", allowed=False, at=1_500, value=b"\0\0\0\0\1\xff")  # no consent; passed over
    log.append("ben", allowed=False, at=2_000)
    log.blocked.set()
    reader = ConsentReader(log, None, lambda _: INTERNAL["consent"].schema).start()
    try:
        time.sleep(0.3)
        assert not reader.fresh()
        log.blocked.clear()
        until(reader.fresh)
        assert reader.consents.refuses("t", ["ann"], 3_000) and reader.consents.refuses("t", [None, "ben"], 4_000)
        log.blocked.set()
        log.append("cat", allowed=False, at=9_000)
        until(lambda: not reader.fresh())
        log.blocked.clear()
        reader.await_fresh()
        assert reader.consents.refuses("t", ["cat"], 11_000)
    finally:
        reader.stop()


def test_an_outage_of_the_registry_is_no_permission() -> None:
    log, away = Log(), threading.Event()
    log.append("ann", allowed=False, at=1_000)
    away.set()

    def schema_of(_: int) -> dict[str, Any]:
        if away.is_set():
            raise OSError("away")
        return INTERNAL["consent"].schema

    reader = ConsentReader(log, None, schema_of).start()
    try:
        time.sleep(0.3)
        assert not reader.fresh()
        away.clear()
        until(reader.fresh)
        assert reader.consents.refuses("t", ["ann"], 3_000)
    finally:
        reader.stop()


def test_a_topic_that_was_there_does_not_become_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schemas.consent_reader.ABSENT_S", 0.1)
    log = Log()
    log.absent = True
    reader = ConsentReader(log, None, lambda _: INTERNAL["consent"].schema).start()
    try:
        until(reader.fresh)  # no topic: nobody ever said anything
        log.absent = False
        log.append("ann", allowed=False, at=1_000)
        until(lambda: reader.consents.refuses("t", ["ann"], 3_000))
        log.absent = True  # a broker that starts
        until(lambda: not reader.fresh())
    finally:
        reader.stop()
