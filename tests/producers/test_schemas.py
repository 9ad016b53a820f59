"""A registry that does not answer: copies on the disk are used, and calls do not wait for it one after the other."""

import json
from pathlib import Path
from typing import Any

import pytest
from footlights import registry
from footlights.registry import Schemas
from footlights.written import SchemaUnavailable


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
    monkeypatch.setattr(Schemas, "_connection", lambda _: made)
    return made


def test_a_silent_registry_is_waited_for_half_of_the_time_at_most(silent: Silent, tmp_path: Path) -> None:
    schemas = Schemas("http://127.0.0.1:1", tmp_path, 1.0)
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


def test_copies_on_the_disk_do_not_wait_either(silent: Silent, tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    for number in range(7):
        kept = {"subject": f"s{number}", "schema_id": number, "text": "{}"}
        (tmp_path / "schemas" / f"s{number}.json").write_text(json.dumps(kept))
    schemas = Schemas("http://127.0.0.1:1", tmp_path, 1.0)
    assert [schemas.written(f"s{number}").schema_id for number in range(7)] == list(range(7))
    assert silent.asked == ["s0"]
