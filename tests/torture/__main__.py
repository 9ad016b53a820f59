"""The long crash test: `python -m tests.torture [--seeds 1,2] [--kills 20] [--events 300000]`.

In: seeds. Out: one JSON line for each run; exit 1 when one was not exact. Never: a shared folder between runs.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.torture.crash import Plan, report, torture
from tests.torture.platform import Platform


def main() -> int:
    """Run each seed on a platform of its own."""
    words = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    words.add_argument("--seeds", default="1")
    words.add_argument("--kills", type=int, default=20)
    words.add_argument("--events", type=int, default=300_000)
    words.add_argument("--rate", type=int, default=800)
    words.add_argument("--keep", action="store_true", help="keep the data folders, logs included")
    given = words.parse_args()
    exact = True
    for seed in map(int, given.seeds.split(",")):
        folder = Path(tempfile.mkdtemp(prefix="footlights-torture-"))
        platform = Platform(folder)
        platform.up()
        try:
            verdict = torture(platform, Plan(seed, given.events, given.kills, rate=given.rate))
        finally:
            platform.down()
            if given.keep:
                print(f"kept {folder}", file=sys.stderr, flush=True)
            else:
                shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps({"seed": seed, **report(verdict)}), flush=True)
        exact &= verdict.exact
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
