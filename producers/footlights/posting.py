"""A producer over HTTP: posts batches of lines to a collector, one request at a time, until each event has its answer.

In: lines of JSON.
Out: for each line a call back: taken, or refused with the collector's code.
Never: a line given up because the collector is away, slow, out of room or does not know the key; nor one that holds up the others
because no request with it is ever answered well; nor two requests at once, so that the order stays.

A request that fails for neither of these reasons is cut in halves until one line is alone. Others overtake that one then, and it is
given up when they are taken and it still fails, so that it must be the line, or when it has been the only one for ten minutes.
"""

import gzip
import random
import time
from _queue import Empty, SimpleQueue  # gevent and eventlet put others into `queue`, which only their greenlets can use
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx2 as httpx
from confluent_kafka import KafkaError

from footlights.native import Flag, Thread
from footlights.outcome import LOG

PATH = "/api/analytics/events/track"
MOST_EVENTS, MOST_BYTES = 500, 512 << 10
#: Lines that may wait here; the others stay in the spool.
ROOM = 2_000
TIMEOUT_S, IDLE_S, LEAST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 0.1, 0.25, 30.0
OPTED_OUT = "OPTED_OUT"
#: Answers that say nothing of the content: the same request is made until it is answered otherwise.
WAITED_FOR = frozenset({401, 407, 408, 425, 429, 503})
#: Answers that say that it is the content, so that halves are tried at once, whoever gives them: many are a proxy's.
OF_CONTENT = frozenset({400, 413, 414, 422, 431})
#: So often a request is made before it is cut, a line alone before others overtake it, and before it is given up for an answer of
#: 5xx or none at all, which are mostly the server's: of one whose answers are good by half, one line in 250.
CUT_AFTER, SUSPECTED_AFTER, GIVEN_UP_AFTER_5XX = 2, 3, 8
#: Longest pause between two of these, and how long a line is tried that has no company.
LONGEST_ALONE_S, WITHOUT_COMPANY_S = 1.0, 600.0


class Rejected:
    """The collector refuses an event for good; speaks as an error of librdkafka does."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def code(self) -> int:
        """A code that is never tried again."""
        return int(KafkaError.INVALID_RECORD)

    def name(self) -> str:
        """The collector's reason."""
        return self._reason


class Posted(NamedTuple):
    """A line and whom to call back."""

    line: bytes
    on_delivery: Callable[[Any, Any], None]

    def topic(self) -> str:
        """There is one."""
        return "collector"

    def value(self) -> bytes:
        """The line."""
        return self.line


@dataclass
class Part:
    """Lines of one request; how often it failed, and when they were first sent, in whatever company."""

    lines: list[Posted]
    failed: int = 0
    since: float = field(default_factory=time.monotonic)

    def halves(self) -> list["Part"]:
        """Two parts of it."""
        half = len(self.lines) // 2
        return [Part(self.lines[:half], since=self.since), Part(self.lines[half:], since=self.since)]


class Taken(NamedTuple):
    """The collector has an answer for each line: None, or why it refuses it; `again` are those that it wants once more."""

    answers: list[tuple[Posted, Rejected | None]]
    again: list[Posted]


class Wait(NamedTuple):
    """The same request is to be made again, in so many seconds; 0 for as the sender likes."""

    after_s: float


class Failed(NamedTuple):
    """The request failed, and may do so for its content. `final`: the collector itself refuses it for that."""

    status: int
    code: str
    final: bool = False


