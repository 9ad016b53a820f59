"""CSV rows by a mapping file.

In: the small file, odd rows, wrong mappings. Out: events, reasons, sentences. Never: a rounded amount.
"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.replay.event import Event, Origin, Refused
from infra.replay.lines import LineReader
from infra.replay.mapping import BadMapping, Mapping, parse_mapping, read_mapping
from infra.replay.run import ReplayConfig, parse_file
from infra.replay.tabular import CsvParser

DATA = Path(__file__).parents[1] / "data"
ORIGIN = Origin("digest", "default", "replay")
TABLES: dict[str, Any] = {"event": {"name": "x"}, "time": {"column": "t"}, "ids": {"user_id": "u"}}


def rows(path: Path, mapping: Path) -> tuple[list[Event], list[tuple[int, str]]]:
    config = ReplayConfig(path, "csv", mapping)
    events: list[Event] = []
    refused: list[tuple[int, str]] = []
    for number, parsed in parse_file(config, LineReader(path), ORIGIN):
        if isinstance(parsed, Refused):
            refused.append((number, str(parsed)))
        else:
            events += parsed
    return events, refused


def test_the_small_file() -> None:
    events, refused = rows(DATA / "orders.csv", DATA / "orders.toml")
    assert [(e.name, e.fields["amount_minor"], e.fields["quantity"]) for e in events] == [
        ("ticket_purchased", 2_500, 2),
        ("ticket_purchased", 4_500, 1),
        ("refund_issued", 2_500, 2),
        ("ticket_purchased", 2_997, 3),
        ("ticket_purchased", 999, 1),
    ]
    # London is an hour ahead of UTC in July and level with it in December.
    assert [e.occurred_at_ms for e in events[:4:3]] == [1_719_818_760_000, 1_734_305_400_000]
    assert events[3].properties["item"] == "A name\nover two lines" and events[3].context == {"country": "France"}
    assert [e.user_id for e in events] == ["17850", "17850", "17850", "13047", None]  # the last one bought as a guest
    assert refused == [
        (8, "a number is unreadable"),
        (9, "timestamp unreadable"),
        (10, "too few columns"),
        (11, "an amount of GBP has at most 2 decimals"),
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"event": {}}, "needs a name or a column"),
        ({"time": {}}, "column is needed"),
        ({"time": {"column": "t", "zone": "Mars/Base"}}, "zone"),
        ({"csv": {"delimiter": ";;"}}, "delimiter"),
        ({"csv": {"encoding": "klingon"}}, "encoding"),
        ({"csv": {"decimal": ",", "thousands": ","}}, "thousands"),
        ({"fields": {"quantity": {"column": "q", "decimals": "2"}}}, "decimals must be int"),
        ({"fields": {"quantity": {"column": "q", "decimals": 99}}}, "decimals must lie"),
        ({"event": {"name": "x", "names": "y"}}, "names"),
        ({"fileds": {}}, "unknown"),
        ({"fields": {"quantity": {"colum": "q"}}}, "must be a column"),
        ({"event": {"name": "x", "rules": [{"column": "a"}]}}, "rules"),
    ],
)
def test_a_wrong_mapping_is_explained(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadMapping, match=sentence):
        parse_mapping({**TABLES, **change})


def test_a_column_that_the_file_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,x\n2024-01-01,1\n")
    (tmp_path / "m.toml").write_text('[event]\nname="x"\n[time]\ncolumn="t"\n[ids]\nuser_id="who"\n')
    with pytest.raises(BadMapping, match="'who'"):
        rows(tmp_path / "a.csv", tmp_path / "m.toml")
    (tmp_path / "m.toml").write_text("not toml")
    with pytest.raises(BadMapping, match="TOML"):
        read_mapping(tmp_path / "m.toml")


@pytest.mark.parametrize(
    "form", [("epoch_s", "1718388000"), ("epoch_ms", "1718388000000"), ("iso8601", "2024-06-14T18:00:00Z")]
)
def test_time_formats(form: tuple[str, str]) -> None:
    mapping = parse_mapping({**TABLES, "time": {"column": "t", "format": form[0]}})
    [event] = CsvParser(ORIGIN, mapping).parse([form[1], "me"], {"t": 0, "u": 1}, 2)
    assert event.occurred_at_ms == 1_718_388_000_000


@given(
    st.lists(st.text(max_size=20), min_size=3, max_size=3), st.sampled_from(["iso8601", "epoch_s", "%Y", "%d/%m/%Y"])
)
def test_any_row_is_parsed_or_refused(cells: list[str], form: str) -> None:
    mapping: Mapping = parse_mapping(
        {**TABLES, "time": {"column": "t", "format": form}, "fields": {"quantity": {"column": "n", "decimals": 2}}}
    )
    try:
        [event] = CsvParser(ORIGIN, mapping).parse(cells, {"t": 0, "u": 1, "n": 2}, 2)
    except Refused:
        return
    assert event.occurred_at_ms and event.message_id
