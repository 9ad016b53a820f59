"""From the spool to Kafka or a collector: sends in order, awaits acknowledgements, reports, takes over what dead processes left.

In: a spool of this process, folders of dead ones.
Out: records on their way by a wire, at least once and in order per partition; a report for each producer every few seconds.
Never: a record taken out of the spool before Kafka acknowledged it.
"""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from footlights.ids import KEY_SEPARATOR
from footlights.names import CONSENTS_TOPIC, ORIGIN_HEADER, REPORTS_TOPIC
from footlights.native import Flag, Held, Thread, acquire, allocate_lock, sleep
from footlights.outcome import LOG
from footlights.sending import Flight, Sending
from footlights.spool import Spool
from footlights.wires import Record, Wire

OnDelivery = Callable[[Record, str | None], None]

REPORT_EVERY_S, ADOPT_EVERY_S, KEEP_EVERY_S = 5.0, 5.0, 0.5
POLL_S, AGAIN_S = 0.01, 1.0
#: A thread that has done nothing for so long is helped; one that is helped leaves the work to the helper for a while, who rests
#: between two reads for as long as the last one took, and for the last of these at least.
LATE_S, HELPED_S, REST_S = 0.02, 0.05, 0.005
#: A dead process's last report is tried for so long after its last acknowledgement.
TELL_FOR_S = 86_400.0
_HOPELESS = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD})
_PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})


