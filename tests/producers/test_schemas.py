"""A registry that does not answer: copies on the disk are used, and calls do not wait for it one after the other."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from footlights import registry
from footlights.registry import Schemas, copies_of
from footlights.written import SchemaUnavailable

URL = "http://127.0.0.1:1"


class Silent:
    """A registry that answers after a second that it does not, and the clock by which that second passes."""

    def __init__(self) -> None:
        self.now, self.asked = 100.0, list[str]()

    def monotonic(self) -> float:
        return self.now

    def get_latest_version(self, subject: str) -> Any:
        self.asked.append(subject)
        self.now += 1.0
        raise OSError("timed out")


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Silent:
    made = Silent()
    monkeypatch.setattr(registry, "time", made)
    monkeypatch.setattr(Schemas, "_connection", lambda _: nullcontext(made))
    return made


def test_a_silent_registry_is_waited_for_half_of_the_time_at_most(silent: Silent, tmp_path: Path) -> None:
    schemas = Schemas(URL, tmp_path, 1.0)
    for _ in range(99):
        with pytest.raises(SchemaUnavailable, match="no schema for one: timed out"):
            schemas.written("one")
        with pytest.raises(SchemaUnavailable, match="no schema for two: timed out"):
            schemas.written("two")
        silent.now += 0.01
    assert silent.asked == ["one"]
    silent.now += 1.0
    with pytest.raises(SchemaUnavailable):
        schemas.written("two")
    assert silent.asked == ["one", "two"]


def kept(folder: Path, url: str, subject: str, text: str) -> None:
    """A copy on the disk, as an earlier run would have left it."""
    copies_of(folder, url).mkdir(parents=True, exist_ok=True)
    (copies_of(folder, url) / f"{subject}.json").write_text(text)


def copy(subject: str, schema_id: int) -> str:
    """What stands in such a file."""
    return json.dumps({"subject": subject, "schema_id": schema_id, "text": "{}"})


def test_copies_on_the_disk_do_not_wait_either(silent: Silent, tmp_path: Path) -> None:
    for number in range(7):
        kept(tmp_path, URL, f"s{number}", copy(f"s{number}", number))
    schemas = Schemas(URL, tmp_path, 1.0)
    assert [schemas.written(f"s{number}").schema_id for number in range(7)] == list(range(7))
    assert silent.asked == ["s0"]


def test_a_copy_is_of_the_registry_that_gave_it(silent: Silent, tmp_path: Path) -> None:
    kept(tmp_path, "http://127.0.0.1:2", "one", copy("one", 2))
    with pytest.raises(SchemaUnavailable):
        Schemas(URL, tmp_path, 1.0).written("one")
    kept(tmp_path, URL, "one", copy("one", 1))
    assert Schemas(URL, tmp_path, 1.0).written("one").schema_id == 1
    assert Schemas("http://127.0.0.1:2", tmp_path, 1.0).written("one").schema_id == 2


@pytest.mark.parametrize("torn", ["", '{"subject": "one", "sch', "{}", "[]"])
def test_a_copy_that_a_power_loss_tore_is_none(silent: Silent, tmp_path: Path, torn: str) -> None:
    kept(tmp_path, URL, "one", torn)
    with pytest.raises(SchemaUnavailable, match="timed out"):
        Schemas(URL, tmp_path, 1.0).written("one")
