"""The supervisor's loop: start in order, restart what died, answer commands, stop in reverse order.

In: a stack, signals, requests on the control socket.
Out: a state file and the processes.
Never: a child that outlives it, or one that is given up after a kill.
"""

import json
import os
import queue
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import psutil

from infra.addresses import STATE_FILE, Addresses
from infra.supervisor.child import BACKOFF, EXIT_HELD, RUNNING, STARTING, STOPPED, Child
from infra.supervisor.control import listen, receive, reply, socket_path
from infra.supervisor.ownership import owning
from schemas.topics import EXIT_TOPICS, TopicsDiffer

TICK_S = 0.1
MIGRATE_PATIENCE_S = 60.0
MIGRATE_PAUSE_S = 0.5
#: A release holds this long for a worker that still ran: it takes over what stopped the other, and stops for it too.
RELEASE_S = 60.0


class StackFailed(RuntimeError):
    """The stack cannot come up; the message says why."""


class Stack(Protocol):
    """What the supervisor asks of a stack: its processes by group, and what lies between them."""

    folder: Path
    groups: list[list[Child]]
    consumers: list[Child]

    @property
    def children(self) -> list[Child]:
        """All children in the order of their start."""

    def addresses(self) -> Addresses:
        """Addresses of the parts; RuntimeError before they are known."""

    def collector(self) -> str | None:
        """URL of the collector, None without one."""

    def metrics(self) -> list[str]:
        """URLs of metrics."""

    def migrate(self) -> None:
        """What must be done after the groups run and before the consumers start. Runs on another thread."""

    def resume(self, name: str) -> None:
        """Let the next start of a consumer, and only that, forget what stopped it."""


