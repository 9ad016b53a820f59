"""A whole stack in a temporary folder, driven by its own commands.

In: settings.
Out: addresses, answers of commands, metrics of processes.
Never: a process or a file left behind.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

COMMAND = [sys.executable, "-m", "infra.cli.main"]
KEY = "b" * 32


class Stack:
    """`footlights up` in a folder."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {
            **os.environ, "FOOTLIGHTS_DATA_DIR": str(folder), "FOOTLIGHTS_PSEUDONYM_KEY": KEY, **settings,
        }  # fmt: skip

    def run(self, *words: str) -> str:
        """A command's output.

        Raises
        ------
        RuntimeError
            When it fails, with what it said.
        """
        done = subprocess.run([*COMMAND, *words], env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"footlights {' '.join(words)}: {done.stderr[-2000:]}")
        return done.stdout

    def json(self, *words: str) -> Any:
        """A command's one JSON value."""
        return json.loads(self.run(*words, "--json"))

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a query."""
        found: list[dict[str, Any]] = json.loads(self.run("query", sql, "--format", "json"))
        return found

    def process(self, name: str) -> dict[str, Any]:
        """A process as `status` tells of it."""
        found: list[dict[str, Any]] = self.json("status")["processes"]
        return next(p for p in found if p["name"] == name)

    def samples(self, url: str) -> list[Any]:
        """All samples that an address of metrics shows."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        text = opener.open(url, timeout=5).read().decode()
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


@contextlib.contextmanager
def stack(**settings: str) -> Iterator[Stack]:
    """A stack that is up; it is down and gone at the end."""
    with tempfile.TemporaryDirectory(prefix="footlights-bench-") as folder:
        made = Stack(Path(folder) / "data", settings)
        made.run("up", "--detach")
        try:
            yield made
        finally:
            made.run("down")
