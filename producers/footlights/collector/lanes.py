"""Events of requests into spools: one lane for each tenant and source, one relay and one fsync for all.

In: calls of clients, the time at which they came.
Out: results by event; a wait that ends when all that was taken is on the disk, or with Kafka.
Never: an event told as taken that power loss can take back, nor one on the wire with a raw id.
"""

import asyncio
import errno
import logging
import traceback
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from footlights.collector.fitting import Fitter
from footlights.collector.keys import Key
from footlights.collector.letters import Letters
from footlights.collector.problems import Problem, unavailable
from footlights.collector.segment import Call
from footlights.ids import new_producer_id
from footlights.names import DEAD_LETTERS_TOPIC
from footlights.outcome import Refusal
from footlights.pseudonyms import Pseudonymiser
from footlights.records import Encoded
from footlights.refusals import CONSENT_CHANGED
from footlights.relay import Relay
from footlights.scrubber import Found
from footlights.spool import Limits, Spool, frame_of
from footlights.subjects import SubjectIds
from footlights.wires import KafkaWire, producer_config
from footlights.written import SchemaUnavailable

LOG = logging.getLogger("footlights.collector")
#: What a value can make a function raise. All else is no event's fault.
UNFORESEEN = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)
OK, WARNING, DROP, RETRY = "ok", "warning", "drop", "retry"
_TAKEN = frozenset({OK, WARNING})
_FULL = (errno.ENOSPC, errno.EDQUOT)
#: A request that waits for the disk looks so often whether Kafka was quicker.
LOOK_S = 0.02


class Result(NamedTuple):
    """What became of one event."""

    status: str
    message_id: str | None = None
    code: str = ""
    detail: str = ""

    def told(self) -> dict[str, str]:
        """As it stands in an answer."""
        out = {"status": self.status}
        if self.message_id:
            out["message_id"] = self.message_id
        if self.code:
            out |= {"error_code": self.code, "error": self.detail}
        return out


class _Load:
    """The events of one request on their way into a lane: one write for all of them."""

    def __init__(self, lane: "_Lane", limits: Limits) -> None:
        self.lane, self._limits = lane, limits
        self.results: list[Result] = []
        self._frames: list[bytes] = []
        self._next, self._written = lane.spool.sequence + 1, 0

    def add(self, encoded: Encoded, result: Result) -> None:
        """Number an event; `result` holds once it is written.

        Raises
        ------
        Refusal
            EVENT_TOO_LARGE.
        """
        self._frames.append(frame_of(encoded, self._next))
        self._next += 1
        self.results.append(result)

    def write(self) -> bool:
        """Write what was added since the last write; false, and results that say so, when the disk does not take it."""
        if not self._frames:
            return True
        problem: Result | None = None
        spool = self.lane.spool
        first = spool.sequence + 1
        try:
            if not spool.append(first, self._next - 1, b"".join(self._frames), self._limits, sync=False):
                problem = Result(RETRY, code="UNAVAILABLE", detail="the log is full, and Kafka does not answer")
        except OSError as error:
            problem = _not_written(error)
        if problem:
            self._next = first
            for place in range(self._written, len(self.results)):
                if self.results[place].status in _TAKEN:
                    self.results[place] = problem
        self._frames.clear()
        self._written = len(self.results)
        return problem is None


class _Lane:
    def __init__(self, spool: Spool, fitter: Fitter, relay: Relay) -> None:
        self.spool, self.fitter = spool, fitter
        self.refused: Counter[str] = Counter()
        self.sending = relay.add(spool, self.refused)


