"""A collector process: `python -m tests.collector.serving CONFIG`, the fields of Config as JSON.

In: a Config. Out: a collector on its port.
Never: another way to run it than the platform's.
"""

import json
import sys
from pathlib import Path

from footlights.collector.run import Config, serve


def main() -> None:
    """Serve until SIGTERM."""
    told = json.loads(sys.argv[1])
    for name in ("folder", "keys", "geo_database"):
        told[name] = Path(told[name]) if told.get(name) else None
    serve(Config(pseudonym_key=b"k" * 32, **told))


if __name__ == "__main__":
    main()
