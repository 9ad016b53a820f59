"""The commands of README and docs as they stand, on a machine without uv; and every port that the stack opens meanwhile.

In: the fenced blocks of the pages.
Out: what a reader sees who types them.
Never: a command changed, but for the number of events that README simulates.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest
from typer.main import get_command

from infra.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "examples/shop/README.md",
]
FOOTLIGHTS = ".venv/bin/footlights"
#: What else a reader's shell finds: the system's own, and programs that the page has said to install.
KNOWN = {"make", "curl", "export", "cp", "prometheus", "promtool", "pip", "npm", "cd"}
SHELL = {"", "bash", "sh", "console"}


def commands(page: Path) -> list[str]:
    """Commands of the page's shell blocks, each whole: a quoted text or a backslash carries it over several lines."""
    found: list[str] = []
    for kind, block in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        if kind not in SHELL:
            continue
        begun = ""
        for line in block.replace("\\\n", " ").splitlines():
            begun = f"{begun}\n{line}" if begun else line
            try:
                shlex.split(begun, comments=True)
            except ValueError:
                continue
            if re.match(r"(?:[A-Z_]+=\S+ )*[\w./-]+(?: |$)", begun):
                found.append(begun)
            begun = ""
    return found


ALL = [(page, line) for page in PAGES for line in commands(page)]


def words(line: str) -> list[str]:
    """A command's words without the assignments before it."""
    given = shlex.split(line, comments=True)
    while given and re.fullmatch(r"[A-Z_]+=.*", given[0]):
        given.pop(0)
    return given


def without_uv(folder: Path) -> dict[str, str]:
    """The environment of somebody who has the system's programs only."""
    path = "/usr/bin:/bin"
    assert shutil.which("uv", path=path) is None
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FOOTLIGHTS_", "VIRTUAL_ENV", "UV_"))}
    return {**kept, "PATH": path, "FOOTLIGHTS_DATA_DIR": str(folder)}


def test_every_command_of_the_pages_can_be_found_and_read() -> None:
    ours = 0
    for page, line in ALL:
        first, *rest = words(line) or ["export"]
        if first == FOOTLIGHTS:
            command = get_command(app).commands[rest[0]]  # type: ignore[attr-defined]
            command.make_context(rest[0], rest[1:], resilient_parsing=False)
            ours += 1
        elif first == ".venv/bin/python":
            assert rest[0] == "-m" and (ROOT / rest[1].replace(".", "/")).with_suffix(".py").is_file(), (page, line)
        elif not re.fullmatch(r"[A-Z_]+=.*", line.strip()):
            assert first in KNOWN, f"{page.name}: {line}: no such command"
    assert ours > 30


def test_no_page_asks_for_uv() -> None:
    for page in PAGES:
        assert not re.search(r"^\s*(?:uv|uvx) ", page.read_text(), re.MULTILINE), page


@pytest.fixture(scope="module")
def shell(kafka_jars: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator["Shell"]:
    made = Shell(tmp_path_factory.mktemp("first-steps"))
    yield made
    made.run(f"{FOOTLIGHTS} down", check=False)


class Shell:
    """Types commands in the checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = without_uv(folder)

    def run(self, line: str, *, check: bool = True) -> str:
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert not check or done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def readme() -> list[str]:
    return [line for line in commands(ROOT / "README.md") if line.startswith(FOOTLIGHTS)]


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
def test_what_readme_shows_works(shell: Shell) -> None:
    steps = readme()
    assert (
        steps[0].startswith(f"{FOOTLIGHTS} up --detach")
        and steps[-1].startswith(f"{FOOTLIGHTS} down")
        and len(steps) == 10
    )
    for step in steps[:-1]:
        shell.run(step.replace("--events 100000", "--events 4000"))
    of_pages = [
        line for page, line in ALL
        if page.name in {"operators.md", "analysts.md", "collector.md"}
        and words(line)[:1] == [FOOTLIGHTS] and words(line)[1] in {"status", "doctor", "wait", "query", "token"}
    ]  # fmt: skip
    assert len(of_pages) >= 5
    for step in of_pages:
        shell.run(step)


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
def test_every_port_is_documented_and_on_loopback(shell: Shell) -> None:
    rows = re.findall(r"^\| (\w+) \| (\d+) \|", (ROOT / "docs" / "operators.md").read_text(), re.MULTILINE)
    documented = {name: int(count) for name, count in rows}
    status = json.loads(shell.run(f"{FOOTLIGHTS} status --json"))
    password = (shell.folder / "keys" / "clickhouse.password").read_text().strip()
    assert password not in json.dumps(status) and password not in (shell.folder / "state.json").read_text()
    seen: set[str] = set()
    for told in status["processes"]:
        process = psutil.Process(told["pid"])
        family = [process] if told["name"] == "supervisor" else [process, *process.children(recursive=True)]
        ports: Counter[str] = Counter()
        for member in family:
            assert password not in " ".join(member.cmdline())
            for place in member.net_connections("inet"):
                if place.status == psutil.CONN_LISTEN:
                    at = ip_address(place.laddr.ip)
                    at = getattr(at, "ipv4_mapped", None) or at
                    assert at.is_loopback, (told["name"], place.laddr)
                    ports[place.laddr.ip] += 1
        name = re.sub(r"-\d+$", "", told["name"])
        assert ports.total() == documented.get(name, 0), (name, ports)
        seen.add(name)
    assert seen == {*documented, "supervisor"}
    for log in (shell.folder / "logs").iterdir():
        assert password not in log.read_text(errors="replace"), log
    socket = shell.folder / "control.sock"
    assert not socket.exists() or socket.stat().st_mode & 0o077 == 0


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
def test_the_last_step_stops_it(shell: Shell) -> None:
    shell.run(readme()[-1])
    assert "ready" not in shell.run(f"{FOOTLIGHTS} status", check=False).split()
