"""The page of clients names the versions that are tried."""

import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tests" / "clients"


def _versions() -> dict[str, str]:
    """What the programs' own lock files name."""
    python = {p["name"]: p["version"] for p in tomllib.loads((PROGRAMS / "python" / "uv.lock").read_text())["package"]}
    node = json.loads((PROGRAMS / "node" / "package-lock.json").read_text())["packages"]
    go = re.search(r"clickhouse-go/v2 v(\S+)", (PROGRAMS / "go" / "go.mod").read_text())
    jdbc = re.search(r"clickhouse-jdbc</artifactId>\s*<version>([^<]+)", (PROGRAMS / "jvm" / "pom.xml").read_text())
    assert go and jdbc
    return {
        "clickhouse-connect": python["clickhouse-connect"],
        "SQLAlchemy": python["sqlalchemy"],
        "ibis": python["ibis-framework"],
        "clickhouse-go": go[1],
        "JDBC": jdbc[1],
        "@clickhouse/client": node["node_modules/@clickhouse/client"]["version"],
    }


def test_the_page_names_the_versions_that_are_tried() -> None:
    rows = re.findall(r"^\| ([^|]+) \|.*\| ([\d.]+) \|$", (ROOT / "docs" / "clients.md").read_text(), re.MULTILINE)
    said = {name.split(",")[0]: version for name, version in rows}
    assert said == {name: ".".join(version.split(".")[:2]) for name, version in _versions().items()}


def test_lock_files_name_no_address_of_a_registry() -> None:
    for file in (PROGRAMS / "node" / "package-lock.json", PROGRAMS / "node" / "package.json"):
        assert "resolved" not in file.read_text()