class Lanes:
    """All lanes of a collector process. Used by one event loop; the waits for the disk are on a thread."""

    def __init__(
        self,
        *,
        bootstrap_servers: str,
        schema_registry: str,
        folder: Path,
        pseudonymise: Pseudonymiser,
        limits: Limits,
        kafka_config: dict[str, Any] | None = None,
    ) -> None:
        self._root, self._limits, self._pseudonymise = folder / "spool", limits, pseudonymise
        # Who asked was answered by the disk: waiting longer for a full batch costs nobody, and single events a tenth less.
        config = producer_config(bootstrap_servers, 100_000, {"linger.ms": 25, **(kafka_config or {})})
        self._wire = KafkaWire(config, schema_registry, folder, 1.0, pseudonymise)
        self.relay = Relay(self._root, self._wire, sync_every_s=0.0)
        self._refusals = self._wire.refusals()
        self._refusals.start()
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._syncing: asyncio.Task[None] | None = None
        self.redacted: Counter[str] = Counter()

    @property
    def waiting_bytes(self) -> int:
        """Bytes in the spools of this process."""
        return sum(lane.spool.waiting_bytes for lane in self._lanes.values())

    def letters(self, key: bytes) -> Letters:
        """Dead letters that go out by the lanes' relay; `key` encrypts their payloads."""
        return Letters(key, partial(self.relay.tell, DEAD_LETTERS_TOPIC))

    def take(self, key: Key, calls: Iterable[Call | Result], received_ms: int, sent_ms: int) -> list[Result]:
        """Put the events of a request into their lane; they are safe after `settled`. A Result among the calls stays as it is.

        `sent_ms` is the client's clock when it sent the request: what it told of times is wrong by the difference.

        Raises
        ------
        Problem
            503 when no schema can be had, so that nothing can be taken.
        """
        lane = self._lanes.get((key.tenant_id, key.source)) or self._open(key)
        load, clocks = _Load(lane, self._limits), lane.fitter.clocks(received_ms, sent_ms)
        keys, results = self._refusals.keys, load.results
        for call in calls:
            if isinstance(call, Result):
                lane.refused[call.code] += 1
                results.append(call)
                continue
            found: Found = {}
            try:
                encoded = lane.fitter.fit(call, clocks, found)
                if encoded.key in keys and call.name != CONSENT_CHANGED:
                    lane.refused["OPTED_OUT"] += 1
                    results.append(Result(DROP, code="OPTED_OUT", detail="the person opted out of analytics"))
                    continue
                if found or call.ignored:
                    load.add(encoded, self._warning(encoded, found, call.ignored))
                else:
                    # In half the time of the constructor.
                    load.add(encoded, tuple.__new__(Result, (OK, encoded.message_id, "", "")))
            except Refusal as refusal:
                lane.refused[refusal.reason] += 1
                code = "SCHEMA_VIOLATION" if refusal.reason.startswith("INVALID") else refusal.reason
                results.append(Result(DROP, code=code, detail=refusal.detail))
            except SchemaUnavailable as problem:
                raise _no_schema() from problem
            except OSError as problem:
                results.append(_not_written(problem))
            except UNFORESEEN as problem:
                lane.refused["INVALID"] += 1
                results.append(unforeseen(problem))
            else:
                if call.name == CONSENT_CHANGED:
                    self._consent(load, call, encoded)
        load.write()
        self.relay.help()
        return results

    def _warning(self, encoded: Encoded, found: Found, ignored: tuple[str, ...]) -> Result:
        """What is told of an event that is taken, but for what was found in it, or could not be kept."""
        self.redacted.update(found)
        told = [f"redacted: {', '.join(sorted(found))}"] if found else []
        if ignored:
            told.append(f"ignored: {', '.join(ignored)}")
        return Result(WARNING, encoded.message_id, "REDACTED" if found else "IGNORED", "; ".join(told))

    def _consent(self, load: "_Load", call: Call, encoded: Encoded) -> None:
        """Say it now, once it stands: events of the same request may be of the same person."""
        allowed = call.properties.get("analytics_allowed")
        if isinstance(allowed, bool) and load.write():
            self._refusals.say(encoded.key, encoded.message_id, allowed=allowed)
            self.relay.consent(encoded.key, encoded.message_id, allowed=allowed)

    async def settled(self, key: Key) -> None:
        """Wait until all that was taken with a key is on the disk, or with Kafka where the disk is slower.

        Requests that wait together share an fsync. Where random ids stand for people only the disk counts: the ids must be on it.

        Raises
        ------
        Problem
            503 when the disk does not take it.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append(waiter)
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync())
        lane = self._lanes[key.tenant_id, key.source]
        number = lane.spool.sequence

        def look() -> None:
            if not waiter.done():
                if lane.sending.settled >= number:
                    waiter.set_result(None)
                else:
                    loop.call_later(LOOK_S, look)

        if not isinstance(self._pseudonymise, SubjectIds):
            loop.call_later(LOOK_S, look)
        await waiter

    async def _sync(self) -> None:
        try:
            while self._waiters:
                waiters, self._waiters = self._waiters, []
                problem: Problem | None = None
                try:
                    await asyncio.to_thread(self._sync_all)
                except OSError as error:
                    problem = unavailable(f"the log cannot be written: {error.strerror}")
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_exception(problem) if problem else waiter.set_result(None)
        finally:
            self._syncing = None

    def _sync_all(self) -> None:
        if isinstance(self._pseudonymise, SubjectIds):  # first: an event on the disk has its person there
            self._pseudonymise.sync()
        for lane in list(self._lanes.values()):
            lane.spool.sync()

    def close(self, timeout: float) -> int:
        """Send what is there; returns how many records stay for the next process."""
        left = self.relay.close(timeout)
        self._refusals.stop()
        self._wire.close()
        return left

    def _open(self, key: Key) -> _Lane:
        made = new_producer_id()
        try:
            spool = Spool.create(self._root, made, key.source, key.tenant_id)
        except OSError as problem:
            raise unavailable(f"the log cannot be written: {problem.strerror}") from problem
        fitter = Fitter(
            self._wire.schemas, self._pseudonymise, tenant_id=key.tenant_id, source=key.source, producer_id=made
        )
        lane = self._lanes[key.tenant_id, key.source] = _Lane(spool, fitter, self.relay)
        return lane


def unforeseen(problem: Exception) -> Result:
    """What is told of an event that made a function raise which should not have: it costs no other, and the log has no content."""
    frame = traceback.extract_tb(problem.__traceback__)[-1]
    LOG.error("an event could not be read: %s in %s, line %s", type(problem).__name__, frame.name, frame.lineno)
    return Result(DROP, code="SCHEMA_VIOLATION", detail="a value of the event cannot be read")


def _no_schema() -> Problem:
    return unavailable("the schema registry does not answer")


def _not_written(problem: OSError) -> Result:
    told = "the log's disk is full" if problem.errno in _FULL else "the log cannot be written"
    return Result(RETRY, code="UNAVAILABLE", detail=told)
