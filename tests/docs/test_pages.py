"""Pages that are written from declarations are current, and every link in the documentation leads somewhere."""

import re
from pathlib import Path

import pytest

from benchmarks.page import PAGE, newest
from infra.pages import kpis_page

ROOT = Path(__file__).resolve().parents[2]
PAGES = [p for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] if ".venv" not in p.parts]


def test_the_page_of_kpis_is_current() -> None:
    assert (ROOT / "docs" / "kpis.md").read_text() == kpis_page(), "run: python -m infra.pages > docs/kpis.md"


def test_the_page_of_benchmarks_is_written_from_the_results() -> None:
    assert PAGE.read_text() == newest(), "run: make bench, make bench-service, make bench-peers"


@pytest.mark.parametrize("file", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", file.read_text()):
        if "://" not in target:
            assert (file.parent / target).exists(), f"{file.name} links to {target}"


def test_the_readme_names_the_commands_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`?make ([a-z]+)", text)) <= targets
