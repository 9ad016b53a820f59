"""Keys that several processes make and revoke at once: none is lost, and none comes back."""

import subprocess
import sys
from pathlib import Path

from footlights.collector.keys import KeyFile

#: Waits for the others, makes ten keys, and revokes every second one.
MAKER = """
import sys, time
from pathlib import Path
from footlights.collector.keys import KeyFile
folder, number = Path(sys.argv[1]), sys.argv[2]
(folder / f"ready-{number}").touch()
while len(list(folder.glob("ready-*"))) < 4:
    time.sleep(0.001)
for place in range(10):
    keys = KeyFile(folder / "keys.json")
    token, key = keys.create("write", name=f"{number}-{place}", source="web")
    if place % 2:
        keys.revoke(key.id)
    print(token, key.id, place % 2)
"""


def test_four_processes_make_and_revoke_keys_at_once(tmp_path: Path) -> None:
    words = [sys.executable, "-c", MAKER, str(tmp_path)]
    makers = [subprocess.Popen([*words, str(number)], stdout=subprocess.PIPE, text=True) for number in range(4)]
    told = [line.split() for maker in makers for line in maker.communicate(timeout=60)[0].splitlines()]
    assert [maker.returncode for maker in makers] == [0] * 4 and len(told) == 40
    keys = KeyFile(tmp_path / "keys.json")
    assert {key.id for key in keys} == {key_id for _, key_id, _ in told}
    for token, key_id, revoked in told:
        assert (keys.find(token) is None) == (revoked == "1"), key_id
    assert not list(tmp_path.glob("*.partial"))
