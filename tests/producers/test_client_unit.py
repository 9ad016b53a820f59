"""What a call answers, without a broker: the registry's answers come from the disk, and Kafka is never reached."""

import doctest
import hashlib
import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import footlights
import pytest
from footlights import Client, HmacPseudonymiser, Money, Refusal, checks, ids, names, uuid7, uuid7_of
from footlights.pseudonyms import key_for
from footlights.registry import copies_of
from hypothesis import given
from hypothesis import strategies as st

from schemas import validity
from schemas.families import FAMILIES, INTERNAL
from schemas.origin import ORIGIN_HEADER, SEPARATOR
from schemas.topics import TOPICS

SURFACE = Path(__file__).with_name("public_surface.txt")
NOWHERE = "127.0.0.1:1"


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """A folder that holds the schemas, as an earlier run would have left it."""
    copies = copies_of(tmp_path, f"http://{NOWHERE}")
    copies.mkdir(parents=True)
    for number, topic in enumerate(TOPICS.values(), 1):
        held = {"subject": topic.subject, "schema_id": number, "text": topic.record.text}
        (copies / f"{topic.subject}.json").write_text(json.dumps(held))
    return tmp_path


class Hasty(Client):
    """A client that does not wait for a broker that will never answer."""

    def close(self, timeout: float = 0.05) -> int:
        return super().close(timeout)


def client(folder: Path, **options: Any) -> Client:
    """A client that reaches nothing."""
    defaults = {
        "bootstrap_servers": NOWHERE, "schema_registry": f"http://{NOWHERE}", "source": "unit", "pseudonym_key": "k" * 32,
        "cache_dir": folder, "max_block_s": 0.05, "kafka_config": {"log_level": 0},
    }  # fmt: skip
    return Hasty(**{**defaults, **options})


def nested(depth: int) -> dict[str, Any]:
    """Properties nested so deep."""
    return {} if depth == 0 else {"a": nested(depth - 1)}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"event_name": ""}, "INVALID_NAME"),
        ({"event_name": "a\nb"}, "INVALID_NAME"),
        ({"event_name": "x" * 200}, "INVALID_NAME"),
        ({"user_id": "null"}, "INVALID_ID"),
        ({"user_id": 0}, "INVALID_ID"),
        ({"user_id": "anonymous"}, "INVALID_ID"),
        ({"user_id": ""}, "INVALID_ID"),
        ({"anonymous_id": 1.5}, "INVALID_ID"),
        ({"occurred_at": datetime(2026, 1, 1)}, "NAIVE_DATETIME"),
        ({"occurred_at": 1_700_000_000}, "INVALID_TIME"),
        ({"occurred_at": "yesterday"}, "INVALID_TIME"),
        ({"properties": {"a": float("nan")}}, "INVALID_PROPERTY"),
        ({"properties": {"a": float("inf")}}, "INVALID_PROPERTY"),
        ({"properties": {"a": object()}}, "INVALID_PROPERTY"),
        ({"properties": {"a": "\ud800"}}, "INVALID_PROPERTY"),
        ({"properties": nested(9)}, "EVENT_TOO_LARGE"),
        ({"properties": {str(i): 1 for i in range(257)}}, "EVENT_TOO_LARGE"),
        ({"properties": {"a": "x" * 70_000}}, "EVENT_TOO_LARGE"),
        ({"sequence": 5}, "RESERVED_NAME"),
        ({"status": "200"}, "INVALID_FIELD"),
        ({"status": 99}, "INVALID_FIELD"),
        ({"status": True}, "INVALID_FIELD"),
        ({"context": {"shoe_size": "43"}}, "INVALID_FIELD"),
        ({"title": "\ud800"}, "INVALID_PROPERTY"),
        ({"message_id": "not-a-uuid"}, "INVALID_ID"),
    ],
)
def test_bad_input_is_refused_with_a_reason(cached: Path, arguments: dict[str, Any], reason: str) -> None:
    with client(cached) as held:
        outcome = held.track(**{"event_name": "page_view", **arguments})
    assert not outcome
    assert (outcome.status, outcome.reason) == ("refused", reason)
    assert outcome.detail


def test_strict_raises_what_others_are_told(cached: Path) -> None:
    with client(cached, strict=True) as held, pytest.raises(Refusal, match="INVALID_ID"):
        held.track("page_view", user_id="null")


def test_nothing_raises_even_without_schemas(tmp_path: Path) -> None:
    with client(tmp_path) as held:
        outcome = held.track("page_view", user_id="u1")
    assert (outcome.status, outcome.reason) == ("refused", "UNAVAILABLE")


