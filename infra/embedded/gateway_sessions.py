"""Sessions: handles of the engine that outlive a request.

In: the names that clients give their sessions.
Out: a session's handle, for one statement at a time.
Never: a session past its time, nor two statements at once in one.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from infra.embedded.gateway_errors import GatewayError

#: Seconds that a session lives after its last statement, and the most that a client may ask for.
DEFAULT_TIMEOUT_S = 60
MAX_TIMEOUT_S = 3600
_SESSIONS = 256
# A client that broke off its last statement may send the next before the engine has let go of that one.
_GRACE_S = 0.3


@dataclass
class _Session:
    handle: Any
    timeout_s: int
    used: float
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """The open sessions, by user and name.

    Parameters
    ----------
    connect
        Gives a new handle.
    clock
        Seconds; only differences count.
    """

    def __init__(self, connect: Callable[[], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._connect = connect
        self._clock = clock
        self._sessions: OrderedDict[tuple[str, str], _Session] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def take(self, user: str, name: str, *, timeout_s: int, must_exist: bool) -> Iterator[Any]:
        """Give the session's handle; it lives on for `timeout_s` seconds afterwards.

        Raises
        ------
        GatewayError
            When another statement runs in it, or it must exist and does not.
        """
        session = self._find(user, name, timeout_s=timeout_s, must_exist=must_exist)
        try:
            yield session.handle
        finally:
            session.timeout_s, session.used = timeout_s, self._clock()
            session.lock.release()

    def close_expired(self) -> None:
        """Close the sessions whose time has passed."""
        with self._lock:
            now = self._clock()
            for key, session in list(self._sessions.items()):
                if now - session.used > session.timeout_s:
                    self._close(key, session)

    def close(self) -> None:
        """Close all sessions; their statements must have ended."""
        with self._lock:
            for session in self._sessions.values():
                session.handle.close()
            self._sessions.clear()

    def _find(self, user: str, name: str, *, timeout_s: int, must_exist: bool) -> _Session:
        """Return the session, locked: nobody closes it while it is used."""
        self.close_expired()
        deadline = time.monotonic() + _GRACE_S
        while True:
            with self._lock:
                session = self._sessions.get((user, name))
                if session is None:
                    if must_exist:
                        raise GatewayError(372, "SESSION_NOT_FOUND", f"Session {name} not found.")
                    session = self._sessions[user, name] = _Session(self._connect(), timeout_s, self._clock())
                self._sessions.move_to_end((user, name))
                if session.lock.acquire(blocking=False):
                    self._make_room()
                    return session
            if time.monotonic() > deadline:
                raise GatewayError(373, "SESSION_IS_LOCKED", f"Session {name} is locked by a concurrent client.")
            time.sleep(0.01)

    def _make_room(self) -> None:
        for key, session in list(self._sessions.items()):
            if len(self._sessions) <= _SESSIONS:
                return
            self._close(key, session)

    def _close(self, key: tuple[str, str], session: _Session) -> None:
        if session.lock.acquire(blocking=False):
            session.handle.close()
            del self._sessions[key]
