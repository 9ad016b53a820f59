"""Run a statement in a thread and hand its answer to the event loop, block by block.

In: a statement.
Out: progress, a head, then blocks; at most 16 wait at a time, so a slow client slows the engine instead of filling memory.
Never: a block after the client is gone.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.embedded.gateway_engine import Engine
from infra.embedded.gateway_formats import gives_rows, has_head, is_query, named_format, streams, without_head
from infra.embedded.gateway_identity import executable
from infra.embedded.gateway_native import NativeVersion
from infra.embedded.gateway_statement import Statement, encoded

_BLOCKS = 16
# Rows that are there wait for more no longer than this.
_HOLD_S = 0.2


@dataclass(frozen=True)
class Progress:
    """How far a statement is, as a header's value."""

    text: str


@dataclass(frozen=True)
class Head:
    """What is known before the first block: the format of the rows, if there are any, and the counts so far."""

    format: str | None
    summary: str


Item = Progress | Head | bytes


class Answer:
    """The way of one answer from the engine's thread to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._items: asyncio.Queue[Item | BaseException | None] = asyncio.Queue()
        self._room = threading.Semaphore(_BLOCKS)
        self.gone = threading.Event()
        self.ended = False

    def put(self, item: Item | BaseException | None) -> bool:
        """Hand over an item from the engine's thread; False when the client is gone."""
        if isinstance(item, bytes):
            self._room.acquire()
        if self.gone.is_set():
            return False
        self._loop.call_soon_threadsafe(self._items.put_nowait, item)
        return True

    async def get(self) -> Item | None:
        """Return the next item, None at the end.

        Raises
        ------
        Exception
            What the engine raised.
        """
        item = await self._items.get()
        self.ended = item is None or isinstance(item, BaseException)
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, bytes):
            self._room.release()
        return item

    def abandon(self) -> None:
        """Tell the engine's thread that nobody listens any more."""
        self.gone.set()
        self._room.release()


def run(engine: Engine, statement: Statement, answer: Answer) -> None:
    """Run the statement and put its answer; blocking. The statement's files are deleted."""
    try:
        with engine.handle(statement) as handle:
            if statement.progress_ms:
                handle.set_progress_callback(_reporter(answer, statement.progress_ms))
            try:
                _run_on(handle, statement, answer)
            finally:
                if statement.progress_ms:
                    handle.set_progress_callback(None)
        answer.put(None)
    except Exception as error:  # the edge between the engine's thread and the client, who is told
        answer.put(error)
    finally:
        for path in (statement.data, *(table.path for table in statement.external)):
            if path is not None:
                path.unlink(missing_ok=True)


def _reporter(answer: Answer, interval_ms: int) -> Callable[[Mapping[str, int]], None]:
    last = time.monotonic()

    def report(counts: Mapping[str, int]) -> None:
        nonlocal last
        if time.monotonic() - last >= interval_ms / 1000:
            last = time.monotonic()
            answer.put(Progress(_header(counts)))

    return report


def _run_on(handle: Any, statement: Statement, answer: Answer) -> None:
    rows = statement.data is None and gives_rows(statement.sql)
    named = named_format(statement.sql) if rows else None
    name = named[0] if named else statement.default_format
    sql, started = encoded(executable(statement.sql)), time.perf_counter_ns()
    native = _native_version(handle, statement, named[1] if named else statement.sql) if name == "Native" else None
    if rows and streams(name, statement.sql, statement.settings):
        blocks = _stream(handle, sql, name, statement.parameters)
        if blocks is not None and _send_blocks(blocks, name, native, statement, answer):
            return
    result = handle.query(sql, name, params=statement.parameters)
    counts = _Counts(started)
    counts.add(result, reads=rows)
    answer.put(Head(name if rows else None, counts.header()))
    data = bytes(result.bytes() or b"")
    answer.put(native.rewrite(data) if native else data)


def _native_version(handle: Any, statement: Statement, sql: str) -> NativeVersion:
    types: list[str] = []
    if statement.protocol_version and is_query(sql):
        described = encoded(f"DESCRIBE TABLE ({executable(sql).rstrip().rstrip(';')}\n)")
        try:
            answer = handle.query(described, "JSONCompact", params=statement.parameters).bytes()
            types = [row[1] for row in json.loads(bytes(answer))["data"]]
        except (RuntimeError, ValueError):
            pass  # The statement itself will say what is wrong with it.
    return NativeVersion(statement.protocol_version, types)


def _send_blocks(blocks: Any, name: str, native: NativeVersion | None, statement: Statement, answer: Answer) -> bool:
    """Send a stream; False when nothing was sent because there is no row and the format has a head all the same.

    As on a server, the first `buffer_size` bytes wait, with `wait_end_of_query` all: a statement that fails before has its
    error's status, and the summary of a short answer is whole.
    """
    counts, held, size, sent = _Counts(), list[bytes](), 0, False
    until = time.monotonic() + _HOLD_S
    for index, block in enumerate(blocks):
        counts.add(block)
        data = bytes(block.bytes() or b"")
        if native:
            data = native.rewrite(data, single=True)
        elif index:
            data = without_head(name, data)
        held.append(data)
        size += len(data)
        if sent or (not statement.wait_end and (size > statement.buffer_bytes or time.monotonic() > until)):
            if not sent:
                answer.put(Head(name, counts.header()))
                sent = True
            if not all(map(answer.put, held)):
                blocks.close()
                return True
            held.clear()
    if not sent:
        if not held and has_head(name):
            return False
        answer.put(Head(name, counts.header()))
        for data in held or [b""]:
            answer.put(data)
    return True


def _stream(handle: Any, sql: bytes, name: str, parameters: dict[str, str]) -> Iterator[Any] | None:
    try:
        stream: Iterator[Any] = handle.send_query(sql, name, params=parameters)
    except RuntimeError as error:
        # SHOW and a few more are answered whole only.
        if "Streaming query is not supported" in str(error):
            return None
        raise
    return stream


class _Counts:
    """What the parts of an answer say together."""

    def __init__(self, started_ns: int | None = None) -> None:
        self._started = time.perf_counter_ns() if started_ns is None else started_ns
        self._counts = dict.fromkeys(
            ("read_rows", "read_bytes", "written_rows", "written_bytes", "result_rows", "result_bytes"), 0
        )

    def add(self, part: Any, *, reads: bool = True) -> None:
        """Add what the engine says of a part."""
        written = part.rows_written(), part.bytes_written()
        values = (
            *(part.storage_rows_read(), part.storage_bytes_read()),
            *written,
            *((part.rows_read(), part.bytes_read()) if reads else written),
        )
        for name, value in zip(self._counts, values, strict=True):
            self._counts[name] += value

    def header(self) -> str:
        """Return the counts as a header's value."""
        elapsed = time.perf_counter_ns() - self._started
        return _header({**self._counts, "total_rows_to_read": self._counts["read_rows"], "elapsed_ns": elapsed})


def _header(counts: Mapping[str, int]) -> str:
    return json.dumps({name: str(value) for name, value in counts.items()}, separators=(",", ":"))
