"""A collector process: `python -m tests.collector.serving CONFIG`, the fields of Config as JSON.

In: a Config, but for its pseudonymiser `pseudonym_keys` and `subjects`. Out: a collector on its port.
Never: another way to run it than the platform's.
"""

import json
import sys
from pathlib import Path

from footlights import HmacPseudonymiser, SubjectIds
from footlights.collector.run import Config, serve


def main() -> None:
    """Serve until SIGTERM."""
    told = json.loads(sys.argv[1])
    for name in ("folder", "keys", "geo_database"):
        told[name] = Path(told[name]) if told.get(name) else None
    if "dead_letter_key" in told:
        told["dead_letter_key"] = bytes.fromhex(told["dead_letter_key"])
    keys = [key.encode() for key in told.pop("pseudonym_keys", ["k" * 32])]
    subjects = told.pop("subjects", "")
    serve(Config(pseudonymiser=SubjectIds(Path(subjects), keys) if subjects else HmacPseudonymiser(keys[0]), **told))


if __name__ == "__main__":
    main()
