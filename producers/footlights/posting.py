"""A producer over HTTP: posts batches of lines to a collector, one request at a time, until each event has its answer.

In: lines of JSON.
Out: for each line a call back: taken, or refused with the collector's code.
Never: a line given up because the collector is away, slow, out of room or does not know the key; nor two requests at once, so
that the order stays.
"""

import gzip
import random
import time
from _queue import Empty, SimpleQueue  # gevent and eventlet put others into `queue`, which only their greenlets can use
from collections.abc import Callable
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
OPTED_OUT, SMALLER = "OPTED_OUT", (400, 413, 422)


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
        self._parts: list[list[Posted]] = []
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
            self._parts, self._pause_s = [batch], LEAST_PAUSE_S

    def _step(self, client: httpx.Client) -> None:
        """Post the next part; it stays until each of its lines has an answer, in halves where it is too much."""
        part = self._parts[0]
        answers, after = self._post(client, part)
        if answers is not None:
            self._note("")
            self._most = min(MOST_EVENTS, self._most + self._most // 8 + 1)
            del self._parts[0]
            for one, answer in zip(part, answers, strict=True):
                self._done.put((one, answer))
        elif after is None:
            self._most = half = len(part) // 2
            self._parts[:1] = [part[:half], part[half:]]
        else:
            self._stop.wait(after or random.uniform(self._pause_s / 2, self._pause_s))
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    def _post(self, client: httpx.Client, part: list[Posted]) -> tuple[list[Rejected | None] | None, float | None]:
        """(answers, 0); (None, seconds) when the same is to be sent again, 0 for as the sender likes; (None, None): in halves."""
        body = b'{"sent_at": "%s", "events": [%s]}' % (
            datetime.now(UTC).isoformat(timespec="milliseconds").encode(),
            b", ".join(one.line for one in part),
        )
        try:
            got = client.post(self._url, content=gzip.compress(body, 1), headers={"content-encoding": "gzip"})
            if got.status_code == 413 and len(part) == 1:  # a line of zeros unpacks to more than a gzip may
                got = client.post(self._url, content=body)
        except httpx.HTTPError as problem:
            self._note(f"does not answer ({type(problem).__name__})")
            return None, 0.0
        told = _json(got)
        if got.is_success and (results := _results(told, len(part))) is not None:
            return [self._answer(result) for result in results], 0.0
        code = told.get("error_code")
        if got.status_code in SMALLER and isinstance(code, str):
            return (None, None) if len(part) > 1 else ([Rejected(code)], 0.0)
        self._note(f"answers {got.status_code} {code or ''}".rstrip())
        after = got.headers.get("retry-after", "")
        return None, min(float(after), LONGEST_PAUSE_S) if after.isdigit() else 0.0

    @staticmethod
    def _answer(result: dict[str, Any]) -> Rejected | None:
        code = str(result.get("error_code"))
        return Rejected(code) if result.get("status") == "drop" and code != OPTED_OUT else None

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
