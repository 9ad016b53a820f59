"""Events on the disk before they go to Kafka: one folder for each process, append-only segments in it.

In: records that were encoded.
Out: the same records in order, for as long as nobody says that Kafka has them.
Never: a record that `append` took and a crash, SIGKILL or fork loses. Power loss may cost what came after the last fsync.

A folder holds `lock` (held while its process lives), `meta.json`, `acked` (all up to this sequence are with Kafka) and segments
named by their first sequence. Whoever gets the lock of a dead process's folder sends what it left.
"""

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from footlights.checks import MAX_EVENT_BYTES
from footlights.frames import BODY_BYTES, HEAD_BYTES, Damage, Framed, joined, parse
from footlights.outcome import LOG, Refusal

SEGMENT_BYTES = 4 << 20
#: Bytes of one reading; no record takes LONGEST_RECORD (an event has at most 64 KiB).
READ_BYTES, LONGEST_RECORD = 256 << 10, 128 << 10
LOCK, META, ACKED, SEGMENT, QUARANTINE = "lock", "meta.json", "acked", ".seg", "quarantine"
_NEW, ABANDONED_S = ".new-", 3_600.0


class Limits:
    """How much may wait on the disk, `max_bytes`, and for how long without any acknowledgement, `max_age_s`."""

    def __init__(self, max_bytes: int, max_age_s: float) -> None:
        self.max_bytes, self.max_age_s = max_bytes, max_age_s


