"""A service that does nothing but track, and notes what was taken: `… tracking_app NOTES KAFKA REGISTRY SPOOL [computes]`.

In: a file for the notes, addresses, a spool. With `computes` a thread beside holds the interpreter's lock without a pause, so that
the relay's own thread comes to nothing and `track` does its work.
Out: a line for each event that `track` took, written before the next call.
Never: an end of its own.
"""

import os
import sys
import threading
from itertools import count
from pathlib import Path

from footlights import Client


def compute() -> None:
    """Keep the interpreter busy."""
    while True:
        pass


def main() -> None:
    """Track until killed."""
    file, kafka, registry, spool, *how = sys.argv[1:]
    notes = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    client = Client(
        bootstrap_servers=kafka, schema_registry=registry, source="tracking-app", pseudonym_key="k" * 32, spool_dir=spool,
        cache_dir=Path(spool).parent / "cache", queue_max_messages=2_000,
    )  # fmt: skip
    if how == ["computes"]:
        threading.Thread(target=compute, daemon=True).start()
    for number in count(1):
        outcome = client.track("search", user_id=f"user-{number % 500}", properties={"n": number})
        if outcome:
            os.write(notes, f"{outcome.message_id}\n".encode())


if __name__ == "__main__":
    main()
