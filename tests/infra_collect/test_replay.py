"""Whole replays: what is read, published and refused, and that a repetition gives the same ids.

In: the small files; a client in memory and the SDK on a real broker. Out: the same results on both. Never: a clock.
"""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from infra.replay.publishing import Stalled
from infra.replay.run import Progress, RefusedLine, ReplayConfig, replay
from tests.infra_collect.memory_client import Connector

DATA = Path(__file__).parents[1] / "data"
ORDERS, ORDERS_MAPPING = DATA / "orders.csv", DATA / "orders.toml"
LOG, PACKED, SEGMENT = DATA / "access.log", DATA / "access.log.gz", DATA / "segment.jsonl"


def test_a_log_is_published_and_its_bad_lines_are_named() -> None:
    connector, seen = Connector(), list[Progress]()
    result = replay(ReplayConfig(LOG, "combined"), connector, seen.append)
    lines = [text for text in LOG.read_text().splitlines() if text]
    assert (result.read, result.lines, result.refused) == (len(lines), len(lines) - 3, 3)
    assert result.published == len(connector.calls) == 2 * result.lines
    assert result.named == (
        RefusedLine(81, "not a combined log line"),
        RefusedLine(101, "timestamp unreadable"),
        RefusedLine(121, "not a combined log line"),
    )
    assert result.exit_code == 0
    assert replay(ReplayConfig(LOG, "combined", strict=True), Connector()).exit_code == 1
    assert seen[-1] == Progress("done", LOG.stat().st_size, LOG.stat().st_size, result.read, result.published, 3)
    assert connector.client is not None and connector.client.closed


def test_the_same_content_gives_the_same_ids_packed_or_not() -> None:
    plain, packed = Connector(), Connector()
    replay(ReplayConfig(LOG, "combined"), plain)
    replay(ReplayConfig(PACKED, "combined"), packed)
    assert plain.calls == packed.calls
    ids = [c["message_id"] for c in plain.calls]
    assert len(set(ids)) == len(ids)


def test_times_are_the_lines_own() -> None:
    connector = Connector()
    replay(ReplayConfig(SEGMENT, "segment"), connector)
    assert all(c["occurred_at"] == c["sent_at_ms"] == c["received_at_ms"] for c in connector.calls)


def test_what_the_sdk_refuses_is_a_refused_line() -> None:
    connector = Connector({"refuses": frozenset({"checkout_started"})})
    result = replay(ReplayConfig(SEGMENT, "segment"), connector)
    assert RefusedLine(3, "INVALID_FIELD: rating must lie between 1 and 5") in result.named
    assert result.refused == 7 and result.published == 10


def test_what_kafka_does_not_acknowledge_is_an_error() -> None:
    result = replay(ReplayConfig(SEGMENT, "segment"), Connector({"loses": frozenset({"page_view"})}))
    assert (result.failed, result.published, result.exit_code) == (3, 8, 1)


def test_named_lines_are_bounded_and_counted(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text(LOG.read_text().splitlines()[0] + "\n" + "bad\n" * 500)
    found = replay(ReplayConfig(tmp_path / "bad", "combined"), Connector()).as_json()
    assert found["refused"] == 500 and found["refused_lines_left_out"] == 400
    assert found["reasons"] == {"not a combined log line": 500}


def test_speed_holds_lines_back_by_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    replay(ReplayConfig(SEGMENT, "segment", speed=10.0), Connector())
    # seconds after the first line, by ten; the last line comes five hours later
    assert slept[:2] == [0.5, 6.0] and slept[-1] == 1_800.0


def test_without_schemas_a_sentence_says_so() -> None:
    class Unavailable(Connector):
        def __call__(self, delivered: Any) -> Any:
            client = super().__call__(delivered)
            answer = type("No", (), {"__bool__": lambda _: False, "reason": "UNAVAILABLE", "detail": "no registry"})()
            monkey: Any = client
            monkey.track = lambda *_, **__: answer
            return client

    with pytest.raises(Stalled, match="no registry"):
        replay(ReplayConfig(SEGMENT, "segment"), Unavailable())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"format": "xml"}, "--format"), ({"format": "csv"}, "--mapping"), ({"speed": 0.0}, "--speed")],
)
def test_wrong_options_are_explained(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ReplayConfig(**{"file": LOG, "format": "combined", **options})


@pytest.mark.parametrize(
    ("path", "form", "mapping"),
    [(PACKED, "combined", None), (SEGMENT, "segment", None), (ORDERS, "csv", ORDERS_MAPPING)],
)
def test_each_line_of_a_file_is_accounted_for(path: Path, form: str, mapping: Path | None) -> None:
    found = replay(ReplayConfig(path, form, mapping), Connector({"refuses": frozenset({"ticket_purchased"})})).as_json()
    content = path.with_suffix("").read_bytes() if path.suffix == ".gz" else path.read_bytes()
    kinds = ("lines", "refused", "blank_lines", "header_lines", "continued_lines")
    assert sum(int(str(found[kind])) for kind in kinds) == found["file_lines"] == len(content.splitlines())
    assert found["problem"] is None


def test_csv(tmp_path: Path) -> None:
    connector = Connector()
    result = replay(ReplayConfig(ORDERS, "csv", ORDERS_MAPPING), connector)
    assert (result.read, result.published, result.refused) == (9, 5, 4)
    assert Counter(c["event_name"] for c in connector.calls) == {"ticket_purchased": 4, "refund_issued": 1}
    assert (result.file_lines, result.beside) == (11, {"header": 1, "continued": 1})
