"""Tiny processes for the supervisor to run.

In: what they are to do.
Out: children and a stack of them.
Never: a real service.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from infra.addresses import Addresses
from infra.embedded.tether import tethered
from infra.supervisor.child import Child

#: Makes a file when ready, notes its end on SIGTERM, then leaves; stops for dead letters when a file tells it to.
SERVER = """
import pathlib, signal, sys, time
ready, notes, name, delay = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
def note(word):
    with notes.open("a") as out:
        out.write(f"{name} {word}\\n")
def end(*_):
    note("ends")
    time.sleep(delay)
    note("gone")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
note("starts")
time.sleep(0.2)
note("ready")
ready.write_text("")
stop = notes.with_name(f"{name}.stop")
while not stop.exists():
    time.sleep(0.05)
stop.unlink()
sys.exit(78)
"""


def python(text: str, *words: str) -> Callable[[], list[str]]:
    """A command that runs a text."""
    return lambda: tethered([sys.executable, "-c", text, *words])


def plain(folder: Path, text: str, probe: Callable[[], bool] = lambda: True) -> Child:
    """A child that runs a text."""
    return Child("child", python(text), probe, folder / "logs" / "child.log")


def server(folder: Path, name: str, delay: float = 0.0, grace_s: float = 5.0) -> Child:
    """A child that takes a moment to be ready, and some time to end."""
    ready = folder / f"{name}.ready"

    def command() -> list[str]:
        ready.unlink(missing_ok=True)
        return python(SERVER, str(ready), str(folder / "notes"), name, str(delay))()

    return Child(name, command, ready.exists, folder / "logs" / f"{name}.log", grace_s=grace_s)


@dataclass
class FakeStack:
    """A store, then two that need it, then consumers."""

    folder: Path
    delay: float = 0.0
    grace_s: float = 5.0
    failures: int = 0
    migrations: int = 0
    slow_s: float = 0.0
    bad: float = 0.0
    groups: list[list[Child]] = field(init=False)
    consumers: list[Child] = field(init=False)

    def __post_init__(self) -> None:
        def made(name: str) -> Child:
            return server(self.folder, name, self.delay, self.grace_s)

        self.groups = [[made("kafka")], [made("registry"), made("clickhouse")]]
        self.consumers = [made("worker-1"), made("sink-1")]
        if self.bad:
            self.consumers[0] = self._stops_until_released()

    def _stops_until_released(self) -> Child:
        worker, refuses = server(self.folder, "worker-1"), python("raise SystemExit(78)")
        released = self.folder / "released"
        serve = worker.command
        worker.command = lambda: serve() if released.exists() else refuses()
        return worker

    @property
    def children(self) -> list[Child]:
        """All of them."""
        return [child for group in [*self.groups, self.consumers] for child in group]

    def addresses(self) -> Addresses:
        """Addresses at which nothing listens."""
        return Addresses("127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3")

    def collector(self) -> str | None:
        """None."""
        return None

    def metrics(self) -> list[str]:
        """None."""
        return []

    def migrate(self) -> None:
        """Fails as often as it is told to."""
        time.sleep(self.slow_s)
        self.migrations += 1
        if self.migrations <= self.failures:
            raise RuntimeError("the store is not there yet")
        with (self.folder / "notes").open("a") as out:
            out.write("migrated\n")

    def resume(self, name: str) -> None:
        """Note it."""
        (self.folder / "released").touch()
        with (self.folder / "notes").open("a") as out:
            out.write(f"{name} released\n")
