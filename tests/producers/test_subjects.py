"""Random ids of people: one for each person, whatever the keys, the processes and their deaths."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from footlights import HmacPseudonymiser, SubjectIds
from footlights.subjects import key_id

OLD, NEW, NEWEST = b"o" * 32, b"n" * 32, b"m" * 32
ASKER = """
import sys, time
from pathlib import Path
from footlights import SubjectIds
ids = SubjectIds(Path(sys.argv[1]), [b"o" * 32])
for number in range(int(sys.argv[2])):
    print(number, ids("t", f"u{number}"), flush=True)
time.sleep(float(sys.argv[3]))
"""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., SubjectIds]]:
    """Opens files of the test's folder with keys, and closes them."""
    made: list[SubjectIds] = []

    def make(name: str, *keys: bytes) -> SubjectIds:
        made.append(SubjectIds(tmp_path / name, keys))
        return made[-1]

    yield make
    for one in made:
        one.close()


Opened = Callable[..., SubjectIds]


def asked(ids: SubjectIds, people: range = range(3)) -> list[str]:
    found = [ids("t", f"u{n}") for n in people]
    assert [ids("t", f"u{n}") for n in people] == found
    return found


def test_an_id_is_chance_and_belongs_to_one_person_of_one_tenant(opened: Opened, tmp_path: Path) -> None:
    ids = opened("a", OLD)
    found = {
        ids("t", "u1"),
        ids("t", "u2"),
        ids("other", "u1"),
        ids("tu", "1"),
        SubjectIds(tmp_path / "b", [OLD])("t", "u1"),
    }
    assert len(found) == 5 and all(len(one) == 32 and int(one, 16) for one in found)
    ids.sync()
    kept = b"".join(part.read_bytes() for part in tmp_path.glob("a*"))
    assert bytes.fromhex(ids("t", "u1")) in kept
    assert b"u1" not in kept and HmacPseudonymiser(OLD)("t", "u1").encode() not in kept
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0 and (tmp_path / "a-wal").stat().st_mode & 0o077 == 0


def test_a_rotation_keeps_everybody_who_came_meanwhile(opened: Opened) -> None:
    before = asked(opened("ids", OLD))
    assert asked(opened("ids", NEW, OLD), range(2)) == before[:2]  # these two are moved to the new key
    ids = opened("ids", NEW, OLD)
    assert ids.people() == {key_id(NEW): 2, key_id(OLD): 1} and ids.forget() == 0
    ids = opened("ids", NEW)
    assert asked(ids, range(2)) == before[:2]
    assert ids.forget() == 1 and ids.people() == {key_id(NEW): 2}
    assert ids("t", "u2") != before[2]  # nobody can find that person's former events any more
    assert asked(opened("ids", NEWEST, OLD, NEW), range(2)) == before[:2]


def test_processes_agree_while_they_are_killed(tmp_path: Path) -> None:
    file, people = tmp_path / "subjects.db", 500
    words = [sys.executable, "-c", ASKER, str(file), str(people)]
    # The first is killed in the middle; should it be through by then, it still waits.
    running = [subprocess.Popen([*words, wait], stdout=subprocess.PIPE, text=True) for wait in ("60", "0", "0", "0")]
    assert running[0].stdout and all(running[0].stdout.readline() for _ in range(100))
    running[0].send_signal(signal.SIGKILL)
    told = [one.communicate(timeout=60)[0].splitlines() for one in running]
    assert all(len(lines) == people for lines in told[1:]) and [one.returncode for one in running] == [-9, 0, 0, 0]
    whole = set(told[1])
    assert len({line.split()[1] for line in whole}) == people
    assert all(set(lines) == whole for lines in told[2:])
    assert {line for line in told[0] if len(line.split()) == 2 and len(line.split()[1]) == 32} <= whole


def test_threads_and_a_forked_child_share_it(opened: Opened) -> None:
    ids = opened("ids", OLD)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: ids("t", "u1"), range(64)))) == 1
    first, (read, write) = ids("t", "u1"), os.pipe()
    if (child := os.fork()) == 0:
        ids("t", "child")  # by a connection of its own
        os.write(write, f"{ids('t', 'u1')} {ids('t', 'child')}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100).decode().split() == [first, ids("t", "child")]


def test_a_file_that_cannot_be_used_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "no").write_bytes(b"this is no database" * 1_000)
    with pytest.raises(OSError, match="cannot be used"):
        SubjectIds(tmp_path / "no", [OLD])
    with pytest.raises(ValueError, match="at least 16 bytes"):
        SubjectIds(tmp_path / "short", [b"short"])
    with pytest.raises(ValueError, match="each once"):
        SubjectIds(tmp_path / "twice", [OLD, OLD])
