"""Children of every kind: each is a producer of its own, nothing that it or its parent took is lost, and nothing comes twice.

Of a child that is cut off while Kafka's acknowledgement is on its way, its heir sends events again, as the same records.
"""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.producers.forks_app import CHILDREN, EACH, WAYS
from tests.producers.reading import read

pytestmark = pytest.mark.kafka
#: Ways whose children end without a last look at what was acknowledged.
CUT_OFF = {"pool-terminated", "fork-in-c-and-leave"}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_children_are_producers_of_their_own(way: str, platform: tuple[str, str], tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    words = ["-W", "ignore:.*fork:DeprecationWarning", "-m", "tests.producers.forks_app", way, *platform, str(tmp_path)]
    assert subprocess.run([sys.executable, *words, way], check=False, timeout=120).returncode == 0
    found = read(platform[0], ["events.interaction"], way)
    taken = [line for file in notes.iterdir() for line in file.read_text().split()]
    assert len(set(taken)) == len(taken) >= CHILDREN * EACH + 2
    sent = [(one.record["message_id"], one.record["producer_id"], one.record["sequence"]) for one in found]
    assert way in CUT_OFF or len(set(sent)) == len(sent)
    assert sorted(message_id for message_id, _, _ in set(sent)) == sorted(taken)
    numbers = defaultdict[str, list[int]](list)
    for _, producer_id, sequence in set(sent):
        numbers[producer_id].append(sequence)
    assert all(sorted(held) == [*range(1, len(held) + 1)] for held in numbers.values())
    assert len(numbers) == len([*notes.iterdir()])
    assert not [*tmp_path.rglob("*.seg")], "something waits for another process"