class Spool:
    """A folder of records, locked by this process. `append` is called under the caller's lock, all else by one thread at a time."""

    def __init__(self, folder: Path, lock: int, meta: dict[str, str]) -> None:
        self.folder, self._lock_fd = folder, lock
        self.producer_id, self.source, self.tenant_id = meta["producer_id"], meta["source"], meta["tenant_id"]
        self.sequence = 0
        self.acked = _number(folder / ACKED)
        self._segments: list[int] = sorted(int(p.stem) for p in folder.glob(f"*{SEGMENT}"))
        # Bytes in full segments, and bytes of those that went: one thread writes each.
        self._filled, self._removed = sum(self._path(first).stat().st_size for first in self._segments), 0
        self._fd, self._size, self._synced, self._findable = -1, 0, (-1, 0), False
        self._to_sync: list[int] = []
        self._waits_since = 0.0
        self._read_fd, self._reading, self._at = -1, 0, 0
        self.seen, self.exhausted = self.acked, False
        self._holes: dict[int, int] = {}

    @classmethod
    def create(cls, root: Path, producer_id: str, source: str, tenant_id: str) -> "Spool":
        """A folder of this process.

        Raises
        ------
        OSError
            When the disk does not take it; nothing of it stays.
        """
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh, lock = root / f"{_NEW}{producer_id}", -1
        fresh.mkdir(mode=0o700)
        try:
            lock = os.open(fresh / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            meta = {"producer_id": producer_id, "source": source, "tenant_id": tenant_id}
            (fresh / META).write_text(json.dumps(meta))
            # Under its name only when it is whole: whoever finds it may take it over once its lock is free.
            return cls(fresh.rename(root / producer_id), lock, meta)
        except OSError:
            if lock >= 0:
                os.close(lock)
            shutil.rmtree(fresh, ignore_errors=True)
            raise

    @classmethod
    def abandoned(cls, root: Path) -> Iterator["Spool"]:
        """Folders of dead processes, locked by this one from now on."""
        for folder in sorted(root.iterdir()) if root.is_dir() else []:
            try:
                if folder.name == QUARANTINE or (folder.name.startswith(_NEW) and not _old(folder)):
                    continue
                lock = os.open(folder / LOCK, os.O_RDWR)
            except OSError:
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_nlink and folder.name.startswith(_NEW):
                    shutil.rmtree(folder, ignore_errors=True)  # its process died before its first record
                elif os.fstat(lock).st_nlink:
                    found = cls(folder, lock, json.loads((folder / META).read_text()))
                    lock = -1
                    yield found
            except OSError:
                continue  # held by its process, or gone meanwhile
            except (ValueError, KeyError, TypeError):
                aside = root / QUARANTINE
                LOG.error("the spool %s does not say whose it is and was put into %s", folder.name, aside)
                with suppress(OSError):
                    aside.mkdir(exist_ok=True, mode=0o700)
                    folder.rename(aside / folder.name)
            finally:
                if lock >= 0:
                    os.close(lock)

    # -- writing

    @property
    def waiting_bytes(self) -> int:
        """Bytes on the disk."""
        return self._filled - self._removed + self._size

    @property
    def damaged(self) -> int:
        """Records that were accepted and cannot be read any more."""
        return sum(self._holes.values())

    @property
    def rested_s(self) -> float:
        """Seconds since something was acknowledged; 0 when nothing was."""
        try:
            return time.time() - (self.folder / ACKED).stat().st_mtime
        except OSError:
            return 0.0

    def append(self, first: int, last: int, frames: bytes, limits: Limits, *, sync: bool) -> bool:
        """Take the framed records of these sequences, all or none; false when the limits leave no room for them.

        Raises
        ------
        OSError
            When the disk does not take it; nothing of it stays.
        """
        size = len(frames)
        if self._filled - self._removed + self._size + size > limits.max_bytes:
            return False
        now = time.monotonic()
        if not self._waits_since:
            self._waits_since = now
        elif now - self._waits_since > limits.max_age_s:
            return False
        if self._fd < 0 or self._size >= SEGMENT_BYTES:
            self._roll(first)
        try:
            # At this place: what a failed write left behind, if the disk did not even let it be cut off, is written over.
            if os.pwrite(self._fd, frames, self._size) != size:
                raise OSError(errno.ENOSPC, "no space left for all of it")
            if sync:
                os.fdatasync(self._fd)
                self._sync_names()
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += size
        self.sequence = last
        return True

    def _roll(self, number: int) -> None:
        fd = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        if self._fd >= 0:
            self._to_sync.append(self._fd)
        self._filled += self._size
        self._findable = False
        self._fd, self._size = fd, 0
        self._segments.append(number)

    def sync(self) -> None:
        """Bring what was written to the disk itself: every record whose `append` returned before this call.

        Raises
        ------
        OSError
            When the disk does not take it.
        """
        self._sync_names()
        fd, size = self._fd, self._size  # first: a roll meanwhile puts this file among those below
        while self._to_sync:
            full = self._to_sync[0]
            os.fdatasync(full)
            os.close(full)
            del self._to_sync[0]
            if full == fd:
                return
        if fd >= 0 and self._synced != (fd, size):
            os.fdatasync(fd)
            self._synced = (fd, size)

    def _sync_names(self) -> None:
        """Bring to the disk what a process after a power loss needs to find the segments."""
        if not self._findable:
            self._findable = True  # first: a roll meanwhile asks for another time
            try:
                for place in (self.folder / META, self.folder, self.folder.parent):
                    descriptor = os.open(place, os.O_RDONLY)
                    try:
                        os.fsync(descriptor)
                    finally:
                        os.close(descriptor)
            except OSError:
                self._findable = False
                raise

    # -- reading

    def read(self, *, final: bool) -> list[Framed]:
        """The next records in order, [] when there are none now; `final`: nobody writes here any more."""
        if self._read_fd < 0 and not self._open_next(0):
            self.exhausted = final
            return []
        # Of a segment that grows only what `append` is done with: a write that fails halfway is cut off, others get its numbers.
        # Asked in this order: after a roll between the two the segment is full, and all of it counts.
        written = self._size
        full = final or self._reading != self._segments[-1]
        room = READ_BYTES if full else min(READ_BYTES, max(0, written - self._at))
        if not room:
            return []
        chunk = os.pread(self._read_fd, room, self._at)
        last = len(chunk) < READ_BYTES
        found, used, seen = [], 0, self.seen
        for one in parse(chunk, final=last):
            if isinstance(one, Damage):
                self.quarantine(f"{self._reading}-{self._at + one.start}", chunk[one.start : one.end])
            elif (number := one.sequence) > seen:
                if number > seen + 1:
                    self._holes[number] = number - seen - 1
                seen = number
                found.append(one)
            used = one.end
        self.seen = seen
        if not used and not last:
            # So much without a record is damage, but for its end, where one may begin.
            used = READ_BYTES - LONGEST_RECORD
            self.quarantine(f"{self._reading}-{self._at}", chunk[:used])
        self._at += used
        if full and last and not found:
            if self._open_next(self._reading):
                return self.read(final=final)
            self.exhausted = final
        return found

    def rewind(self) -> None:
        """Read again all that is not acknowledged."""
        if self._read_fd >= 0:
            os.close(self._read_fd)
        self._read_fd, self.seen, self.exhausted = -1, self.acked, False

    def _open_next(self, after: int) -> bool:
        later = next((first for first in self._segments if first > after), None)
        if later is None:
            return False
        if self._read_fd >= 0:
            os.close(self._read_fd)
        self._read_fd = os.open(self._path(later), os.O_RDONLY)
        self._reading, self._at = later, 0
        return True

    def quarantine(self, name: str, piece: bytes) -> None:
        """Put bytes aside that cannot be sent, beside the folders, for a person to look at."""
        place = self.folder.parent / QUARANTINE
        LOG.error("%d bytes of the spool cannot be sent and were put into %s", len(piece), place)
        with suppress(OSError):
            place.mkdir(exist_ok=True, mode=0o700)
            (place / f"{self.producer_id}-{name}").write_bytes(piece)

    # -- what Kafka has

    def acknowledge(self, number: int) -> None:
        """All up to this sequence are with Kafka: segments that hold no later one go."""
        if number <= self.acked:
            return
        self.acked = number
        with suppress(OSError):  # a full disk: the record is sent again after a crash, and counts once
            descriptor = os.open(self.folder / ACKED, os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "w") as out:
                out.write(f"{number:020d}")
        self._waits_since = time.monotonic() if number < self.sequence else 0.0
        while len(self._segments) > 1 and self._segments[1] <= number + 1:
            gone = self._path(self._segments[0])
            self._removed += gone.stat().st_size
            gone.unlink()
            del self._segments[0]

    def close(self, *, remove: bool) -> None:
        """Let the folder go; `remove` it when nothing in it is needed."""
        for fd in (self._fd, self._read_fd, *self._to_sync):
            if fd >= 0:
                os.close(fd)
        self._fd = self._read_fd = -1
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock_fd)

    def forget(self) -> None:
        """In a forked child: let go of the parent's files, or its lock would outlive it. Its locks and files stay as they are.

        Only what is a file of this folder: another thread of the parent may have closed one just then, and its number be another's.
        """
        try:
            files = {_identity(file.stat()) for file in self.folder.iterdir()}
        except OSError:
            return
        for fd in (self._fd, self._read_fd, self._lock_fd, *self._to_sync):
            with suppress(OSError):
                if fd >= 0 and _identity(os.fstat(fd)) in files:
                    os.close(fd)

    def _path(self, first: int) -> Path:
        return self.folder / f"{first:020d}{SEGMENT}"