class Relay:
    """The thread that empties spools; one for each client and process.

    `helped`: whoever tracks does its work at once each time, since its thread may not run.
    """

    def __init__(
        self,
        root: Path,
        wire: Wire,
        *,
        on_delivery: OnDelivery | None = None,
        sync_every_s: float = 1.0,
        helped: bool = False,
    ) -> None:
        self._sendings: list[Sending] = []
        self._root, self._wire, self._on_delivery = root, wire, on_delivery
        self._sync_every_s = sync_every_s
        self._producer = wire.connect()
        self._generation, self._pause_s = 0, 0.0
        #: Held by whoever moves records or touches spools; acknowledgements need no lock.
        self._working, self._counting = allocate_lock(), allocate_lock()
        self._helpable = wire.helpable and on_delivery is None
        self._always = helped
        #: Every how many events whoever tracks asks whether to help; to ask costs a fiftieth of an event.
        self.ask_every = 1 if helped else 8
        self._help_from, self._helped = self._later(LATE_S), float("-inf")
        self._fatal = self._looked = self._settled = False
        self._stop = Flag()
        self._due = dict.fromkeys((self._keep, self._adopt, self._report_all), 0.0)
        if sync_every_s:
            self._due[self._sync] = 0.0
        self._thread = Thread(self._run)

    def add(self, spool: Spool, refused: Counter[str]) -> Sending:
        """Send what this process puts into a spool; `refused` goes into its reports."""
        sending = Sending(spool, refused)
        self._sendings.append(sending)
        return sending

    def _of(self, own: bool) -> list[Sending]:
        return [sending for sending in self._sendings if sending.own == own]

    @property
    def waiting(self) -> int:
        """Records of this process that Kafka has not acknowledged."""
        return sum(sending.unacknowledged for sending in self._of(own=True))

    def flush(self, timeout: float) -> int:
        """Wait until all is acknowledged; returns how many records still wait."""
        deadline = time.monotonic() + timeout
        while (left := self.waiting) and time.monotonic() < deadline:
            self.help()
            time.sleep(0.002)
        return left

    def help(self) -> None:
        """Do the thread's work in the thread that calls, when it has come to nothing lately, for half of the caller's time at most.

        Never waits, never raises.

        Each acknowledgement needs the interpreter's lock, which a thread that computes keeps for five milliseconds at a time:
        beside one, the relay's own thread takes a few dozen a second. Whoever tracks has the lock anyway.
        """
        now = time.monotonic()
        if now < self._help_from or not self._helpable or self._fatal:
            return
        if not self._working.acquire(blocking=False):
            return
        self._help_from, self._helped = self._later(LATE_S), now
        try:
            try:
                producer = self._producer
                moved = [self._send(sending) for sending in list(self._sendings)]
            finally:
                self._working.release()
            producer.poll(0)
            if any(moved):
                done = time.monotonic()
                self._help_from = self._later(max(done - now, REST_S))
        except Exception:  # the host goes on, and the thread comes to the same place
            self._help_from = now + AGAIN_S
            LOG.exception("the relay of footlights stumbled and goes on")

    def _later(self, seconds: float) -> float:
        return 0.0 if self._always else time.monotonic() + seconds

    def settle(self, deadline: float) -> None:
        """Wait until a new connection has carried what was there for it; asked before a fork, and waits once for a connection."""
        while not self._settled and not self._thread.is_current:
            self._settled = not self.waiting or time.monotonic() > deadline
            sleep(0 if self._settled else 0.001)

    def sync(self) -> None:
        """Bring what this process has put into its spools to the disk itself.

        Raises
        ------
        OSError
            When the disk does not take it.
        """
        with Held(self._working):
            self._sync()

    def consent(self, key: bytes, message_id: str, *, allowed: bool) -> None:
        """Tell the topic of consents at once; the event that says the same is in the spool, and the stream tells it again."""
        tenant_id, _, subject = key.decode().partition(KEY_SEPARATOR)
        record = {
            "tenant_id": tenant_id, "subject": subject, "analytics_allowed": allowed, "message_id": message_id,
            "said_at_ms": int(time.time() * 1000),
        }  # fmt: skip
        self.tell(CONSENTS_TOPIC, record, key)

    def tell(self, topic: str, record: dict[str, Any], key: bytes) -> None:
        """Send a record that is in no spool, if it can be sent now."""
        self._wire.tell(self._producer, topic, record, key)

    def take_over(self, timeout: float) -> int:
        """Look for spools of dead processes now and wait until they are sent; returns how many are not."""
        deadline, self._looked = time.monotonic() + timeout, False
        self._due[self._adopt] = 0.0
        while not self._looked or (self._of(own=False) and time.monotonic() < deadline):
            if time.monotonic() > deadline:
                break
            self._due[self._adopt] = 0.0
            time.sleep(0.05)
        return len(self._of(own=False))

    def close(self, timeout: float) -> int:
        """Flush, send the last report, stop; returns how many records stay in the spool for whoever comes next."""
        left = self.flush(timeout)
        self._stop.set()
        if not self._thread.join(5):  # nothing of it may be touched; the spool is taken over after this process
            return left
        acquire(self._working)  # and keep it: nobody helps any more
        self._keep()
        told = []
        for sending in self._of(own=True):
            with contextlib.suppress(OSError):
                sending.spool.sync()
            if self._report(sending, closing=not sending.unacknowledged):
                told.append(sending)
        done = self._producer.flush(min(timeout, 0.5) if left else max(1.0, min(timeout, 5.0))) == 0
        self._producer.purge()
        self._keep()
        for sending in self._sendings:
            sending.spool.close(remove=done and sending in told and not sending.unacknowledged)
        return left

    def abandon(self) -> None:
        """In a forked child: leave the parent's spools alone."""
        for sending in self._sendings:
            sending.spool.forget()

    # -- the thread

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                helped = time.monotonic() - self._helped < HELPED_S
                if helped:  # beside the helper it would only fight for the lock
                    self._stop.wait(HELPED_S)
                else:
                    with Held(self._working):
                        moved = [self._send(sending) for sending in list(self._sendings)]
                    self._producer.poll(0 if any(moved) else POLL_S)
                with Held(self._working):
                    self._look_after()
                if not helped:
                    self._help_from = self._later(LATE_S)
            except Exception:  # the thread must live as long as its client; what is in the spool stays there
                LOG.exception("the relay of footlights stumbled and goes on")
                self._stop.wait(1.0)

    def _look_after(self) -> None:
        """What is due from time to time."""
        if self._fatal:
            self._renew()
        now = time.monotonic()
        for work, due in self._due.items():
            if now >= due:
                self._due[work] = now + _EVERY.get(work.__name__, self._sync_every_s)
                work()

    def _send(self, sending: Sending) -> bool:
        """Hand what was read to the producer, until its queue is full; whether something moved."""
        flight = sending.next(self._generation)
        if flight is None:
            return False
        on_delivery = partial(self._delivered, sending, flight)
        produce, origin, moved = self._producer.produce, sending.origin, False
        for number, topic, key, payload, _ in flight.records[flight.sent :]:
            try:
                produce(topic, payload, key, -1, on_delivery, None, 0, [(ORIGIN_HEADER, f"{origin}{number}")])
            except BufferError:
                return moved
            except KafkaException as problem:
                if not self._hopeless(problem.args[0]):
                    return moved
                self._give_up(sending, flight, number, problem.args[0], payload)
            flight.sent += 1
            moved = True
        return moved

    def _delivered(self, sending: Sending, flight: Flight, error: KafkaError | None, message: Any) -> None:
        if flight.generation != self._generation:
            return
        if error is None:
            flight.left.pop()
        elif self._hopeless(error):
            payload = message.value() or b""
            self._give_up(sending, flight, flight.number_of(payload), error, payload)
        else:
            return
        if self._on_delivery and sending.own:
            # The host's function runs on our thread: whatever it raises must not end it.
            with contextlib.suppress(Exception):
                record = self._wire.read(message.topic(), message.value())
                self._on_delivery(record, None if error is None else error.name())

    def _hopeless(self, error: KafkaError) -> bool:
        """Whether a record can never be sent. All else, a missing topic or permission too, is tried again by another producer."""
        if error.code() in _HOPELESS:
            return True
        if not self._fatal and error.code() not in _PURGED:
            LOG.error("Kafka does not take records (%s): they wait in the spool", error.name())
            self._pause_s = 0.0 if error.fatal() else AGAIN_S
        self._fatal = True
        return False

    def _give_up(self, sending: Sending, flight: Flight, number: int, error: KafkaError, payload: bytes) -> None:
        flight.left.pop()
        with Held(self._counting):
            sending.failed += 1
        sending.spool.quarantine(f"refused-{number}", payload)
        LOG.error("record %d of %s is refused: %s", number, sending.spool.producer_id, error.name())

    def _renew(self) -> None:
        """After a fatal error a producer is of no use: make another and send again, under the same message ids."""
        self._generation += 1
        self._stop.wait(self._pause_s)
        self._pause_s = 0.0
        self._producer.purge()
        self._producer = self._wire.connect()
        self._fatal = self._settled = False
        for sending in list(self._sendings):
            sending.again()

    # -- from time to time

    def _keep(self) -> None:
        for sending in list(self._sendings):
            sending.spool.acknowledge(sending.settled)

    def _sync(self) -> None:
        for sending in self._of(own=True):
            sending.spool.sync()

    def _adopt(self) -> None:
        for spool in Spool.abandoned(self._root):
            self._sendings.append(Sending(spool))
        for sending in self._of(own=False):
            if not sending.spool.exhausted or sending.in_flight:
                continue
            spool = sending.spool
            spool.acknowledge(sending.settled)
            spool.sequence = spool.seen
            told = self._report(sending, closing=True) or spool.rested_s > TELL_FOR_S
            if told and self._producer.flush(1.0) == 0:
                self._sendings.remove(sending)
                spool.close(remove=True)
        self._looked = True

    def _report_all(self) -> None:
        for sending in self._of(own=True):
            self._report(sending, closing=False)

    def _report(self, sending: Sending, *, closing: bool) -> bool:
        """Tell how far a producer is; false when that cannot be told just now."""
        spool = sending.spool
        if not spool.sequence and not sending.refused:
            return True
        failed = sending.failed + spool.damaged
        report = {
            "tenant_id": spool.tenant_id, "source": spool.source, "producer_id": spool.producer_id,
            "reported_at_ms": int(time.time() * 1000), "last_sequence": spool.sequence,
            "acked": max(0, spool.seen - sending.in_flight - failed),
            "failed": failed, "refused": json.dumps(dict(sending.refused)), "closing": closing,
        }  # fmt: skip
        # When that fails the next report says more. A spool stays until its last one is told: without it what was sent would show
        # as unconfirmed for ever.
        return self._wire.tell(self._producer, REPORTS_TOPIC, report, spool.producer_id.encode())


_EVERY = {"_keep": KEEP_EVERY_S, "_adopt": ADOPT_EVERY_S, "_report_all": REPORT_EVERY_S}
