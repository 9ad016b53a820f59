"""API keys: random, kept as hashes in a file, for one tenant and source each, revocable while the collector runs.

In: a file, a token that a request shows.
Out: the key that it is, None when it is none or was revoked.
Never: a token in the file, in a log or in an answer after the one that made it.
"""

import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from footlights.checks import checked_name

KINDS = ("write", "read")
#: A change of the file is seen within this time.
LOOK_EVERY_S = 0.5
PREFIX = "flk_"


@dataclass(frozen=True)
class Key:
    """What a token may do. `rate_per_s` events a second, with ten seconds' worth at once; times in epoch seconds."""

    id: str
    hash: str
    kind: str
    name: str
    tenant_id: str
    source: str
    rate_per_s: float
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None

    def lives(self, now: float) -> bool:
        """Whether it is good at a time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def hash_of(token: str) -> str:
    """Hash of a token; it has 256 random bits, so that a plain one is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class KeyFile:
    """The keys of a platform. Commands write it, whole and at once; collectors look again when it changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: dict[str, Key] = {}
        self._seen: tuple[int, int, int] | None = None
        self._looked = float("-inf")

    def __iter__(self) -> Iterator[Key]:
        """All keys, revoked ones too."""
        self._look(0.0)
        return iter(list(self._held.values()))

    def find(self, token: str, kind: str = "write") -> Key | None:
        """The living key of a token."""
        self._look(LOOK_EVERY_S)
        hashed = hash_of(token)
        if hashed not in self._held:
            self._look(0.0)  # a new key works at once
        key = self._held.get(hashed)
        return key if key is not None and key.kind == kind and key.lives(time.time()) else None

    def create(
        self,
        kind: str,
        *,
        name: str,
        source: str,
        tenant_id: str = "default",
        rate_per_s: float = 10_000.0,
        lifetime_s: float | None = None,
    ) -> tuple[str, Key]:
        """Make a key; its token is told this once.

        Raises
        ------
        ValueError
            For an unknown kind; Refusal for a name that is none.
        """
        if kind not in KINDS:
            raise ValueError(f"a key is for {' or '.join(KINDS)}")
        token, now = PREFIX + secrets.token_urlsafe(32), time.time()
        key = Key(
            secrets.token_hex(8), hash_of(token), kind, checked_name("name", name), checked_name("tenant_id", tenant_id),
            checked_name("source", source), rate_per_s, now, now + lifetime_s if lifetime_s else None,
        )  # fmt: skip
        with self._alone():
            self._write([*self, key])
        return token, key

    def revoke(self, key_id: str) -> Key | None:
        """Revoke a key; None when there is none of this id."""
        with self._alone():
            keys = list(self)
            found = next((key for key in keys if key.id == key_id), None)
            if found is None:
                return None
            gone = Key(**{**asdict(found), "revoked_at": found.revoked_at or time.time()})
            self._write([gone if key.id == key_id else key for key in keys])
        return gone

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """From reading the keys to writing them no other process does; the file itself is replaced, so that it is no lock."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._seen = None  # a file that another process just wrote may have the size and the time of the one before
            yield
        finally:
            os.close(lock)

    def _look(self, every_s: float) -> None:
        now = time.monotonic()
        if now - self._looked < every_s:
            return
        self._looked = now
        try:
            told = self.path.stat()
            seen = (told.st_mtime_ns, told.st_size, told.st_ino)
            if seen != self._seen:
                keys = [Key(**row) for row in json.loads(self.path.read_text())["keys"]]
                self._held, self._seen = {key.hash: key for key in keys}, seen
        except FileNotFoundError:
            self._held, self._seen = {}, None

    def _write(self, keys: list[Key]) -> None:
        fresh = self.path.with_suffix(f".{secrets.token_hex(4)}.partial")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as out:
            json.dump({"keys": [asdict(key) for key in keys]}, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self.path)
        self._looked = float("-inf")


class Buckets:
    """How much each key has left of its rate."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[float, float]] = {}

    def take(self, key: Key, events: int, now: float) -> float:
        """Take so many events from a key's bucket: 0.0, or the seconds after which they fit; then nothing is taken."""
        room = key.rate_per_s * 10
        left, at = self._held.get(key.id, (room, now))
        left = min(room, left + (now - at) * key.rate_per_s)
        if left < min(events, room):
            self._held[key.id] = (left, now)
            return (min(events, room) - left) / key.rate_per_s
        self._held[key.id] = (left - events, now)
        return 0.0
