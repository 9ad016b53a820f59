"""What a client's events became on the broker.

In: a collector and a source. Out: records by their event names.
Never: a verdict before all that is awaited is there.
"""

import json
import time
from datetime import UTC, datetime
from typing import Any

from footlights import HmacPseudonymiser

from schemas.families import FAMILIES
from tests.collector.conftest import Served
from tests.producers.reading import read

TOPICS = [family.topic for family in FAMILIES.values()]


def arrived(served: Served, source: str, names: set[str]) -> dict[str, dict[str, Any]]:
    """The records of a source by name, once all these names are there; each may be there once only."""
    deadline = time.monotonic() + 30
    while True:
        records = [one.record for one in read(served.kafka, TOPICS, source)]
        found = {record["event_name"]: record for record in records}
        if names <= found.keys():
            assert len({record["message_id"] for record in records}) == len(records) == len(found), records
            return found
        assert time.monotonic() < deadline, f"{sorted(names - found.keys())} did not arrive, {sorted(found)} did"
        time.sleep(0.2)


def pseudonym(raw: str) -> str:
    """Under the key of the tests' collectors."""
    return HmacPseudonymiser(b"k" * 32)("default", raw)


def told(record: dict[str, Any]) -> dict[str, Any]:
    """The properties of a record."""
    return dict(json.loads(record["properties"]))


def is_recent(record: dict[str, Any]) -> bool:
    """Whether it says that it happened within the last minute."""
    return -1_000 < datetime.now(UTC).timestamp() * 1000 - record["occurred_at_ms"] < 60_000
