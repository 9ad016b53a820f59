"""What a collector refuses before it is a record is in its reports, and so in the ledger."""

from pathlib import Path

from footlights import HmacPseudonymiser
from footlights.collector.keys import KeyFile
from footlights.collector.lanes import DROP, Lanes, Result
from footlights.spool import Limits

NOW_MS = 1_764_000_000_000


def test_an_event_that_cannot_be_read_is_told_like_one_that_does_not_fit(tmp_path: Path) -> None:
    lanes = Lanes(
        bootstrap_servers="127.0.0.1:9", schema_registry="http://127.0.0.1:9", folder=tmp_path,
        pseudonymise=HmacPseudonymiser(b"k" * 32), limits=Limits(1 << 20, 60.0), kafka_config={},
    )  # fmt: skip
    try:
        keys = KeyFile(tmp_path / "keys.json")
        key = keys.find(keys.create("write", name="web", source="web")[0])
        assert key is not None
        unreadable = [Result(DROP, code="SCHEMA_VIOLATION"), Result(DROP, code="UNKNOWN_SCHEMA")]
        assert lanes.take(key, [*unreadable, unreadable[0]], NOW_MS, NOW_MS) == [*unreadable, unreadable[0]]
        [lane] = lanes._lanes.values()
        assert lane.refused == {"SCHEMA_VIOLATION": 2, "UNKNOWN_SCHEMA": 1}
        assert lane.sending.refused is lane.refused  # what the relay reports of this lane
    finally:
        lanes.close(1.0)
