"""The embedded engine: one process owns the directory, every statement has a handle of its own.

In: statements.
Out: answers, whole or in blocks.
Never: two owners of one directory; a setting that outlives its request.
"""

import fcntl
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import chdb

from infra.embedded.folders import check_folder
from infra.embedded.gateway_errors import GatewayError
from infra.embedded.gateway_identity import ID
from infra.embedded.gateway_sessions import Sessions
from infra.embedded.gateway_settings import READONLY, SERVER_DEFAULTS, bounded, check_names, explaining
from infra.embedded.gateway_statement import Statement, encoded, quote
from infra.embedded.gateway_users import READER
from infra.embedded.reader_gate import ReaderGate

#: Two distributions bring the module `chdb`, one with types and one without; which one stays depends on the order of installation.
_connect: Callable[[str], Any] = chdb.connect
_OWNER_WAIT_S = 2.0


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
        check_folder(self.folder)
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
        self.sessions = Sessions(lambda: _connect(self._address))
        self.timezone = self._ask("SELECT timezone()")
        types = self._ask("SELECT name, content_type FROM system.formats WHERE is_output").splitlines()
        #: The media type of each format.
        self.content_types = dict(line.split("\t", 1) for line in types)
        names = self._ask("SELECT name FROM system.functions").split("\n")
        self._gate = ReaderGate(names, self._classify, self._ask)

    def close(self) -> None:
        """Close the engine; running statements must have ended."""
        self.sessions.close()
        self._keeper.close()
        self._lock.close()

    @contextmanager
    def handle(self, statement: Statement) -> Iterator[Any]:
        """Give a handle on which the statement's database, settings, limits and tables hold, for its time only.

        Raises
        ------
        GatewayError
            For what the user may not do, and for a session that is locked or not there.
        """
        if statement.reading:
            self._only_reads(statement.sql)
        check_names(statement.settings)
        if statement.roles:
            raise GatewayError(511, "UNKNOWN_ROLE", f"There is no role `{statement.roles[0]}` in user directories.")
        if statement.session and statement.user != READER:
            with self._within_session(statement, statement.session) as handle:
                yield handle
            return
        with self._opened(statement) as handle:
            if statement.user == READER:
                self._judge(handle, statement)
            yield handle

    def kill(self, query_id: str) -> None:
        """Stop the statement of that id, if it still runs."""
        self._ask(f"KILL QUERY WHERE {ID} = {quote(query_id)} ASYNC")

    def kill_all(self) -> None:
        """Stop every client's statement; an unfinished insert is as one that never came."""
        self._ask(f"KILL QUERY WHERE {ID} != '' ASYNC")

    @contextmanager
    def _opened(self, statement: Statement) -> Iterator[Any]:
        handle = _connect(self._address)
        try:
            _prepare(handle, statement, self._settings(handle, statement))
            yield handle
        finally:
            handle.close()

    @contextmanager
    def _within_session(self, statement: Statement, name: str) -> Iterator[Any]:
        """Give the session's handle; what the request alone brought is gone afterwards, what the statement set stays."""
        taken = self.sessions.take(
            statement.user, name, timeout_s=statement.session_timeout_s, must_exist=statement.session_check
        )
        with taken as handle:
            settings = self._settings(handle, statement)
            if settings.pop(READONLY, "0") != "0":
                # On this handle it would hold for ever: not even `SET readonly = 0` is allowed then.
                self._only_reads(statement.sql)
            before = _values(handle, settings)
            database = _text(handle, "SELECT currentDatabase()", {})
            try:
                _prepare(handle, statement, settings)
                yield handle
            finally:
                _set(handle, before)
                for table in statement.external:
                    table.drop(handle)
                if statement.database:
                    handle.query(f"USE `{database}`")

    def _settings(self, handle: Any, statement: Statement) -> dict[str, str]:
        own = {**SERVER_DEFAULTS, "log_comment": statement.query_id, **statement.settings}
        if statement.user != READER:
            return own
        sent = bounded(statement.settings, lambda name: _values(handle, {name: ""}).get(name, ""))
        return {**own, **sent}

    def _only_reads(self, sql: str) -> None:
        verdict = self._classify(sql)
        if verdict["query_class"].name != "READ_ONLY" or verdict["statement_count"] != 1:
            raise GatewayError(164, "READONLY", "Cannot execute query in readonly mode; POST writes.")

    def _judge(self, handle: Any, statement: Statement) -> None:
        whole = explaining(statement.settings)
        if whole != statement.settings:
            # On a handle of its own: a limit that the client narrowed must not shorten what the gate looks at.
            with self._opened(replace(statement, settings=whole)) as other:
                self._judge(other, replace(statement, settings=whole))
            return
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
            return self._keeper._conn.classify_query(encoded(sql))


def _text(handle: Any, sql: str, parameters: dict[str, str]) -> str:
    return (
        bytes(handle.query(encoded(sql), "TSVRaw", params=parameters).bytes() or b"").decode(errors="replace").strip()
    )


def _prepare(handle: Any, statement: Statement, settings: Mapping[str, str]) -> None:
    """Take the statement's database and settings, and make its tables; `readonly` comes last: after it nothing can be set."""
    if statement.database:
        handle.query(f"USE `{statement.database.replace('`', '')}`")
    _set(handle, {name: value for name, value in settings.items() if name != READONLY})
    for table in statement.external:
        table.create(handle)
    if READONLY in settings:
        _set(handle, {READONLY: settings[READONLY]})


def _set(handle: Any, settings: Mapping[str, str]) -> None:
    if settings:
        handle.query("SET " + ", ".join(f"{name} = {quote(value)}" for name, value in settings.items()))


def _values(handle: Any, settings: Mapping[str, str]) -> dict[str, str]:
    """Return what the settings of these names are now."""
    names = ", ".join(map(quote, settings))
    if not names:
        return {}
    rows = _text(handle, f"SELECT toJSONString((name, value)) FROM system.settings WHERE name IN ({names})", {})
    return dict(json.loads(row) for row in rows.splitlines())


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
  <query_log>
    <database>system</database>
    <table>query_log</table>
    <flush_interval_milliseconds>1000</flush_interval_milliseconds>
    <ttl>event_date + INTERVAL 2 DAY DELETE</ttl>
  </query_log>
</clickhouse>
"""
