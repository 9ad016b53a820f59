"""A request is answered when the disk has its events or Kafka has them, whichever is first, and never before."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from footlights import HmacPseudonymiser, SubjectIds
from footlights.collector.keys import Key
from footlights.collector.lanes import Lanes
from footlights.collector.segment import Call
from footlights.pseudonyms import Pseudonymiser
from footlights.spool import Limits

pytestmark = pytest.mark.kafka
KEY = Key("1", "", "write", "slow", "default", "slow-disk", 1e9, 0.0)
NOWHERE = "127.0.0.1:1"


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A disk that brings nothing down until the event is set."""
    event = threading.Event()
    monkeypatch.setattr(Lanes, "_sync_all", lambda self: event.wait(60))
    yield event
    event.set()


def answered(lanes: Lanes, disk: threading.Event, patience_s: float) -> bool:
    """Whether an event is settled while the disk is stuck; it is, in any case, once the disk goes on."""

    async def wait() -> bool:
        [result] = lanes.take(KEY, [Call(name="search", user_id="u")], 1_764_000_000_000, 1_764_000_000_000)
        assert result.status == "ok"
        settled = asyncio.create_task(lanes.settled(KEY))
        done, _ = await asyncio.wait({settled}, timeout=patience_s)
        disk.set()
        await asyncio.wait_for(settled, 10)
        return bool(done)

    return asyncio.run(wait())


def lanes_of(kafka: str, registry: str, folder: Path, pseudonymise: Pseudonymiser) -> Lanes:
    return Lanes(
        bootstrap_servers=kafka, schema_registry=registry, folder=folder, pseudonymise=pseudonymise,
        limits=Limits(1 << 20, 3_600.0), kafka_config={"log_level": 0},
    )  # fmt: skip


def test_kafka_is_quicker_than_the_disk(platform: tuple[str, str], tmp_path: Path, stuck: threading.Event) -> None:
    lanes = lanes_of(*platform, tmp_path, HmacPseudonymiser(b"k" * 32))
    assert answered(lanes, stuck, 30.0)
    assert lanes.close(10) == 0


def test_without_kafka_only_the_disk_counts(platform: tuple[str, str], tmp_path: Path, stuck: threading.Event) -> None:
    lanes = lanes_of(NOWHERE, platform[1], tmp_path, HmacPseudonymiser(b"k" * 32))
    assert not answered(lanes, stuck, 1.0)
    assert lanes.close(0.1) == 1


def test_random_ids_of_people_must_be_on_the_disk(
    platform: tuple[str, str], tmp_path: Path, stuck: threading.Event
) -> None:
    lanes = lanes_of(*platform, tmp_path, SubjectIds(tmp_path / "subjects.db", [b"k" * 32]))
    assert not answered(lanes, stuck, 1.0)
    assert lanes.close(10) == 0
