"""The embedded engine: one process owns the directory, every statement has a handle of its own.

In: statements.
Out: answers, whole or in blocks.
Never: two owners of one directory; a setting that outlives its request.
"""

import fcntl
import re
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chdb

from infra.embedded.gateway_errors import GatewayError
from infra.embedded.gateway_reader import LIMITS, check_settings
from infra.embedded.gateway_statement import Statement, quote
from infra.embedded.reader_gate import ReaderGate

READER = "reader"
USERS = ("default", READER)
#: Two distributions bring the module `chdb`, one with types and one without; which one stays depends on the order of installation.
_connect: Callable[[str], Any] = chdb.connect
_SESSIONS = 256
_LOCK_WAIT_S = 30
_OWNER_WAIT_S = 2.0
# The engine gives its own ids; a client's id travels as the statement's comment.
_ID = "Settings['log_comment']"
_KILL = re.compile(r"\s*KILL\s+QUERY\s", re.IGNORECASE)
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class DirectoryInUse(RuntimeError):
    """Another process owns the directory."""


class Engine:
    """The owner of a directory.

    Parameters
    ----------
    folder
        Holds the engine's files, its configuration, and data on their way in.
    max_memory
        Bytes that all queries together may take.

    Raises
    ------
    DirectoryInUse
        When another process owns the folder.
    """

    def __init__(self, folder: Path, *, max_memory: int) -> None:
        self.folder = folder.resolve()
        self.incoming = self.folder / "incoming"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _own(self.folder / "lock")
        self.nowhere = self.folder / "nowhere"
        for passing in (self.incoming, self.nowhere):
            shutil.rmtree(passing, ignore_errors=True)
            passing.mkdir()
        config = self.folder / "config.xml"
        config.write_text(_config(max_memory))
        self._address = f"{self.folder / 'engine'}?config-file={config}"
        self._keeper = _connect(self._address)
        self._keeper_lock = threading.Lock()
        self._sessions: OrderedDict[tuple[str, str], tuple[Any, threading.Lock]] = OrderedDict()
        self._sessions_lock = threading.Lock()
        self.timezone = self._ask("SELECT timezone()")
        names = self._ask("SELECT name FROM system.functions").split("\n")
        self._gate = ReaderGate(names, self._classify, self._ask)

    def close(self) -> None:
        """Close the engine; running statements must have ended."""
        with self._sessions_lock:
            for handle, _ in self._sessions.values():
                handle.close()
            self._sessions.clear()
        self._keeper.close()
        self._lock.close()

    @contextmanager
    def handle(self, statement: Statement) -> Iterator[Any]:
        """Give a handle on which the statement's database, settings and limits hold, for its time only."""
        if statement.user == READER:
            check_settings(statement.settings)
        if not statement.session or statement.user == READER:
            handle = _connect(self._address)
            try:
                _prepare(handle, statement)
                if statement.user == READER:
                    self._judge(handle, statement)
                yield handle
            finally:
                handle.close()
            return
        handle, lock = self._session(statement.user, statement.session)
        if not lock.acquire(timeout=_LOCK_WAIT_S):
            raise GatewayError(
                373, "SESSION_IS_LOCKED", f"Session {statement.session} is locked by a concurrent client."
            )
        try:
            _prepare(handle, statement)
            yield handle
        finally:
            for name in ("log_comment", *statement.settings):
                handle.query(f"SET {name} = DEFAULT")
            lock.release()

    def kill(self, query_id: str) -> None:
        """Stop the statement of that id, if it still runs."""
        self._ask(f"KILL QUERY WHERE {_ID} = {quote(query_id)} ASYNC")

    def kill_all(self) -> None:
        """Stop every client's statement; an unfinished insert is as one that never came."""
        self._ask(f"KILL QUERY WHERE {_ID} != '' ASYNC")

    def _session(self, user: str, name: str) -> tuple[Any, threading.Lock]:
        with self._sessions_lock:
            if (user, name) not in self._sessions:
                self._sessions[user, name] = (_connect(self._address), threading.Lock())
            self._sessions.move_to_end((user, name))
            if len(self._sessions) > _SESSIONS:
                for key, (handle, lock) in self._sessions.items():
                    if lock.acquire(blocking=False):
                        handle.close()
                        del self._sessions[key]
                        break
            return self._sessions[user, name]

    def _judge(self, handle: Any, statement: Statement) -> None:
        self._gate.check(
            statement.sql,
            statement.parameters,
            database=statement.database or "default",
            analyse=lambda sql, parameters: _text(handle, sql, parameters),
        )

    def _ask(self, sql: str, parameters: dict[str, str] | None = None) -> str:
        with self._keeper_lock:
            return _text(self._keeper, sql, parameters or {})

    def _classify(self, sql: str) -> Any:
        with self._keeper_lock:
            return self._keeper._conn.classify_query(sql)


def _text(handle: Any, sql: str, parameters: dict[str, str]) -> str:
    return bytes(handle.query(sql, "TSVRaw", params=parameters).bytes() or b"").decode(errors="replace").strip()


def executable(sql: str) -> str:
    """Return the statement as the engine runs it: KILL QUERY finds statements by the ids that clients gave.

    >>> executable("KILL QUERY WHERE query_id = 'a'")
    "KILL QUERY WHERE Settings['log_comment'] = 'a'"
    """
    return re.sub(r"\bquery_id\b", _ID, sql) if _KILL.match(sql) else sql


def _prepare(handle: Any, statement: Statement) -> None:
    if statement.database:
        handle.query(f"USE `{statement.database.replace('`', '')}`")
    for name in statement.settings:
        if not _SETTING.fullmatch(name):
            raise GatewayError(115, "UNKNOWN_SETTING", f"Setting {name} is unknown.")
    own = {"log_comment": statement.query_id, **statement.settings}
    # The reader's limits come last, so that nothing sent along can widen them, and readonly last of all.
    pinned = LIMITS if statement.user == READER else {}
    for settings in (own, pinned):
        if settings:
            handle.query("SET " + ", ".join(f"{name} = {quote(value)}" for name, value in settings.items()))


def _own(file: Path) -> Any:
    """Take the lock, waiting a little for an owner that was just killed."""
    handle = file.open("a")
    deadline = time.monotonic() + _OWNER_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except OSError as error:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            handle.close()
            raise DirectoryInUse(
                f"{file.parent} is in use by another process, and ClickHouse's embedded engine allows one owner of a "
                "directory; stop that process, or name another directory."
            ) from error


def _config(max_memory: int) -> str:
    # Parts replaced by a merge stay 480 s by default: many small inserts then take several times their size on disk.
    # The selector would drop small parts from the right of a merge until one is left, and so write a table's one large part anew
    # for each insert: kpi_points, of which 120,000 rows are a megabyte, every second and a half.
    return f"""\
<clickhouse>
  <max_server_memory_usage>{max_memory}</max_server_memory_usage>
  <merge_tree>
    <old_parts_lifetime>60</old_parts_lifetime>
    <merge_selector_enable_heuristic_to_remove_small_parts_at_right>0</merge_selector_enable_heuristic_to_remove_small_parts_at_right>
  </merge_tree>
</clickhouse>
"""
