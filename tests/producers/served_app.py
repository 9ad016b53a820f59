"""A WSGI application of one client, made where a service makes it: at import, before a server forks its workers.

In: KAFKA, REGISTRY, SOURCE, FOLDER; BEFORE says how many events the module itself tracks.
Out: `application`, which tracks one event for a request and answers what was said of it.
Never: a word to the SDK about the server.
"""

import json
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from footlights import Client

client = Client(
    bootstrap_servers=os.environ["KAFKA"], schema_registry=os.environ["REGISTRY"], source=os.environ["SOURCE"],
    pseudonym_key="k" * 32, spool_dir=os.environ["FOLDER"], cache_dir=os.environ["FOLDER"] + "-cache",
)  # fmt: skip
BEFORE = [client.track("seat_map_opened", seat="before") for _ in range(int(os.environ.get("BEFORE", "0")))]


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Track, answer."""
    time.sleep(0.02)  # a small query, so that other workers get requests too
    outcome = client.track("seat_map_opened", seat=environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "application/json")])
    before = [one.message_id for one in BEFORE if one]
    told = {"pid": os.getpid(), "status": outcome.status, "id": outcome.message_id, "before": before}
    return [json.dumps(told).encode()]
