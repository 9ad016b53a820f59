"""What lies in a spool is found again, whatever happened to its neighbours."""

import errno
import os
from pathlib import Path

import pytest
from footlights.frames import Damage, Framed, framed, parse
from footlights.spool import ACKED, META, QUARANTINE, Limits, Spool
from hypothesis import given
from hypothesis import strategies as st

LIMITS = Limits(1 << 30, 3_600.0)


def record(number: int, payload: bytes) -> bytes:
    return framed(number, b"t", b"k", payload)


def found(buffer: bytes, *, final: bool = True) -> list[int]:
    return [one.sequence for one in parse(buffer, final=final) if isinstance(one, Framed)]


PAYLOADS = st.lists(st.binary(max_size=60) | st.just(b"FLr1") | st.just(b"FLr1\0\0\0\x20abcd"), min_size=1, max_size=6)


@given(PAYLOADS)
def test_all_that_was_written_is_read(payloads: list[bytes]) -> None:
    buffer = b"".join(record(n, p) for n, p in enumerate(payloads))
    assert [(o.sequence, o.payload) for o in parse(buffer, final=True) if isinstance(o, Framed)] == [
        *enumerate(payloads)
    ]


@given(PAYLOADS, st.data())
def test_a_torn_end_costs_its_own_record_only(payloads: list[bytes], data: st.DataObject) -> None:
    last = record(len(payloads), b"the last one")
    cut = data.draw(st.integers(0, len(last) - 1))
    buffer = b"".join(record(n, p) for n, p in enumerate(payloads)) + last[:cut]
    assert found(buffer) == found(buffer, final=False) == [*range(len(payloads))]


@given(PAYLOADS, st.data())
def test_a_flipped_byte_costs_its_own_record_only(payloads: list[bytes], data: st.DataObject) -> None:
    pieces = [record(n, p) for n, p in enumerate(payloads)]
    hit = data.draw(st.integers(0, len(pieces) - 1))
    place = data.draw(st.integers(0, len(pieces[hit]) - 1))
    flipped = bytearray(pieces[hit])
    flipped[place] ^= data.draw(st.integers(1, 255))
    buffer = b"".join([*pieces[:hit], bytes(flipped), *pieces[hit + 1 :]])
    assert found(buffer) == [n for n in range(len(payloads)) if n != hit]
    assert sum(isinstance(one, Damage) for one in parse(buffer, final=True)) == 1


def append(spool: Spool, number: int, limits: Limits = LIMITS, *, sync: bool = False) -> bool:
    return spool.append(number, number, record(number, b"p" * 50), limits, sync=sync)


def write(spool: Spool, first: int, last: int) -> None:
    for number in range(first, last + 1):
        assert append(spool, number)


def read_all(spool: Spool, *, final: bool) -> list[int]:
    out: list[int] = []
    while piece := spool.read(final=final):
        out += [one.sequence for one in piece]
    return out


def test_a_folder_is_taken_over_once_its_process_is_gone(tmp_path: Path) -> None:
    dead = Spool.create(tmp_path, "a" * 32, "shop", "default")
    write(dead, 1, 100)
    assert not list(Spool.abandoned(tmp_path))
    dead.acknowledge(40)
    dead.close(remove=False)
    (heir,) = Spool.abandoned(tmp_path)
    assert (heir.producer_id, heir.source, heir.tenant_id) == ("a" * 32, "shop", "default")
    assert read_all(heir, final=True) == [*range(41, 101)]
    assert heir.exhausted
    assert not list(Spool.abandoned(tmp_path))
    heir.close(remove=True)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("meta", ["", "[]", '{"source": "shop"}', "\0" * 80])
def test_a_folder_that_does_not_say_whose_it_is_is_put_aside(tmp_path: Path, meta: str) -> None:
    for name in ("a" * 32, "b" * 32):
        spool = Spool.create(tmp_path, name, "shop", "default")
        write(spool, 1, 3)
        spool.close(remove=False)
    (tmp_path / ("a" * 32) / META).write_text(meta)
    (heir,) = Spool.abandoned(tmp_path)
    assert heir.producer_id == "b" * 32
    heir.close(remove=True)
    assert not list(Spool.abandoned(tmp_path)) and len([*(tmp_path / QUARANTINE).rglob("*.seg")]) == 1


def test_segments_go_as_they_are_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("footlights.spool.SEGMENT_BYTES", 1_000)
    spool = Spool.create(tmp_path, "b" * 32, "shop", "default")
    write(spool, 1, 200)
    held, files = spool.waiting_bytes, len([*spool.folder.glob("*.seg")])
    assert files > 10
    assert read_all(spool, final=False) == [*range(1, 201)]
    spool.acknowledge(150)
    assert len([*spool.folder.glob("*.seg")]) < files / 2
    assert spool.waiting_bytes == sum(p.stat().st_size for p in spool.folder.glob("*.seg")) < held
    spool.rewind()
    assert read_all(spool, final=False) == [*range(151, 201)]
    write(spool, 201, 210)
    assert read_all(spool, final=False) == [*range(201, 211)]
    spool.sync()
    spool.close(remove=True)