class Poster:
    """The producer. `produce`, `poll`, `flush` and `purge` belong to one thread; requests are made on another."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url, self._headers = (
            url + PATH,
            {"authorization": f"Bearer {api_key}", "content-type": "application/json"},
        )
        self._waiting: SimpleQueue[Posted] = SimpleQueue()
        self._done: SimpleQueue[tuple[Posted, Rejected | None]] = SimpleQueue()
        self._open = 0
        self._stop = Flag()
        self._parts: list[Part] = []
        #: Lines that failed alone, and wait until others were taken or failed.
        self._suspects: list[Part] = []
        self._taken_at = float("-inf")
        self._pause_s, self._said, self._most = LEAST_PAUSE_S, "", MOST_EVENTS
        Thread(self._run)

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        partition: int,
        on_delivery: Callable[[Any, Any], None],
        instead: None,
        timestamp: int,
        headers: list[tuple[str, str | bytes | None]],
        /,
    ) -> None:
        """Take a line.

        Raises
        ------
        BufferError
            When enough of them wait.
        """
        if self._open >= ROOM:
            raise BufferError
        self._open += 1
        self._waiting.put(Posted(value, on_delivery))

    def poll(self, timeout: float) -> int:
        """Call back for what has its answer; waits that many seconds for the first."""
        called = 0
        while True:
            try:
                one, error = self._done.get(timeout=timeout) if timeout > 0 else self._done.get_nowait()
            except Empty:
                return called
            called, timeout = called + 1, 0
            self._open -= 1
            one.on_delivery(error, one)

    def flush(self, timeout: float) -> int:
        """Wait for the answers; returns how many lines have none."""
        deadline = time.monotonic() + timeout
        while self._open and (left := deadline - time.monotonic()) > 0:
            self.poll(left)
        return self._open

    def purge(self) -> None:
        """End, and forget what has no answer."""
        self._stop.set()

    # -- the thread

    def _run(self) -> None:
        with httpx.Client(headers=self._headers, timeout=TIMEOUT_S) as client:
            while not self._stop.is_set():
                try:
                    if not self._parts:
                        self._gather()
                    if not self._parts:
                        self._parts, self._suspects = self._suspects, []
                    if self._parts:
                        self._step(client)
                except Exception:  # the thread must live as long as its producer; the parts are still there
                    LOG.exception("posting stumbled and goes on")
                    self._stop.wait(1.0)

    def _gather(self) -> None:
        """What waits, as much as a request takes. While a request is on its way the next one gathers: no other lingering."""
        size, batch = 0, list[Posted]()
        try:
            while len(batch) < self._most and size < MOST_BYTES:
                batch.append(self._waiting.get_nowait() if batch else self._waiting.get(timeout=IDLE_S))
                size += len(batch[-1].line)
        except Empty:
            pass
        if batch:
            self._parts, self._pause_s = [Part(batch)], LEAST_PAUSE_S

    def _step(self, client: httpx.Client) -> None:
        """Post the next part; it stays until each of its lines has an answer, in halves where it is too much."""
        part = self._parts[0]
        told = self._post(client, part.lines)
        if isinstance(told, Taken):
            self._took(part, told)
        elif isinstance(told, Wait):
            self._rest(told.after_s, LONGEST_PAUSE_S)
        elif len(part.lines) > 1:
            part.failed += 1
            if told.status in OF_CONTENT or part.failed >= CUT_AFTER:
                self._most = len(part.lines) // 2
                self._parts[:1] = part.halves()
            else:
                self._rest(0.0, LONGEST_ALONE_S)
        else:
            self._alone(part, told)

    def _took(self, part: Part, told: Taken) -> None:
        self._note("")
        self._most = min(MOST_EVENTS, self._most + self._most // 8 + 1)
        for one, answer in told.answers:
            self._done.put((one, answer))
        self._parts[:1] = [Part(told.again)] if told.again else []
        if told.again:
            self._rest(0.0, LONGEST_PAUSE_S)
            return
        for suspect in self._suspects:
            if self._taken_at <= suspect.since:  # what failed before anything was taken may be the server's
                suspect.failed = SUSPECTED_AFTER - 1
        self._taken_at, self._pause_s = time.monotonic(), LEAST_PAUSE_S
        self._parts[:0], self._suspects = self._suspects, []

    def _alone(self, part: Part, told: Failed) -> None:
        """A line failed that was alone in its request."""
        part.failed += 1
        enough = part.failed >= (SUSPECTED_AFTER if 400 <= told.status < 500 else GIVEN_UP_AFTER_5XX)
        company = not self._waiting.empty() or self._suspects or len(self._parts) > 1
        for_long = not company and time.monotonic() - part.since > WITHOUT_COMPANY_S
        if told.final or (enough and (self._taken_at > part.since or for_long)):
            self._done.put((part.lines[0], Rejected(told.code)))
            del self._parts[0]
            return
        if part.failed >= SUSPECTED_AFTER:
            self._suspects.append(self._parts.pop(0))  # others show whether it is the line or the collector
        self._rest(0.0, LONGEST_PAUSE_S if enough else LONGEST_ALONE_S)

    def _rest(self, after_s: float, longest_s: float) -> None:
        self._stop.wait(after_s or min(longest_s, random.uniform(self._pause_s / 2, self._pause_s)))
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    def _post(self, client: httpx.Client, part: list[Posted]) -> Taken | Wait | Failed:
        body = b'{"sent_at": "%s", "events": [%s]}' % (
            datetime.now(UTC).isoformat(timespec="milliseconds").encode(),
            b", ".join(one.line for one in part),
        )
        try:
            got = client.post(self._url, content=gzip.compress(body, 1), headers={"content-encoding": "gzip"})
            if got.status_code == 413 and len(part) == 1:  # a line of zeros unpacks to more than a gzip may
                got = client.post(self._url, content=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as problem:
            self._note(f"does not answer ({type(problem).__name__})")
            return Wait(0.0)
        except httpx.HTTPError as problem:  # cut off, as some proxies do with what they do not take
            self._note(f"does not answer ({type(problem).__name__})")
            return Failed(0, "NO_ANSWER")
        told, status = _json(got), got.status_code
        if got.is_success:
            if (results := _results(told, len(part))) is not None:
                return self._answers(part, results)
            self._note(f"answers {status}, but not as a collector does")
            return Wait(0.0)
        code = told.get("error_code")
        if status in WAITED_FOR:
            self._note(f"answers {status} {code or ''}".rstrip())
            after = got.headers.get("retry-after", "")
            return Wait(min(float(after), LONGEST_PAUSE_S) if after.isascii() and after.isdigit() else 0.0)
        final = status in OF_CONTENT and isinstance(code, str)
        if not final:
            self._note(f"answers {status} {code or ''}".rstrip())
        return Failed(status, code if isinstance(code, str) else f"HTTP_{status}", final)

    @staticmethod
    def _answers(part: list[Posted], results: list[dict[str, Any]]) -> Taken:
        told = Taken([], [])
        for one, result in zip(part, results, strict=True):
            status, code = result.get("status"), str(result.get("error_code"))
            if status == "retry":
                told.again.append(one)
            else:
                told.answers.append((one, Rejected(code) if status == "drop" and code != OPTED_OUT else None))
        return told

    def _note(self, problem: str) -> None:
        """Say what keeps events waiting, once for each cause; never the key."""
        if problem and problem != self._said:
            LOG.error("the collector %s: events wait in the spool", problem)
        self._said = problem


def _json(got: httpx.Response) -> dict[str, Any]:
    try:
        told = got.json()
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _results(told: dict[str, Any], count: int) -> list[dict[str, Any]] | None:
    """A result for each event. Anything else, a page of a proxy for example, is no answer of a collector."""
    data = told.get("data")
    results = data.get("results") if isinstance(data, dict) else None
    whole = isinstance(results, list) and len(results) == count and all(isinstance(r, dict) for r in results)
    return results if whole else None