class Unnumbered(Protocol):
    """A record that lacks only its sequence."""

    @property
    def topic(self) -> bytes:
        """Kafka topic."""

    @property
    def key(self) -> bytes:
        """Kafka key."""

    def numbered(self, number: int) -> list[bytes]:
        """The pieces of its payload with that sequence, behind one that is overwritten."""


def frame_of(record: Unnumbered, number: int) -> bytes:
    """A record with its sequence, as `append` takes it.

    Raises
    ------
    Refusal
        EVENT_TOO_LARGE.
    """
    topic, key = record.topic, record.key
    frame = joined(number, topic, key, record.numbered(number))
    if len(frame) > MAX_EVENT_BYTES and len(frame) - HEAD_BYTES - BODY_BYTES - len(topic) - len(key) > MAX_EVENT_BYTES:
        raise Refusal("EVENT_TOO_LARGE", f"the event takes more than {MAX_EVENT_BYTES} bytes")
    return frame


def _old(folder: Path) -> bool:
    """Whether whoever was making it must be dead."""
    return time.time() - folder.stat().st_mtime > ABANDONED_S


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _number(file: Path) -> int:
    try:
        return int(file.read_text() or 0)
    except (OSError, ValueError):
        return 0


def full(limits: Limits, waited_s: float) -> Refusal:
    """The refusal of an event that found no room."""
    return Refusal(
        "SPOOL_FULL",
        f"the spool had no room for {waited_s} s: it holds {limits.max_bytes:,} bytes, or nothing was acknowledged for "
        f"{limits.max_age_s:,.0f} s; is Kafka reachable?",
    )
