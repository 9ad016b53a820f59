"""What a client holds in one process: where its events go, who opted out, what was refused.

In: a wire.
Out: a state that belongs to the process that made it.
Never: a use in another process; a child that was forked makes its own, and leaves this one as it is.
"""

import tempfile
import time
from collections import Counter
from os import getpid
from pathlib import Path

from footlights.ids import new_producer_id
from footlights.lines import LineRecorder
from footlights.native import acquire, allocate_lock
from footlights.outcome import LOG, Refusal
from footlights.processes import keep
from footlights.records import Recorder
from footlights.refusals import Told
from footlights.relay import Relay
from footlights.spool import Limits, Spool, Unnumbered, frame_of, full


class Way:
    """The way of events: what writes them, where they wait, and the relay that sends them, None where no thread may be started."""

    __slots__ = ("recorder", "relay", "spool")

    def __init__(self, recorder: Recorder | LineRecorder, spool: Spool, relay: Relay | None) -> None:
        self.recorder, self.spool, self.relay = recorder, spool, relay


class ProcessState:
    """All that a client changes. `lock` is held for `way`, `closed` and the spool's writing."""

    def __init__(self, refusals: Told, *, limits: Limits, max_block_s: float, sync: bool) -> None:
        self._limits, self._max_block_s, self._sync = limits, max_block_s, sync
        self.pid, self.lock = getpid(), allocate_lock()
        self.way: Way | None = None
        self.refusals = refusals
        self.refused: Counter[str] = Counter()
        self.redacted: Counter[str] = Counter()
        self.closed = False
        #: Folders of events that were taken where no thread may be started; others send them.
        self.left: list[Path] = []

    @property
    def relay(self) -> Relay | None:
        """The relay, once there is one."""
        way = self.way
        return way.relay if way else None

    @property
    def still_left(self) -> int:
        """How many of the events that others are to send are not sent."""
        self.left = [folder for folder in self.left if folder.exists()]
        return len(self.left)

    @property
    def waiting(self) -> int:
        """Events of this process that Kafka has not acknowledged."""
        relay = self.relay
        return (relay.waiting if relay else 0) + self.still_left

    def append(self, way: Way, record: Unnumbered) -> bool:
        """Number a record and put it into the spool; waits for room. False when the process has another way now.

        Raises
        ------
        Refusal
            SPOOL_FULL, EVENT_TOO_LARGE, CLOSED.
        OSError
            When the disk does not take it.
        """
        deadline, lock, spool, relay = 0.0, self.lock, way.spool, way.relay
        while True:
            if not lock.acquire(blocking=False):
                acquire(lock)
            try:
                if self.way is not way:
                    if self.closed:
                        raise Refusal("CLOSED", "the client is closed")
                    return False
                number = spool.sequence + 1
                if spool.append(number, number, frame_of(record, number), self._limits, sync=self._sync):
                    if relay is None:
                        self._leave(spool)
                    break
            finally:
                lock.release()
            # Full. The lock is free meanwhile, and the relay makes room.
            now = time.monotonic()
            deadline = deadline or now + self._max_block_s
            if now >= deadline:
                raise full(self._limits, self._max_block_s)
            time.sleep(0.002)
            if self.pid != getpid():  # a greenlet that a fork took along
                return False
        if relay and not number % relay.ask_every:
            relay.help()
        return True

    def _leave(self, spool: Spool) -> None:
        """Let go of a spool with its event, so that a process that may start threads takes it over."""
        self.way = None
        self.left.append(spool.folder)
        try:
            spool.sync()
        finally:
            spool.close(remove=False)

    def abandon(self) -> None:
        """In a child: let go of the parent's files, and of nothing else; locks that its other threads held stay held."""
        keep(self)
        if way := self.way:
            way.relay.abandon() if way.relay else way.spool.forget()


def new_spool(root: Path, source: str, tenant_id: str) -> tuple[Path, Spool]:
    """A spool of this process, and the root that it lies in: another one where the given one cannot be used.

    Raises
    ------
    OSError
        When neither can be.
    """
    made = new_producer_id()
    try:
        return root, Spool.create(root, made, source, tenant_id)
    except OSError as problem:
        other = Path(tempfile.gettempdir()) / "footlights-spool" / root.name
        spool = Spool.create(other, made, source, tenant_id)
        LOG.warning("the spool %s cannot be used (%s): events wait in %s", root, problem.strerror, other)
        return other, spool
