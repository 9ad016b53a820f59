"""A platform of its own, driven from outside through the commands that a person would type.

In: a data folder and settings. Out: the processes of the stack, and the answers of the commands.
Never: a look inside; what cannot be seen through the commands is not tested here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any

import psutil

COMMAND = [sys.executable, "-m", "infra.cli.main"]


@dataclass
class Platform:
    """`footlights up` in a folder; every method runs one command and fails loudly with what it said."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    extra: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        quiet = {"FOOTLIGHTS_MONITOR": "false", "FOOTLIGHTS_COLLECTOR": "false"}  # most tests look for themselves
        # How long a test shall be is no setting of the platform.
        ours = {k: v for k, v in os.environ.items() if not k.startswith("FOOTLIGHTS_TEST_")}
        return {**ours, "FOOTLIGHTS_DATA_DIR": str(self.folder), **quiet, **self.settings}

    def run(self, *words: str, timeout: float = 300, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `footlights words…` to its end."""
        done = subprocess.run(
            [*COMMAND, *words], env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise AssertionError(
                f"footlights {' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
            )
        return done

    def json(self, *words: str, timeout: float = 300, check: bool = True) -> Any:
        """Run a command with --json and read its one value."""
        return json.loads(self.run(*words, "--json", timeout=timeout, check=check).stdout)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a query."""
        found: list[dict[str, Any]] = json.loads(self.run("query", sql, "--format", "json").stdout)
        return found

    def up(self) -> None:
        self.run("up", "--detach", timeout=180)

    def down(self) -> None:
        for process in self.extra:
            process.kill()
            process.wait()
        self.run("down", timeout=120, check=False)

    def processes(self) -> dict[str, dict[str, Any]]:
        """Name to {"pid", "state", …} as `status` tells."""
        status = self.json("status", check=False)
        return {p["name"]: p for p in status["processes"]}

    def signal(self, name: str, number: Signals) -> int | None:
        """Send a signal to a running process of the stack; returns its id, None when it is not running just now."""
        found = self.processes().get(name)
        if not found or found["state"] != "running" or not found["pid"]:
            return None
        try:
            os.kill(found["pid"], number)
        except ProcessLookupError:
            return None
        return int(found["pid"])

    def kill(self, name: str, number: Signals = SIGKILL, timeout: float = 60) -> None:
        """Send a signal to a process of the stack, once it runs: it may be on its way back from an earlier one."""
        deadline = time.monotonic() + timeout
        while not self.signal(name, number):
            assert time.monotonic() < deadline, f"{name} did not come back: {self.processes().get(name)}"
            time.sleep(0.2)

    def join_worker(self) -> subprocess.Popen[bytes]:
        """Start one more worker of the same group, outside the supervisor."""
        log = (self.folder / "logs" / f"joined-{len(self.extra)}.log").open("ab")
        process = subprocess.Popen([*COMMAND, "worker"], env=self.environment, stdout=log, stderr=log)
        log.close()
        self.extra.append(process)
        return process

    def spawn(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command in the background, its output in the logs."""
        log = (self.folder / "logs" / f"{words[0]}.log").open("ab")
        process = subprocess.Popen([*COMMAND, *words], env=self.environment, stdout=log, stderr=log)
        log.close()
        return process

    def survivors(self) -> list[psutil.Process]:
        """Processes that still mention the data folder."""
        return [
            p
            for p in psutil.process_iter(["cmdline"])
            if p.pid != os.getpid() and any(str(self.folder) in word for word in p.info["cmdline"] or [])
        ]
