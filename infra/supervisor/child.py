"""A child process: started tied to its parent, restarted with back-off, stopped in order.

In: a name, a way to get its command, a probe of its readiness.
Out: its state, pid, restarts.
Never: a start from another thread than the main one: the kernel ties a child to the thread that forked it.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from schemas.topics import EXIT_TOPICS

STARTING, RUNNING, BACKOFF, STOPPED = "starting", "running", "backoff", "stopped"
FIRST_BACKOFF_S, LAST_BACKOFF_S, STEADY_S = 0.5, 5.0, 10.0
#: A log beyond this is put aside at the next start; one older log is kept.
LOG_BYTES = 20_000_000
#: A process that ends so is not started again before a person releases it: too many dead letters stopped it, or topics that are not
#: as declared, of which its last word tells.
EXIT_HELD = 78
HOLDING = frozenset({EXIT_HELD, EXIT_TOPICS})


@dataclass
class Child:
    """One process of the stack.

    Parameters
    ----------
    command
        Called before each start; may prepare files.
    probe
        Says whether it is ready; must return within a second.
    grace_s
        Seconds between SIGTERM and SIGKILL.
    """

    name: str
    command: Callable[[], Sequence[str]]
    probe: Callable[[], bool]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    grace_s: float = 12.0
    state: str = STOPPED
    restarts: int = 0
    held_by: int | None = None
    _process: subprocess.Popen[bytes] | None = None
    _running_since: float = 0.0
    _backoff_s: float = FIRST_BACKOFF_S
    _retry_at: float = 0.0

    @property
    def held(self) -> bool:
        """Whether it ended so that only a person starts it again; `held_by` is the exit code that says why."""
        return self.held_by is not None

    @property
    def pid(self) -> int | None:
        """Process id while it runs, as of the last look: what is told of one moment agrees with `state`."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def rss_bytes(self) -> int | None:
        """Resident memory while it runs."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss) if self.pid else None
        except psutil.Error:
            return None

    def start(self, now: float) -> None:
        """Start the process; a command that cannot be made counts as a failed start."""
        self.held_by = None
        try:
            command = list(self.command())
            with self._open_log() as out:
                self._process = subprocess.Popen(
                    command,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, **self.environment},
                    start_new_session=True,  # a Ctrl-C in the terminal is the supervisor's alone
                )
        except (OSError, RuntimeError) as problem:
            with self._open_log() as out:
                out.write(f"{self.name} cannot start: {problem}\n".encode())
            self._process = None
            self._fail(now)
            return
        self.state = STARTING

    def _open_log(self) -> IO[bytes]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        return self.log.open("ab")

    def tick(self, now: float) -> None:
        """Look at the process: notice readiness and death, restart when the back-off is over."""
        if self.state == BACKOFF and now >= self._retry_at:
            self.restarts += 1
            self.start(now)
        if self.state not in (STARTING, RUNNING) or self._process is None:
            return
        code = self._process.poll()
        if code is not None:
            self._ended(code, now)
        elif self.state == STARTING and self.probe():
            self.state, self._running_since = RUNNING, now
        if self.state == RUNNING and now - self._running_since >= STEADY_S:
            self._backoff_s = FIRST_BACKOFF_S

    def _ended(self, code: int, now: float) -> None:
        if code in HOLDING:
            self.state, self.held_by = STOPPED, code
        else:
            self._fail(now)

    def _fail(self, now: float) -> None:
        self.state, self._retry_at = BACKOFF, now + self._backoff_s
        self._backoff_s = min(LAST_BACKOFF_S, self._backoff_s * 2)

    def terminate(self) -> None:
        """Ask the process to end; it is not restarted."""
        self.state = STOPPED
        if self.pid and self._process:
            self._process.terminate()

    @property
    def last_word(self) -> str:
        """Last line of its log, for a sentence about what is wrong; empty when it said nothing."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 4_096))
                lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        except OSError:
            return ""
        return lines[-1].strip() if lines else ""

    def kill(self) -> None:
        """End the process now."""
        if self.pid and self._process:
            self._process.send_signal(signal.SIGKILL)

    @property
    def gone(self) -> bool:
        """Whether no process is left."""
        return self._process is None or self._process.poll() is not None
