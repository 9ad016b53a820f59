"""Events inside the service's own transaction: they exist exactly when the transaction does, and are relayed afterwards.

In: a connection with an open transaction (DB-API, SQLAlchemy or Django), an event.
Out: a row of the outbox; later a record in the spool, in the order of the rows.
Never: an event of a transaction that was rolled back; nor one lost, by power loss either. A crash
between spool and delete repeats a message id.
"""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from footlights.checks import checked_ms
from footlights.client import Client
from footlights.ids import fresh_uuid7
from footlights.outcome import LOG, OPTED_OUT, SPOOLED, Money, Outcome
from footlights.processes import ProcessLock

#: One statement for SQLite, PostgreSQL, MySQL: no generated keys, since the id is ours.
CREATE = """CREATE TABLE IF NOT EXISTS {table} (
    message_id VARCHAR(36) PRIMARY KEY, position BIGINT NOT NULL, event TEXT NOT NULL, refused VARCHAR(200)
)"""
Rows = list[Sequence[Any]]
_FOR_ANOTHER_TIME = frozenset({"SPOOL_FULL", "SPOOL_FAILED", "UNAVAILABLE", "CLOSED", "INTERNAL"})


class Database(Protocol):
    """What an outbox asks of a connection."""

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        """Run a statement whose values stand as `?`; returns its rows, [] when it has none."""

    def commit(self) -> None:
        """End the transaction."""

    def rollback(self) -> None:
        """Take the transaction back."""


class DbApi:
    """A connection of PEP 249, or Django's, whose statements mark values with %s."""

    def __init__(self, connection: Any, mark: str | None = None) -> None:
        self._connection, self._mark = connection, mark or _mark_of(connection)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        """Run a statement."""
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql.replace("?", self._mark), tuple(values))
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            cursor.close()

    def commit(self) -> None:
        """End the transaction."""
        self._connection.commit()

    def rollback(self) -> None:
        """Take the transaction back."""
        self._connection.rollback()


class SqlAlchemy:
    """A Session or a Connection of SQLAlchemy."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        """Run a statement."""
        from sqlalchemy import text

        for number in range(len(values)):
            sql = sql.replace("?", f":v{number}", 1)
        result = self._connection.execute(text(sql), {f"v{n}": value for n, value in enumerate(values)})
        return list(result.fetchall()) if result.returns_rows else []

    def commit(self) -> None:
        """End the transaction."""
        self._connection.commit()

    def rollback(self) -> None:
        """Take the transaction back."""
        self._connection.rollback()


def database(connection: Any) -> Database:
    """What speaks to this connection, by the package that it comes from."""
    package = type(connection).__module__.partition(".")[0]
    if package == "sqlalchemy":
        return SqlAlchemy(connection)
    return DbApi(connection, "%s" if package == "django" or hasattr(connection, "settings_dict") else None)


def _mark_of(connection: Any) -> str:
    module = sys.modules.get(type(connection).__module__.partition(".")[0])
    style = getattr(module, "paramstyle", "qmark")
    if style not in ("qmark", "format", "pyformat"):
        raise ValueError(f"the driver's paramstyle {style} is not known here; give DbApi(connection, mark)")
    return "?" if style == "qmark" else "%s"


class Outbox:
    """The outbox of one service: a table in its own database.

    Parameters
    ----------
    client
        Checks the events, and sends them when they are relayed.
    table
        Name of the table; `create` makes it.
    """

    def __init__(self, client: Client, table: str = "footlights_outbox") -> None:
        if not table.replace("_", "").replace(".", "").isalnum():
            raise ValueError("a table's name has letters, digits, underscores and dots only")
        self._client, self._table = client, table
        self._position, self._lock = 0, ProcessLock()

    def create(self, connection: Any) -> None:
        """Make the table where it is missing; the caller commits."""
        database(connection).execute(CREATE.format(table=self._table))

    def track(self, connection: Any, event_name: str, **values: Any) -> Outcome:
        """Put an event into the caller's transaction; the arguments are those of `Client.track`.

        Returns
        -------
        Outcome
            True when the row was written; refusals are those of `Client.track`.

        Raises
        ------
        Exception
            What the database raises: the host's transaction is in doubt then, and it must know.
        """
        now = time.time()
        values["message_id"] = values.get("message_id") or fresh_uuid7(int(now * 1000))
        values["occurred_at"] = values.get("occurred_at") or int(now * 1000)
        checked = self._client.check(event_name, **values)
        if not checked and checked.reason:
            return checked
        if checked:
            text = json.dumps([event_name, _plain(values)])
            with self._lock.held():
                self._position = max(self._position + 1, int(now * 1_000_000))
                position = self._position
            insert = f"INSERT INTO {self._table} (message_id, position, event) VALUES (?, ?, ?)"
            database(connection).execute(insert, (values["message_id"], position, text))
        return Outcome(SPOOLED if checked else checked.status, message_id=values["message_id"])

    def relay(self, connection: Any, limit: int = 500) -> int:
        """Move the oldest rows into the spool and delete them, in a transaction of its own; returns how many moved.

        Raises
        ------
        Exception
            What the database raises, or OSError of the spool's disk: the rows are still there.
        """
        held = database(connection)
        try:
            moved, refused = self._move(held, limit)
            # Power loss may not take from the spool what the database is about to forget.
            self._client._sync()
            for message_id in moved:
                held.execute(f"DELETE FROM {self._table} WHERE message_id = ?", (message_id,))
            for message_id, reason in refused.items():
                held.execute(f"UPDATE {self._table} SET refused = ? WHERE message_id = ?", (reason, message_id))
            held.commit()
        except BaseException:
            with contextlib.suppress(Exception):  # whoever gives the same connection again starts anew
                held.rollback()
            raise
        return len(moved)

    def _move(self, held: Database, limit: int) -> tuple[list[str], dict[str, str]]:
        """Track the oldest rows: (ids of those that are done with, reasons of those that never can be sent)."""
        rows = held.execute(
            f"SELECT message_id, event FROM {self._table} WHERE refused IS NULL ORDER BY position, message_id LIMIT {int(limit)}"
        )
        moved, refused = list[str](), dict[str, str]()
        for message_id, text in rows:
            event_name, values = json.loads(text)
            if "amount" in values:
                values["amount"] = Money(*values["amount"])
            outcome = self._client.track(event_name, **values)
            if outcome or outcome.status == OPTED_OUT:
                moved.append(message_id)
            elif not outcome.reason or outcome.reason in _FOR_ANOTHER_TIME:
                break  # nothing overtakes it
            else:  # it must not hold up the rest
                LOG.error("an event of the outbox is refused (%s) and stays there, marked", outcome.reason)
                refused[message_id] = outcome.reason
        return moved, refused

    def run(self, connect: Callable[[], Any], stop: threading.Event, every_s: float = 0.5) -> None:
        """Relay until `stop` is set, e.g. on a thread or in a process of its own; a database that is away is tried again."""
        connection: Any = None
        while not stop.is_set():
            try:
                connection = connection or connect()
                if self.relay(connection):
                    continue
            except Exception as problem:  # whatever a driver raises: the rows are still there
                LOG.warning("the outbox waits for its database: %s", problem)
                connection = None
            stop.wait(every_s)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Arguments as JSON has them."""
    out = {name: value for name, value in values.items() if value is not None}
    amount = out.get("amount")
    if isinstance(amount, Money):
        out["amount"] = [amount.amount_minor, amount.currency]
    if isinstance(out.get("occurred_at"), datetime):
        out["occurred_at"] = checked_ms("occurred_at", out["occurred_at"])
    return out