def test_disabled_does_nothing(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_ENABLED", "false")
    with client(cached) as held:
        assert held.track("page_view").status == "disabled"
        assert held.producer_id is None


def test_a_full_spool_refuses_and_counts(cached: Path) -> None:
    with client(cached, spool_max_bytes=4_000) as held:
        outcomes = [held.track("page_view", user_id=f"u{i}") for i in range(30)]
        taken = [o.status for o in outcomes].count("spooled")
        assert 5 < taken < 30
        assert {o.reason for o in outcomes if not o} == {"SPOOL_FULL"}
        assert held.refused == {"SPOOL_FULL": 30 - taken}
        assert held.waiting == taken


@pytest.mark.parametrize("mended", [False, True])
def test_a_folder_that_cannot_be_used_is_left_for_another_that_can(
    cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mended: bool
) -> None:
    blocked, spare = tmp_path / "blocked", tmp_path / "spare"
    blocked.write_text("a file")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(blocked))
    with client(cached, spool_dir=blocked / "spool") as one:
        assert one.track("search", user_id="u").reason == "SPOOL_FAILED"
        monkeypatch.setattr(tempfile, "gettempdir", lambda: str(spare))
        if mended:
            blocked.unlink()
        assert one.track("search", user_id="u") and one.track("search", user_id="u")
    assert len([*spare.rglob("meta.json")]) == (not mended)
    assert len([*blocked.rglob("meta.json")]) == mended


def test_closed_is_closed(cached: Path) -> None:
    held = client(cached)
    held.close()
    assert held.track("page_view").reason == "CLOSED"


def test_the_map_of_names_and_the_ranges_are_the_platforms() -> None:
    assert set(names.FAMILIES) == set(FAMILIES)
    assert all(TOPICS[names.topic_of(f)].record is FAMILIES[f] for f in names.FAMILIES)
    assert names.family_of("anything_else") == "interaction"
    assert (names.ORIGIN_HEADER, ids.KEY_SEPARATOR) == (ORIGIN_HEADER, SEPARATOR)
    for field, bounds in checks.RANGES.items():
        assert validity.RANGES[field] == bounds
    assert (checks.EARLIEST_MS, checks.LATEST_MS) == (validity.EARLIEST_MS, validity.LATEST_MS)
    assert INTERNAL["producer_report"].kinds["last_sequence"] == "long"


def test_pseudonyms_depend_on_key_tenant_and_id() -> None:
    one, other = HmacPseudonymiser(b"a" * 32), HmacPseudonymiser(b"b" * 32)
    made = {one("t", "u"), one("t", "v"), one("s", "u"), other("t", "u")}
    assert len(made) == 4
    assert one("t", "u") == HmacPseudonymiser(b"a" * 32)("t", "u")
    assert all(len(p) == 32 for p in made)


def test_an_installation_makes_one_key_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANALYTICS_PSEUDONYM_KEY", raising=False)
    with pytest.warns(UserWarning, match="ANALYTICS_PSEUDONYM_KEY"):
        first = key_for(None, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert key_for(None, tmp_path) == first
    assert (tmp_path / "pseudonym.key").stat().st_mode & 0o777 == 0o600


def test_ids_carry_their_time() -> None:
    ms = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
    assert int(uuid7(ms, 2**74 - 1).replace("-", "")[:12], 16) == ms
    assert uuid7_of(ms, "a", "b") == uuid7_of(ms, "a", "b") != uuid7_of(ms, "a", "c")


@given(st.integers(0, 2**50), st.text())
def test_a_foreign_record_keeps_its_id_from_release_to_release(ms: int, part: str) -> None:
    # Another one would let a repeat that comes after an upgrade count twice.
    assert uuid7_of(1_700_000_000_000, "default", "shop", "m-1") == "018bcfe5-6800-7d57-bcae-e2913ec831e0"
    part = part.encode("utf-8", "replace").decode()
    hashed = int.from_bytes(hashlib.sha256(f"t\x1f{part}".encode()).digest()[:10], "big")
    assert uuid7_of(ms, "t", part) == uuid7(ms, hashed)


def surface() -> str:
    """Every public name with its signature, as a service may rely on it."""
    lines = []
    for name in sorted(footlights.__all__):
        found = getattr(footlights, name)
        lines.append(f"{name}{inspect.signature(found)}")
        if inspect.isclass(found):
            for member, value in inspect.getmembers(found):
                if inspect.isfunction(value) and not member.startswith("_"):
                    lines.append(f"{name}.{member}{inspect.signature(value)}")
    return "\n".join(lines) + "\n"


def test_the_public_surface_changes_on_purpose_only() -> None:
    """`FOOTLIGHTS_WRITE_SURFACE=1 pytest -k surface` writes the new one; say in the CHANGELOG what changed."""
    if os.environ.get("FOOTLIGHTS_WRITE_SURFACE"):
        SURFACE.write_text(surface())
    assert surface() == SURFACE.read_text()
    assert Money(500, "USD").amount_minor == 500


@pytest.mark.parametrize("name", [m.name for m in pkgutil.iter_modules(footlights.__path__)])
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"footlights.{name}")).failed == 0


def test_a_fork_waits_once_for_a_connection_that_does_not_come(cached: Path) -> None:
    held = client(cached)
    assert held.track("page_view")
    begun = time.monotonic()
    held._before_fork(begun + 0.2)
    assert time.monotonic() >= begun + 0.2
    begun = time.monotonic()
    held._before_fork(begun + 60)
    assert time.monotonic() < begun + 30


def test_the_import_is_light() -> None:
    """Clients of the registry and of HTTP make up most of it, and most services need one of the two."""
    heavy = "'confluent_kafka.schema_registry', 'authlib', 'httpx2', 'footlights.registry', 'footlights.posting'"
    code = f"import sys, footlights; assert not {{{heavy}}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
