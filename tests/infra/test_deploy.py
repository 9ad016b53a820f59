"""Deployment files: settings and commands that they name exist, and the files are well formed.

In: infra/deploy. Out: what is wrong. Never: a YAML library: the files keep to a subset that forty lines can read.
"""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.main import get_command

from infra.cli.main import app
from infra.settings import SETTINGS, load
from tests.schemas.engine import Engine

DEPLOY = Path(__file__).parents[2] / "infra" / "deploy"
YAML = sorted(DEPLOY.rglob("*.yaml"))


def read(text: str) -> list[Any]:
    """Documents of a text: maps, lists of scalars or maps, one-line lists; anchors and aliases stay words."""
    return [block(lines_of(part), 0)[0] for part in re.split(r"^---$", text, flags=re.M)]


def lines_of(text: str) -> list[tuple[int, str]]:
    found = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        assert "\t" not in line and line == line.rstrip(), line
        indent = len(line) - len(line.lstrip())
        assert indent % 2 == 0, line
        item = line.strip()
        found.append((indent, item))
        if item.startswith("- ") and re.match(r"- [\w.-]+:( |$)", item):
            found[-1:] = [(indent, "-"), (indent + 2, item[2:])]
    return found


def block(lines: list[tuple[int, str]], indent: int) -> tuple[Any, list[tuple[int, str]]]:
    """The value that begins with these lines, and the lines after it."""
    if lines[0][1].startswith("-"):
        items: list[Any] = []
        while lines and lines[0][0] == indent and lines[0][1].startswith("-"):
            item = lines[0][1][1:].strip()
            if item:
                items.append(scalar(item))
                lines = lines[1:]
            else:
                value, lines = block(lines[1:], lines[1][0])
                items.append(value)
        return items, lines
    out: dict[str, Any] = {}
    while lines and lines[0][0] == indent:
        match = re.match(r"([\w.<-]+):(?: (.*))?$", lines[0][1])
        assert match, f"no key: {lines[0][1]}"
        key, word = match[1], match[2] or ""
        assert key not in out, f"{key} twice"
        lines = lines[1:]
        if (not word or word.startswith("&")) and lines and lines[0][0] > indent:
            out[key], lines = block(lines, lines[0][0])
        else:
            out[key] = scalar(word)
    assert not lines or lines[0][0] < indent, f"wrong indent: {lines[0]}"
    return out, lines


def scalar(word: str) -> Any:
    if word.startswith("["):
        return re.findall(r'"([^"]*)"', word)
    return word.strip('"')


@pytest.mark.parametrize("file", YAML, ids=lambda f: f.name)
def test_settings_that_are_named_exist(file: Path) -> None:
    named = set(re.findall(r"\b(?:FOOTLIGHTS|ANALYTICS|OPENAI|AI)_[A-Z_]+\b", file.read_text()))
    assert named <= set(SETTINGS), named - set(SETTINGS)


def test_values_that_are_written_can_be_read() -> None:
    config = read((DEPLOY / "kubernetes" / "settings.yaml").read_text())[1]
    compose = read((DEPLOY / "compose.yaml").read_text())[0]["x-footlights"]["environment"]
    for values in (config["data"], compose):
        given = {k: v for k, v in values.items() if not v.startswith("${")}
        assert len(given) >= 6 and load(given)["FOOTLIGHTS_CLICKHOUSE"] == given["FOOTLIGHTS_CLICKHOUSE"]


def test_compose_starts_in_order_and_runs_our_commands() -> None:
    services = read((DEPLOY / "compose.yaml").read_text())[0]["services"]
    assert set(services) == {"kafka", "registry", "clickhouse", "migrate", "worker", "sink", "collector", "monitor"}
    ours = {name: s for name, s in services.items() if s.get("<<") == "*footlights"}
    assert set(ours) == {"migrate", "worker", "sink", "collector", "monitor"}
    for service in ours.values():
        known_words(service["command"])
    for name in ("worker", "sink", "collector", "monitor"):
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert set(services["migrate"]["depends_on"]) == {"kafka", "registry", "clickhouse"}
    for name in services["migrate"]["depends_on"]:
        assert services[name]["healthcheck"]["test"][0] == "CMD"


def test_kubernetes_objects_hang_together() -> None:
    objects = [o for f in sorted((DEPLOY / "kubernetes").glob("*.yaml")) for o in read(f.read_text())]
    kinds = sorted(o["kind"] for o in objects)
    assert kinds == [
        "ConfigMap", *["Deployment"] * 3, "Job", "Namespace", *["PodDisruptionBudget"] * 3, "Service", "StatefulSet",
    ]  # fmt: skip
    for found in objects:
        assert found["apiVersion"] and (found["kind"] == "Namespace" or found["metadata"]["namespace"] == "footlights")
        if found["kind"] in ("Deployment", "StatefulSet", "Job"):
            container = found["spec"]["template"]["spec"]["containers"][0]
            known_words(container["args"])
            assert [list(e) for e in container["envFrom"]] == [["configMapRef"], ["secretRef"]]
        if found["kind"] in ("Deployment", "StatefulSet"):
            assert found["spec"]["selector"]["matchLabels"] == found["spec"]["template"]["metadata"]["labels"]


def known_words(words: list[str]) -> None:
    """A command line that the command line itself can parse."""
    command = get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    command.make_context(words[0], list(words[1:]))


def test_nothing_secret_and_no_key_lies_in_the_files() -> None:
    for file in (f for f in DEPLOY.rglob("*") if f.is_file()):
        text = file.read_text()
        assert not re.search(r"\b[0-9a-f]{32,}\b", text), file
        for value in re.findall(r"(?:PASSWORD|_KEY): (.*)", text):
            assert value.startswith("${"), (file, value)


def test_the_readers_profile_reads_only_and_no_query_widens_a_limit(engine: Engine) -> None:
    tree = ElementTree.parse(DEPLOY / "clickhouse" / "reader.xml")
    assert [q.text.split()[1] for q in tree.iterfind("users/reader/grants/query") if q.text] == ["SELECT,", "SELECT"]
    profile = tree.find("profiles/reader")
    assert profile is not None
    limits = {item.tag: item.text or "" for item in profile if item.tag != "constraints"}
    assert limits["readonly"] == "2" and {"max_execution_time", "max_memory_usage", "max_result_rows"} <= set(limits)
    constraints = {item.tag: item for item in profile.iterfind("constraints/*")}
    assert set(constraints) == set(limits), "each limit has its constraint, and each constraint its limit"
    for name, constraint in constraints.items():
        if constraint.find("const") is None:
            # 0 means no limit, so that a bound above without one below would be none.
            assert constraint.findtext("max") == limits[name] and int(constraint.findtext("min") or 0) > 0, name
    known = {name for (name,) in engine.rows("SELECT name FROM system.settings")}
    assert set(limits) <= known, set(limits) - known
