"""One sink as a process: `python -m tests.sinks.process CONFIG`, the configuration as JSON.

With DAMAGE=n in the environment the last byte of each n-th answer to a fetch is another one.
"""

import json
import os
import sys
from collections.abc import Sequence
from itertools import count

from sinks import source
from sinks.config import SinkConfig
from sinks.errors import SinkError
from sinks.record_batches import Aborted, Fetched
from sinks.run import run


def damage(every: int) -> None:
    whole, numbers = source.fetched, count(1)

    def fetched(data: bytes, start: int, aborted: Sequence[Aborted] = ()) -> Fetched:
        broken = next(numbers) % every == 0
        return whole(data[:-1] + bytes([data[-1] ^ 1]) if broken else data, start, aborted)

    source.fetched = fetched


def main() -> int:
    if every := os.environ.get("DAMAGE"):
        damage(int(every))
    given = json.loads(sys.argv[1])
    try:
        run(SinkConfig(**{**given, "topics": tuple(given["topics"])}))
    except SinkError as error:
        print(error, file=sys.stderr)
        return 70
    return 0


if __name__ == "__main__":
    sys.exit(main())
