"""A supervisor over tiny processes: `python -m tests.infra.run_fake FOLDER [field=value …]`.

In: a folder, fields of the stack.
Out: the supervisor's own words and exit code.
Never: a real service.
"""

import sys
from pathlib import Path

from infra.supervisor.run import Supervisor
from tests.infra.children import FakeStack


def main() -> int:
    """Run it."""
    folder = Path(sys.argv[1])
    fields = {name: float(value) for name, value in (word.split("=") for word in sys.argv[2:])}
    stack = FakeStack(folder, **fields)  # type: ignore[arg-type]
    return Supervisor(stack, lambda line: print(line, flush=True)).run()


if __name__ == "__main__":
    sys.exit(main())