class Supervisor:
    """Runs a stack until it is told to stop."""

    def __init__(self, stack: Stack, say: Callable[[str], None] = print) -> None:
        self._stack, self._say = stack, say
        self._stopping = self._hurry = False
        self._started = time.time()
        self._migrated = False
        self._refused = ""
        self._told: str = ""
        self._released_until: dict[str, float] = {}
        self._server: socket.socket | None = None

    @property
    def ready(self) -> bool:
        """Whether everything runs."""
        return self._migrated and all(child.state == RUNNING for child in self._stack.children)

    def run(self) -> int:
        """Start everything and stay until a signal or `down`; returns the exit code.

        Raises
        ------
        AlreadyRunning
            When the data folder has a supervisor.
        """
        with owning(self._stack.folder):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, self._on_signal)
            self._server = listen(self._stack.folder)
            try:
                self._start()
                while not self._stopping:
                    self._turn()
                return 0
            finally:
                self._stop()
                self._server.close()
                socket_path(self._stack.folder).unlink(missing_ok=True)
                self._write_state()

    def _on_signal(self, number: int, frame: object) -> None:
        self._hurry = self._stopping  # a second one hurries
        self._stopping = True

    # -- start and end

    def _start(self) -> None:
        for group in self._stack.groups:
            self._launch(group)
        self._migrate()
        self._launch(self._stack.consumers)
        if self.ready:
            self._say("ready")

    def _migrate(self) -> None:
        """Migrate on a thread of its own, again while the stores cannot be reached, so that commands are answered meanwhile."""
        deadline = time.monotonic() + MIGRATE_PATIENCE_S
        while not self._stopping and not self._migrated:
            ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
            threading.Thread(target=self._try_migration, args=(ended,), daemon=True).start()
            while not self._stopping and ended.empty():
                self._turn()
            if self._stopping:
                return
            problem = ended.get()
            self._migrated = problem is None
            if isinstance(problem, TopicsDiffer):
                self._await_topics(str(problem))
                deadline = time.monotonic() + MIGRATE_PATIENCE_S
            elif problem is not None:
                if time.monotonic() > deadline:
                    raise StackFailed(
                        f"topics, schemas and tables cannot be migrated: {first_line(problem)}"
                    ) from problem
                self._say(f"migration waits: {first_line(problem)}")
                self._pause(MIGRATE_PAUSE_S)

    def _await_topics(self, sentence: str) -> None:
        """Start no consumer on topics that are not as declared; the stores run on, since the way back needs them."""
        self._refused = sentence
        self._say(sentence)
        while not self._stopping and self._refused:
            self._turn()

    def _try_migration(self, ended: "queue.SimpleQueue[Exception | None]") -> None:
        try:
            self._stack.migrate()
        except Exception as problem:  # a store that was killed a moment ago comes back; what stays wrong is said
            ended.put(problem)
        else:
            ended.put(None)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            self._turn()

    def _launch(self, group: list[Child]) -> None:
        for child in group:
            if self._stopping:
                return
            child.start(time.monotonic())
            self._say(f"{child.name} starts")
        while not self._stopping and not all(child.state == RUNNING for child in group):
            self._turn()

    def _stop(self) -> None:
        order = [self._stack.consumers, *reversed(self._stack.groups)]
        for group in order:
            for child in group:
                child.terminate()
            deadline = time.monotonic() + max((child.grace_s for child in group), default=0)
            while not all(child.gone for child in group):
                if self._hurry or time.monotonic() > deadline:
                    for child in group:
                        child.kill()
                self._answer(TICK_S)
        self._say("stopped")

    # -- the loop

    def _turn(self) -> None:
        self._look()
        self._write_state()
        self._answer(TICK_S)

    def _look(self) -> None:
        now = time.monotonic()
        for child in self._stack.children:
            before = child.state
            child.tick(now)
            if child.state == before:
                continue
            self._say(self._sentence(child))
            if child.held_by == EXIT_HELD and now < self._released_until.pop(child.name, now):
                self._release(child, now)

    @staticmethod
    def _sentence(child: Child) -> str:
        if child.held_by == EXIT_HELD:
            return (
                f"{child.name} was stopped by too many dead letters: see `footlights deadletters list`, then `resume`"
            )
        if child.held:
            return f"{child.name} stopped: {child.last_word}"
        if child.state == BACKOFF and child.last_word:
            return f"{child.name} ended and will be started again; its last word: {child.last_word[:300]}"
        return f"{child.name} is {child.state}"

    def _answer(self, wait_s: float) -> None:
        assert self._server is not None
        try:
            readable, _, _ = select.select([self._server], [], [], wait_s)
        except InterruptedError:
            return
        if not readable:
            return
        try:
            connection, _ = self._server.accept()
        except OSError:  # the client left again
            return
        with connection:
            reply(connection, self._do(receive(connection)))

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        match request.get("do"):
            case "status":
                if not self._stopping:
                    self._look()  # a process that died a moment ago is not told as running
                return self.status()
            case "down":
                self._stopping = True
                return {"stopping": True}
            case "held":
                return {"held": [c.name for c in self._stack.consumers if c.held_by == EXIT_HELD]}
            case "problems":
                return {"problems": self._problems()}
            case "release" if not self._stopping:
                return {"released": self._release_topics(time.monotonic())}
            case "resume" if self._stopping:
                return {"resumed": []}
            case "resume":
                return {"resumed": self._resume(time.monotonic())}
        return {"error": "unknown request"}

    def _resume(self, now: float) -> list[str]:
        """Release the workers that are stopped, and those that are about to stop for the same records."""
        held = [child for child in self._stack.consumers if child.held_by == EXIT_HELD]
        if held:  # asked once more meanwhile, a release still holds
            self._released_until = {c.name: now + RELEASE_S for c in self._stack.consumers if not c.held}
        for child in held:
            self._release(child, now)
        return [child.name for child in held]

    def _release(self, child: Child, now: float) -> None:
        self._stack.resume(child.name)
        child.start(now)
        self._say(f"{child.name} is released")

    def _release_topics(self, now: float) -> list[str]:
        """Start what topics that were not as declared have held, and migrate if that was held."""
        self._refused = ""
        held = [child for child in self._stack.consumers if child.held_by == EXIT_TOPICS]
        for child in held:
            child.start(now)
            self._say(f"{child.name} is released")
        return [child.name for child in held]

    def _problems(self) -> list[str]:
        """What a person must mend before the stack is ready; processes that topics stopped say the same one after the other."""
        held = [c.last_word if c.held_by == EXIT_TOPICS else self._sentence(c) for c in self._stack.consumers if c.held]
        return list(dict.fromkeys([self._refused, *held] if self._refused else held))

    # -- what is told

    def status(self) -> dict[str, Any]:
        """The answer of `footlights status --json`."""
        own = {
            "name": "supervisor",
            "pid": os.getpid(),
            "state": STOPPED if self._stopping else RUNNING if self.ready else STARTING,
            "restarts": 0,
            "rss_bytes": int(psutil.Process().memory_info().rss),
        }
        return {
            "ready": self.ready and not self._stopping,
            "addresses": self._addresses(),
            "processes": [own, *self._rows()],
            **({"problems": wrong} if (wrong := self._problems()) else {}),
        }

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {"name": c.name, "pid": c.pid, "state": c.state, "restarts": c.restarts, "rss_bytes": c.rss_bytes}
            for c in self._stack.children
        ]

    def _addresses(self) -> dict[str, Any]:
        try:
            at = self._stack.addresses()
        except RuntimeError:  # the broker has no address before it was prepared
            return dict.fromkeys(("kafka", "schema_registry", "clickhouse", "collector", "api")) | {"metrics": []}
        return {
            "kafka": at.kafka,
            "schema_registry": at.schema_registry,
            "clickhouse": at.analyst,
            "collector": self._stack.collector(),
            "metrics": self._stack.metrics(),
            "api": None,
        }

    def _write_state(self) -> None:
        """Keep the state file true; commands read addresses there, and the last state when nobody answers."""
        try:
            at = self._stack.addresses()
        except RuntimeError:
            return
        internal = {"kafka": at.kafka, "schema_registry": at.schema_registry, "clickhouse": at.clickhouse}
        names = [[c.name, c.pid, c.state, c.restarts] for c in self._stack.children]
        told = json.dumps(
            {"pid": os.getpid(), "internal": internal, "addresses": self._addresses(), "processes": names}
        )
        if told != self._told:
            partial = self._stack.folder / f"{STATE_FILE}.partial"
            partial.write_text(told)
            partial.replace(self._stack.folder / STATE_FILE)
            self._told = told


def first_line(problem: BaseException) -> str:
    """The first line of what an exception says, or its name."""
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__