def test_the_limits_are_bytes_and_time_without_an_acknowledgement(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, "c" * 32, "shop", "default")
    assert append(spool, 1, Limits(100, 10.0), sync=True)
    assert not append(spool, 2, Limits(100, 10.0), sync=True)
    assert not append(spool, 2, Limits(10_000, 0.0), sync=True)
    spool.acknowledge(1)
    assert append(spool, 2, Limits(10_000, 0.5), sync=True)
    spool.close(remove=True)


def test_damage_is_put_aside_and_counted(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, "d" * 32, "shop", "default")
    write(spool, 1, 10)
    spool.close(remove=False)
    (segment,) = spool.folder.glob("*.seg")
    body = bytearray(segment.read_bytes())
    body[len(body) // 2] ^= 0xFF
    segment.write_bytes(bytes(body) + b"FLr1 a record that was cut off")
    (heir,) = Spool.abandoned(tmp_path)
    assert len(read_all(heir, final=True)) == 9
    assert heir.damaged == 1
    assert len([*(tmp_path / QUARANTINE).iterdir()]) == 2
    heir.rewind()
    assert len(read_all(heir, final=True)) == 9 and heir.damaged == 1
    heir.close(remove=True)


def test_a_broken_note_of_what_was_acknowledged_repeats_records_and_loses_none(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, "e" * 32, "shop", "default")
    write(spool, 1, 10)
    spool.acknowledge(5)
    spool.close(remove=False)
    (spool.folder / ACKED).write_text("??")
    (heir,) = Spool.abandoned(tmp_path)
    assert read_all(heir, final=True) == [*range(1, 11)]
    heir.close(remove=True)


@pytest.mark.parametrize("cut", [False, True])
def test_a_batch_that_failed_halfway_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: bool) -> None:
    spool = Spool.create(tmp_path, "f" * 32, "shop", "default")
    write(spool, 1, 3)
    assert read_all(spool, final=False) == [1, 2, 3]
    pwrite, between = os.pwrite, []

    def short(descriptor: int, data: bytes, place: int) -> int:
        wrote = pwrite(descriptor, data[: len(data) * 2 // 3], place)
        between.extend(read_all(spool, final=False))  # a reader is on another thread, and looks just now
        return wrote

    def refuse(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, "not even that")

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", short)
        if not cut:
            full.setattr(os, "ftruncate", refuse)
        with pytest.raises(OSError):
            spool.append(4, 9, b"".join(record(n, b"refused") for n in range(4, 10)), LIMITS, sync=False)
    between += read_all(spool, final=False)
    assert between == [] and spool.sequence == 3
    write(spool, 4, 12)
    pieces = [one for _ in range(3) for one in spool.read(final=False)]
    assert [(one.sequence, one.payload) for one in pieces] == [(n, b"p" * 50) for n in range(4, 13)]
    assert spool.damaged == 0 and not (tmp_path / QUARANTINE).exists()
    spool.close(remove=True)


def test_damage_in_a_segment_that_grows_costs_its_own_record_only(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, "9" * 32, "shop", "default")
    write(spool, 1, 6)
    (segment,) = spool.folder.glob("*.seg")
    body = bytearray(segment.read_bytes())
    size = len(body) // 6
    body[2 * size + 30] ^= 0xFF
    segment.write_bytes(bytes(body))
    assert read_all(spool, final=False) == [1, 2, 4, 5, 6]
    assert spool.damaged == 1
    write(spool, 7, 8)
    assert read_all(spool, final=False) == [7, 8]
    spool.close(remove=True)


def test_a_sync_brings_down_what_finds_the_segments_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("footlights.spool.SEGMENT_BYTES", 1_000)
    synced, broken, fsync = list[Path](), [True], os.fsync

    def noted(descriptor: int) -> None:
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        if place.is_relative_to(tmp_path) and broken:
            broken.clear()
            raise OSError(errno.EIO, "the disk is broken")
        if place.is_relative_to(tmp_path):
            synced.append(place)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    spool = Spool.create(tmp_path, "8" * 32, "shop", "default")
    write(spool, 1, 2)
    with pytest.raises(OSError, match="broken"):
        spool.sync()
    needed = [spool.folder / META, spool.folder, tmp_path]
    for last in (2, 3, 30):
        write(spool, spool.sequence + 1, last)
        synced.clear()
        spool.sync()
        spool.sync()
        assert synced == ([] if last == 3 else needed), "once for each new segment"
    synced.clear()
    for number in range(31, 51):
        assert append(spool, number, sync=True)
    assert len(synced) >= 3 and set(synced) == set(needed)
    spool.close(remove=True)


def test_damage_longer_than_a_reading_is_passed_by(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, "7" * 32, "shop", "default")
    write(spool, 1, 3)
    spool.close(remove=False)
    (segment,) = spool.folder.glob("*.seg")
    with segment.open("ab") as out:
        out.write(b"FLr1" * 150_000 + b"".join(record(number, b"p" * 50) for number in (4, 5, 7)))
    (heir,) = Spool.abandoned(tmp_path)
    found = [one.sequence for _ in range(20) for one in heir.read(final=True)]
    assert found == [1, 2, 3, 4, 5, 7]
    assert heir.exhausted and heir.damaged == 1
    assert sum(p.stat().st_size for p in (tmp_path / QUARANTINE).iterdir()) == 600_000
    heir.close(remove=True)
