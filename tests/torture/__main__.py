"""The long crash test, then the storm: `python -m tests.torture [--seeds 1,2] [--kills 20] [--events 300000] [--storm 150]`.

In: seeds. Out: two JSON lines for each; exit 1 when one was not exact. Never: a shared folder between runs.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tests.torture.crash import Plan, report, torture
from tests.torture.platform import Platform
from tests.torture.storm import SETTINGS, Storm, weather


def main() -> int:
    """Run each seed on a platform of its own."""
    words = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    words.add_argument("--seeds", default="1")
    words.add_argument("--kills", type=int, default=20)
    words.add_argument("--events", type=int, default=300_000)
    words.add_argument("--rate", type=int, default=800)
    words.add_argument("--storm", type=float, default=150, help="seconds of it; 0 for none")
    words.add_argument("--keep", action="store_true", help="keep the data folders, logs included")
    given = words.parse_args()
    exact = True
    for seed in map(int, given.seeds.split(",")):
        with _platform({}, keep=given.keep) as platform:
            verdict = torture(platform, Plan(seed, given.events, given.kills, rate=given.rate))
        print(json.dumps({"seed": seed, **report(verdict)}), flush=True)
        exact &= verdict.exact
        if given.storm:
            with _platform(SETTINGS, keep=given.keep) as platform:
                after = weather(platform, Storm(seed, given.storm))
            print(json.dumps({"storm": seed, **asdict(after), "exact": after.exact}), flush=True)
            exact &= after.exact
    return 0 if exact else 1


@contextmanager
def _platform(settings: dict[str, str], *, keep: bool) -> Iterator[Platform]:
    """A platform of its own, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="footlights-torture-"))
    platform = Platform(folder / "data", dict(settings))
    platform.up()
    try:
        yield platform
    finally:
        platform.down()
        if keep:
            print(f"kept {folder}", file=sys.stderr, flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
