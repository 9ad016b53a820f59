"""`make bench-collection`: what the SDK and the collector cost, by the Python that runs them.

In: `python -m benchmarks.collection [--python NAME]`.
Out: benchmarks/collection.json, where the figures of other Pythons stay; its section of docs/benchmarks.md.
Never: figures of two Pythons under one name.
"""

import argparse
import json
import platform
import sys
from pathlib import Path

from benchmarks import collector, sdk
from benchmarks.page import write_page

RESULTS = Path(__file__).resolve().parent / "collection.json"


def main() -> int:
    """Measure, write, print."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.collection", description=__doc__)
    words.add_argument(
        "--python",
        default=f"{platform.python_implementation()} {platform.python_version()}",
        help="how to call this Python",
    )
    name = words.parse_args().python
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found[name] = {**sdk.measure(), **collector.measure()}
    print(json.dumps({name: found[name]}, indent=2))
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    write_page()
    return 0


if __name__ == "__main__":
    sys.exit(main())
