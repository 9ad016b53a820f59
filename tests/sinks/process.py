"""One sink as a process: `python -m tests.sinks.process CONFIG`, the configuration as JSON."""

import json
import sys

from sinks.config import SinkConfig
from sinks.errors import SinkError
from sinks.run import run


def main() -> int:
    given = json.loads(sys.argv[1])
    try:
        run(SinkConfig(**{**given, "topics": tuple(given["topics"])}))
    except SinkError as error:
        print(error, file=sys.stderr)
        return 70
    return 0


if __name__ == "__main__":
    sys.exit(main())
