"""A spool on a disk that is full refuses, takes events again once there is room, and has lost none that it took."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from footlights import Client
from footlights.ids import new_producer_id
from footlights.spool import Spool

from tests.producers.reading import read

pytestmark = pytest.mark.kafka


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=False).returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def test_what_finds_no_room_for_its_folder_leaves_nothing_behind(small_disk: Path) -> None:
    with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
        while filler.write(b"x" * 4_096):
            pass
    before = open_files()
    for _ in range(20):
        with pytest.raises(OSError, match="No space"):
            Spool.create(small_disk / "spool", new_producer_id(), "shop", "default")
    assert open_files() < before + 10 and [*(small_disk / "spool").iterdir()] == []
    (small_disk / "filler").unlink()
    Spool.create(small_disk / "spool", new_producer_id(), "shop", "default").close(remove=True)


def test_a_full_disk(platform: tuple[str, str], small_disk: Path, tmp_path: Path) -> None:
    options = {"source": "full-disk-sdk", "pseudonym_key": "k" * 32, "cache_dir": tmp_path, "spool_dir": small_disk}
    with Client(bootstrap_servers=platform[0], schema_registry=platform[1], **options) as first:  # type: ignore[arg-type]
        # The schema is in the cache from now on: ten milliseconds may not do for it.
        assert first.check("search", user_id="u")
    away = Client(
        bootstrap_servers="127.0.0.1:1",
        schema_registry=platform[1],
        max_block_s=0.01,
        kafka_config={"log_level": 0},
        **options,
    )  # type: ignore[arg-type]
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 600_000)
    taken, reasons = [], set()
    for number in range(6_000):
        outcome = away.track("search", user_id=f"u{number}")
        if outcome:
            taken.append(outcome.message_id)
        else:
            reasons.add(outcome.reason)
        if reasons and filler.exists() and number > 4_000:
            before = len(taken)
            filler.unlink()
    assert reasons == {"SPOOL_FULL"} and away.refused["SPOOL_FULL"] == 6_000 - len(taken)
    assert len(taken) > before, "it takes events again once there is room"
    away.close(0.1)
    with Client(bootstrap_servers=platform[0], schema_registry=platform[1], **options) as here:  # type: ignore[arg-type]
        assert here.take_over(30) == 0
    found = [r.record["message_id"] for r in read(platform[0], ["events.interaction"], "full-disk-sdk")]
    assert sorted(found) == sorted(taken)
    assert not [p for p in small_disk.iterdir() if p.name != "filler"], "no quarantine, nothing left"
