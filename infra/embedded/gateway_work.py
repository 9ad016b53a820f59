"""Run a statement in a thread and hand its answer to the event loop, block by block.

In: a statement.
Out: a head, then blocks; at most 16 wait at a time, so a slow client slows the engine instead of filling memory.
Never: a block after the client is gone.
"""

import asyncio
import json
import re
import threading
import time
from dataclasses import dataclass
from typing import Any

from infra.embedded.gateway_engine import Engine, executable
from infra.embedded.gateway_statement import Statement

_STREAMED = frozenset({"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"})
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_GIVES_ROWS = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:SELECT|WITH|SHOW|DESC|DESCRIBE|EXPLAIN|EXISTS|CHECK|VALUES|FROM|BACKUP|RESTORE|\()",
    re.IGNORECASE | re.DOTALL,
)
_BLOCKS = 16


@dataclass(frozen=True)
class Head:
    """What is known before the first block."""

    format: str | None
    summary: str = "{}"


class Answer:
    """The way of one answer from the engine's thread to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._items: asyncio.Queue[Head | bytes | BaseException | None] = asyncio.Queue()
        self._room = threading.Semaphore(_BLOCKS)
        self.gone = threading.Event()
        self.ended = False

    def put(self, item: Head | bytes | BaseException | None) -> bool:
        """Hand over an item from the engine's thread; False when the client is gone."""
        if isinstance(item, bytes):
            self._room.acquire()
        if self.gone.is_set():
            return False
        self._loop.call_soon_threadsafe(self._items.put_nowait, item)
        return True

    async def get(self) -> Head | bytes | None:
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
    """Run the statement and put its answer; blocking. The statement's data file is deleted."""
    try:
        with engine.handle(statement) as handle:
            _run_on(handle, statement, answer)
        answer.put(None)
    except Exception as error:  # the edge between the engine's thread and the client, who is told
        answer.put(error)
    finally:
        if statement.data is not None:
            statement.data.unlink(missing_ok=True)


def gives_rows(sql: str) -> bool:
    """Whether the statement answers with rows, comments before it aside."""
    return bool(_GIVES_ROWS.match(sql))


def _run_on(handle: Any, statement: Statement, answer: Answer) -> None:
    sql, parameters = executable(statement.sql), statement.parameters
    found = _FORMAT.search(sql)
    rows = statement.data is None and gives_rows(sql)
    name = found.group(1) if found and rows else statement.default_format
    if rows and name in _STREAMED and not statement.wait_end:
        blocks = _stream(handle, sql, name, parameters)
        if blocks is not None:
            answer.put(Head(name))
            for block in blocks:
                if not answer.put(bytes(block.bytes() or b"")):
                    blocks.close()
                    return
            return
    started = time.perf_counter_ns()
    result = handle.query(sql, name, params=parameters)
    answer.put(Head(name if rows else None, _summary(result, time.perf_counter_ns() - started, rows)))
    answer.put(bytes(result.bytes() or b""))


def _stream(handle: Any, sql: str, name: str, parameters: dict[str, str]) -> Any:
    try:
        return handle.send_query(sql, name, params=parameters)
    except RuntimeError as error:
        # SHOW and a few more are answered whole only.
        if "Streaming query is not supported" in str(error):
            return None
        raise


def _summary(result: Any, elapsed_ns: int, reads: bool) -> str:
    rows, size = result.rows_read(), result.bytes_read()
    counts = {"read_rows": rows, "read_bytes": size, "elapsed_ns": elapsed_ns}
    written = {"written_rows": 0 if reads else rows, "written_bytes": 0 if reads else size}
    return json.dumps({name: str(value) for name, value in {**counts, **written}.items()})
