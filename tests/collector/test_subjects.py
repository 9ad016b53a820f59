"""A collector with random ids of people: its key is rotated, a person stays a person, and nothing is written anew."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from footlights import HmacPseudonymiser
from footlights.subjects import key_id

from infra.cli.main import app
from tests.collector.conftest import Served
from tests.collector.test_clients import arrived

pytestmark = pytest.mark.kafka
OLD, NEW = "o" * 32, "n" * 32


def test_a_key_is_rotated(
    serve: Callable[..., Served],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "subjects.db"
    served = serve(subjects=str(file), pseudonym_keys=[OLD])
    token = served.token("rotating")
    for number, keys in enumerate(([OLD], [NEW, OLD], [NEW])):
        if number:
            assert served.stop() == 0
            served.options["pseudonym_keys"] = keys
            served.start()
        events = [{"event_name": "search", "user_id": user, "session_id": "s1"} for user in ("rosa", f"new-{number}")]
        assert served.post("/api/analytics/events/track", events, token).status == 202
        arrived(served, "rotating", 2 * (number + 1))
    found = arrived(served, "rotating", 6)
    people = [one.record["user_id"] for one in found]
    assert len(set(people)) == 4 and sorted(map(people.count, set(people))) == [1, 1, 1, 3]
    assert {one.record["pseudonym_version"] for one in found} == {0}
    computed = {HmacPseudonymiser(key.encode())("default", "rosa") for key in (OLD, NEW)}
    assert not computed & set(people) and all(b"rosa" not in one.payload for one in found)
    assert {one.record["session_id"] for one in found} == {
        HmacPseudonymiser(k.encode())("default", "s1") for k in (OLD, NEW)
    }

    monkeypatch.setenv("FOOTLIGHTS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FOOTLIGHTS_PSEUDONYM_KEY", NEW)
    monkeypatch.setenv("FOOTLIGHTS_SUBJECTS_FILE", str(file))
    expected = [
        {"key_id": key_id(NEW.encode()), "use": "newest", "people": 3},
        {"key_id": key_id(OLD.encode()), "use": "none", "people": 1},
    ]
    assert shown(capsys, "privacy", "keys", "--json") == expected
    assert shown(capsys, "privacy", "keys", "--forget", "--json") == expected[:1]


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> object:
    with pytest.raises(SystemExit) as ended:
        app(list(words))
    assert ended.value.code == 0
    return json.loads(capsys.readouterr().out)
