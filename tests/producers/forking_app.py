"""A service that forks while it tracks: `python -m tests.producers.forking_app KAFKA REGISTRY FOLDER CHILDREN EACH`.

In: addresses, a folder.
Out: exit 0 when the parent and every child saw all of theirs acknowledged; 2 when a fork did not wait for a new connection.
Never: anything else in the process: the test's own holds an engine whose memory allocator does not survive a fork.
"""

import os
import sys

from footlights import Client


def main() -> int:
    """Track, fork, track."""
    kafka, registry, folder, children, each = sys.argv[1:]
    client = Client(
        bootstrap_servers=kafka, schema_registry=registry, source="forks", pseudonym_key="k" * 32, cache_dir=folder
    )
    client.track("page_view", user_id="parent")
    pids: list[int] = []
    for _ in range(int(children)):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                taken = sum(bool(client.track("page_view", user_id=f"u{i}")) for i in range(int(each)))
                code = 0 if taken == int(each) and client.close(60) == 0 else 1
            finally:
                os._exit(code)
        if not pids and client.waiting:
            return 2
        pids.append(pid)
    ended = [os.waitpid(pid, 0)[1] for pid in pids]
    client.track("page_view", user_id="parent")
    return int(any(ended) or client.close(60) != 0)


if __name__ == "__main__":
    sys.exit(main())
