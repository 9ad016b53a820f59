"""A random id for each person instead of a computed one: the key can be rotated, and no event is written anew.

In: a tenant and a raw id; a file; the key, and those before it.
Out: 32 hex digits of chance, the same for the same person under any of the keys.
Never: a raw id in the file, nor two ids for one person, however many processes share the file.

The file maps HMAC-SHA-256(key, tenant, id) to the random id. A row found under a former key is moved to the newest one. Rows that
no key of the list finds any more belong to nobody: `forget` deletes them.
"""

import errno
import hashlib
import hmac
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from footlights.processes import ProcessLock, keep
from footlights.pseudonyms import KEY_BYTES, SEPARATOR, HmacPseudonymiser

REMEMBERED, BUSY_S = 65_536, 10.0
_TABLE = "CREATE TABLE IF NOT EXISTS subjects (lookup BLOB PRIMARY KEY, subject BLOB NOT NULL, key_id TEXT NOT NULL) WITHOUT ROWID"


def key_id(key: bytes) -> str:
    """A name of a key that tells nothing of it, 8 hex digits."""
    return hashlib.sha256(b"footlights key id" + key).hexdigest()[:8]


class SubjectIds:
    """A Pseudonymiser over a SQLite file; for all threads, and for all processes of a machine that open the same file.

    Parameters
    ----------
    file
        The file; made when it is not there, readable by its owner alone.
    keys
        The newest key first, then those before it whose people may still come. A key has at least 16 bytes.

    Raises
    ------
    OSError
        Here and in calls: when the file cannot be read or written.
    """

    #: Every record says 0: its ids hang on no key.
    version = 0
    #: A person's id never changes while its row is there, and rows go only with a key that this process does not have.
    lasting = True

    def __init__(self, file: Path, keys: Sequence[bytes]) -> None:
        if not keys or len(set(keys)) < len(keys):
            raise ValueError("subject ids need at least one key, each once")
        self._keys = [(key_id(key), _hasher(key)) for key in keys]
        #: For ids that do not outlive a day, such as those of sessions: computed, and not in the file.
        self.passing: Callable[[str, str], str] = HmacPseudonymiser(keys[0])
        self._file, self._lock, self._pid = file, ProcessLock(), -1
        self._connection: sqlite3.Connection | None = None
        self._subject = lru_cache(maxsize=REMEMBERED)(self._find)
        with self._opened():
            return

    def __call__(self, tenant_id: str, raw_id: str) -> str:
        """Id of a person, 32 hex digits; in the file before it is returned, so that the death of the process loses none."""
        return self._subject(tenant_id, raw_id)

    def sync(self) -> None:
        """Bring every id that was given out to the disk itself: power loss takes none of them then."""
        with self._opened():
            descriptor = os.open(f"{self._file}-wal", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def people(self) -> dict[str, int]:
        """People by the id of the key that finds them."""
        with self._opened() as connection:
            rows = connection.execute("SELECT key_id, count(*) FROM subjects GROUP BY key_id").fetchall()
        return {str(name): int(count) for name, count in rows}

    def key_ids(self) -> list[str]:
        """Ids of the keys in use, the newest first."""
        return [name for name, _ in self._keys]

    def forget(self) -> int:
        """Delete the rows of keys that are not in use any more; returns how many people that were."""
        with self._opened() as connection:
            marks = ", ".join("?" * len(self._keys))
            return connection.execute(f"DELETE FROM subjects WHERE key_id NOT IN ({marks})", self.key_ids()).rowcount

    def close(self) -> None:
        """Let the file go."""
        with self._lock.held():
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            else:
                keep(self._connection)
            self._connection = None

    def _find(self, tenant_id: str, raw_id: str) -> str:
        message = tenant_id.encode() + SEPARATOR + raw_id.encode()
        lookups = [hasher(message) for _, hasher in self._keys]
        with self._opened() as connection:
            found = _row(connection, lookups[0])
            if found is None:
                with connection:  # commits, or rolls back
                    connection.execute("BEGIN IMMEDIATE")
                    found = self._settle(connection, lookups)
        return found.hex()

    def _settle(self, connection: sqlite3.Connection, lookups: list[bytes]) -> bytes:
        """Under the file's lock: what another process wrote meanwhile, the row of a former key, or a new one."""
        newest, (name, _) = lookups[0], self._keys[0]
        if (found := _row(connection, newest)) is not None:
            return found
        for former in lookups[1:]:
            if (found := _row(connection, former)) is not None:
                connection.execute(
                    "UPDATE subjects SET lookup = ?, key_id = ? WHERE lookup = ?", (newest, name, former)
                )
                return found
        fresh = secrets.token_bytes(16)
        connection.execute("INSERT INTO subjects VALUES (?, ?, ?)", (newest, fresh, name))
        return fresh

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """The connection of this process, under the lock; what SQLite cannot do is an OSError."""
        with self._lock.held():
            try:
                if self._connection is None or self._pid != os.getpid():
                    keep(self._connection)  # the parent's
                    self._connection, self._pid = self._connect(), os.getpid()
                yield self._connection
            except sqlite3.Error as problem:
                number = errno.ENOSPC if problem.sqlite_errorcode == sqlite3.SQLITE_FULL else errno.EIO
                raise OSError(number, f"the file of subject ids cannot be used ({problem})") from problem

    def _connect(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self._file, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_TABLE)
        return connection


def _row(connection: sqlite3.Connection, lookup: bytes) -> bytes | None:
    row = connection.execute("SELECT subject FROM subjects WHERE lookup = ?", (lookup,)).fetchone()
    return None if row is None else bytes(row[0])


def _hasher(key: bytes) -> Callable[[bytes], bytes]:
    if len(key) < KEY_BYTES // 2:
        raise ValueError(f"a key needs at least {KEY_BYTES // 2} bytes; make one with `openssl rand -hex 32`")
    keyed = hmac.new(key, digestmod=hashlib.sha256)

    def lookup(message: bytes) -> bytes:
        mac = keyed.copy()
        mac.update(message)
        return mac.digest()

    return lookup
