"""Toolchains of other languages, for the programs in this folder's folders.

In: a program's folder.
Out: its libraries by its lock file, its answer.
Never: a silent skip where REQUIRE_SERVICES=1 demands the toolchain.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

BUILD_S = 300
RUN_S = 120


def need(*commands: str) -> None:
    """Skip the test, or fail it with REQUIRE_SERVICES=1, when one of the commands is not installed."""
    absent = [command for command in commands if shutil.which(command) is None]
    if not absent:
        return
    reason = f"not installed: {', '.join(absent)}"
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def run(
    command: Sequence[str | Path], *, folder: Path, env: Mapping[str, str] | None = None, timeout_s: float = RUN_S
) -> str:
    """Run a command in a folder and return what it printed; fail the test with its output when it ends with an error."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    if done.returncode:
        said = f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        pytest.fail(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{said}", pytrace=False)
    return done.stdout


def npm_install(folder: Path) -> None:
    """Bring a folder's Node libraries as its lock file names them, if they are not there yet."""
    need("node", "npm")
    lock, mark = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if not mark.exists() or mark.stat().st_mtime < lock.stat().st_mtime:
        run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], folder=folder, timeout_s=BUILD_S)


def uv() -> str:
    """Return the path of uv, which `uv run` tells."""
    return os.environ.get("UV") or shutil.which("uv") or str(Path(__file__).parents[2] / ".tools" / "bin" / "uv")
