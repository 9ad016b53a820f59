"""What is on its way: never told settled too early, refused records known by their numbers, a backlog helped until it is gone."""

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from footlights import relay, spool
from footlights.frames import framed
from footlights.ids import fresh_uuid7
from footlights.relay import Relay
from footlights.sending import Sending
from footlights.spool import ACKED, QUARANTINE, Limits, Spool
from footlights.wires import Wire

LIMITS = Limits(1 << 30, 3_600.0)
TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)


class Message:
    """What the call back gets."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    def value(self) -> bytes:
        return self._payload


class Carrier:
    """A producer that acknowledges when it is told to; `room` records at once, `refuses` payloads at once or later."""

    helpable, room = True, 1_000_000
    refuses: bytes = b""
    hears = True

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, Callable[[Any, Any], None]]] = []
        self.told: list[dict[str, Any]] = []

    def produce(
        self, topic: str, value: bytes, key: bytes, _: int, told: Callable[[Any, Any], None], *more: Any
    ) -> None:
        if value == self.refuses:
            raise KafkaException(TOO_LARGE)
        if len(self.taken) >= self.room:
            raise BufferError
        self.taken.append((value, told))

    def connect(self) -> "Carrier":
        return self

    def tell(self, _: Any, topic: str, record: dict[str, Any], key: bytes) -> bool:
        if self.hears:
            self.told.append(record)
        return self.hears

    def poll(self, _: float) -> int:
        return 0

    def flush(self, _: float) -> int:
        return 0

    def purge(self) -> None:
        self.taken.clear()

    def answer(self, count: int, error: KafkaError | None = None) -> None:
        """Call back for the oldest records."""
        for value, told in self.taken[:count]:
            told(error, Message(value))
        del self.taken[:count]


def put(place: Spool, first: int, last: int) -> None:
    frames = b"".join(framed(n, b"t", b"k", b"payload %d" % n) for n in range(first, last + 1))
    assert place.append(first, last, frames, LIMITS, sync=False)


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def moved(tmp_path: Path, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Relay, Sending]]:
    """A relay without its thread, which the test moves by `_send`, and what it sends."""
    monkeypatch.setattr(Relay, "_run", lambda self: self._stop.wait())
    made = Relay(tmp_path, cast(Wire, carrier))
    yield made, made.add(Spool.create(tmp_path, "a" * 32, "shop", "default"), Counter())
    if not made._stop.is_set():
        made.close(0.0)


def test_settled_follows_what_was_read_together(moved: tuple[Relay, Sending], carrier: Carrier) -> None:
    made, sending = moved
    put(sending.spool, 1, 5)
    assert (sending.settled, sending.unacknowledged) == (0, 5)
    assert made._send(sending) and not made._send(sending)
    put(sending.spool, 6, 8)
    assert made._send(sending)
    carrier.answer(4)
    assert (sending.settled, sending.unacknowledged) == (0, 4)
    carrier.answer(1)
    assert (sending.settled, sending.unacknowledged) == (5, 3)
    carrier.answer(3)
    assert (sending.settled, sending.unacknowledged) == (8, 0)
    made._send(sending)
    assert not sending._way[1]


def test_what_finds_no_room_goes_on_where_it_stopped(moved: tuple[Relay, Sending], carrier: Carrier) -> None:
    made, sending = moved
    carrier.room = 3
    put(sending.spool, 1, 7)
    seen = []
    while sending.unacknowledged:
        made._send(sending)
        seen += [value for value, _ in carrier.taken]
        carrier.answer(len(carrier.taken))
    assert seen == [b"payload %d" % n for n in range(1, 8)]
    assert sending.settled == 7


@pytest.mark.parametrize("at_once", [True, False])
def test_a_record_that_can_never_be_sent_is_put_aside_under_its_number(
    moved: tuple[Relay, Sending], carrier: Carrier, tmp_path: Path, at_once: bool
) -> None:
    made, sending = moved
    put(sending.spool, 1, 3)
    carrier.refuses = b"payload 2" if at_once else b""
    made._send(sending)
    carrier.answer(1)
    if not at_once:
        carrier.answer(1, TOO_LARGE)
    assert (sending.settled, sending.unacknowledged, sending.failed) == (0, 1, 1)
    carrier.answer(1)
    assert (sending.settled, sending.unacknowledged, sending.failed) == (3, 0, 1)
    (aside,) = (tmp_path / QUARANTINE).iterdir()
    assert aside.name == f"{'a' * 32}-refused-2" and aside.read_bytes() == b"payload 2"


def test_another_producer_gets_all_that_is_not_settled_and_the_old_one_is_not_heard(
    moved: tuple[Relay, Sending], carrier: Carrier
) -> None:
    made, sending = moved
    put(sending.spool, 1, 2)
    made._send(sending)
    carrier.answer(2)
    put(sending.spool, 3, 5)
    made._send(sending)
    old = list(carrier.taken)
    carrier.answer(1)
    carrier.answer(1, KafkaError(KafkaError._FATAL))
    assert made._fatal
    made._pause_s = 0.0
    made._renew()
    assert (sending.settled, sending.unacknowledged) == (2, 3)
    made._send(sending)
    assert [value for value, _ in carrier.taken] == [b"payload %d" % n for n in (3, 4, 5)]
    for value, told in old:
        told(None, Message(value))
    assert (sending.settled, sending.unacknowledged) == (2, 3)
    carrier.answer(3)
    assert (sending.settled, sending.unacknowledged) == (5, 0)


def test_whoever_asks_meanwhile_never_hears_too_little(
    moved: tuple[Relay, Sending], carrier: Carrier, monkeypatch: pytest.MonkeyPatch, restless: None
) -> None:
    monkeypatch.setattr(spool, "READ_BYTES", 400)  # hundreds of reads
    made, sending = moved
    put(sending.spool, 1, 3_000)
    stop, acknowledged, wrong = threading.Event(), set[bytes](), []

    def ask() -> None:
        while not stop.is_set():
            left, settled = sending.unacknowledged, sending.settled
            if left + len(acknowledged) < 3_000 or settled > len(acknowledged):
                wrong.append((left, settled, len(acknowledged)))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for step in range(10_000):
        if not sending.unacknowledged:
            break
        made._send(sending)
        for value, _ in list(carrier.taken):
            acknowledged.add(value)  # told first: one that asks between the two may hear too much
            carrier.answer(1)
        if step in {3, 40, 200, 400}:  # a producer fails with records on their way
            made._send(sending)
            carrier.purge()
            sending.again()
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong and len(acknowledged) == 3_000


def test_a_backlog_is_helped_until_it_is_gone(
    moved: tuple[Relay, Sending], carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, sending = moved
    monkeypatch.setattr(relay, "LATE_S", 3_600.0)  # help that waited so long each time would send no second read
    made._help_from = 0.0
    put(sending.spool, 1, 20_000)
    while len(carrier.taken) < 20_000:
        made.help()
    assert len(sending._way[1]) > 1
    while made._help_from < time.monotonic() + 1_800:  # nothing is left to help with
        made.help()
    carrier.answer(20_000)


@pytest.mark.parametrize("rested", [False, True])
def test_a_dead_process_is_kept_in_mind_until_its_last_report_is_told(
    moved: tuple[Relay, Sending], carrier: Carrier, tmp_path: Path, rested: bool
) -> None:
    made, _ = moved
    dead = Spool.create(tmp_path, "b" * 32, "shop", "default")
    put(dead, 1, 4)
    dead.close(remove=False)
    carrier.hears = False  # the registry is away, and nothing on the disk says how a report is written
    made._adopt()
    (heir,) = made._of(own=False)
    made._send(heir)
    carrier.answer(4)
    assert not made._send(heir)
    made._adopt()
    assert dead.folder.exists() and made._of(own=False) == [heir]
    if rested:  # a day without a registry that knows of reports: nobody is waited for any longer
        os.utime(dead.folder / ACKED, (0, 0))
    else:
        carrier.hears = True
    made._adopt()
    assert not dead.folder.exists() and not made._of(own=False)
    assert rested or (carrier.told[-1]["producer_id"], carrier.told[-1]["last_sequence"]) == ("b" * 32, 4)


@pytest.mark.parametrize("hears", [True, False])
def test_who_ends_without_a_last_report_leaves_it_to_an_heir(
    moved: tuple[Relay, Sending], carrier: Carrier, hears: bool
) -> None:
    made, sending = moved
    put(sending.spool, 1, 2)
    made._send(sending)
    carrier.answer(2)
    carrier.hears = hears
    assert made.close(1.0) == 0
    assert sending.spool.folder.exists() != hears


def test_ids_of_many_threads_are_different() -> None:
    found: list[list[str]] = [[] for _ in range(8)]
    threads = [
        threading.Thread(target=lambda mine=mine: mine.extend(fresh_uuid7(1) for _ in range(20_000))) for mine in found
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for mine in found for one in mine}) == 160_000
