"""Whatever a file holds, it is parsed to its end, and each line is an event, refused by number, or no row of its own.

In: rows and calls with any value in any field, and bytes of any kind. Out: the same sum. Never: an exception, or a lost line.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.replay.mapping import BadMapping
from infra.replay.recognise import UnknownFormat
from infra.replay.segment import SegmentParser
from tests.infra_collect.files import HEADER, order, parsed
from tests.infra_collect.test_segment import JSON, KEYS

SLOW = settings(deadline=timedelta(seconds=5))
CALL = {"type": "track", "event": "ticket_purchased", "userId": "u", "timestamp": "2026-07-10T10:00:00Z"}
VISIT = '192.0.2.1 - - [10/Jul/2026:10:00:01 +0000] "GET /a HTTP/1.1" 200 1 "-" "Firefox"'
#: Texts that parsers of numbers, times and quotes stumble over.
ODD = st.sampled_from(
    [
        "--1",
        "-",
        "+",
        "1e999",
        "NaN",
        "-0",
        "²",
        '"',
        '""',
        '"x',
        'x"',
        "\ufeff",
        "\x85",
        "9" * 5_000,
        "0001-01-01",
        "\u2028",
        "\r",
    ]
)
CELL = ODD | st.text(max_size=12)
VALUE = ODD | st.just(10**4_000) | JSON


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


@SLOW
@given(st.lists(st.lists(CELL, min_size=6, max_size=8), max_size=4), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_cells(folder: Path, rows: list[list[str]], end: str) -> None:
    told = end.join([HEADER, order(1), *(",".join(row) for row in rows), order(9)]) + end
    content = told.encode(errors="surrogatepass")
    found = parsed(folder, content)
    assert "A1" in found.orders or 2 in found.refused


@SLOW
@given(st.integers(0, 6), CELL)
def test_any_text_in_one_cell_leaves_the_neighbours_alone(folder: Path, place: int, text: str) -> None:
    cells = order(2).split(",")
    cells[place] = '"' + text.replace('"', '""') + '"'
    found = parsed(folder, "\n".join([HEADER, order(1), ",".join(cells), order(3)]).encode(errors="surrogatepass"))
    assert {"A1", "A3"} <= set(found.orders)
    assert len(found.events) + len(found.refused) >= 3


@SLOW
@given(st.binary(max_size=400))
def test_any_bytes_between_sound_rows(folder: Path, body: bytes) -> None:
    row = order(1).encode()
    found = parsed(folder, HEADER.encode() + b"\n" + row + b"\n" + body + b"\n" + row + b"\n" + row)
    assert found.lines >= 4
    visits = parsed(folder, VISIT.encode() + b"\n" + body + b"\n" + VISIT.encode(), "combined")
    assert len(visits.events) >= 2


@SLOW
@given(
    st.dictionaries(
        st.sampled_from(KEYS),
        VALUE,
    ),
    st.dictionaries(
        st.sampled_from(["quantity", "amount_minor", "currency", "order_id", "session_id", "automatic", "user_id"]),
        VALUE,
    ),
    st.sampled_from(["track", "page", "screen", "identify", "group", "alias"]),
)
def test_any_call(folder: Path, odd: dict[str, Any], properties: dict[str, Any], kind: str) -> None:
    calls = [CALL, {**CALL, "type": kind, "properties": properties, **odd}, {**CALL, "properties": properties}, CALL]
    found = parsed(folder, "\n".join(json.dumps(call) for call in calls), "segment")
    assert {1, 4} <= set(found.events) and len(found.events) + len(found.refused) == 4
    assert not any(reason.startswith("cannot be read") for reason in found.refused.values())


@given(st.sampled_from(["csv", "combined", "segment", "common", "vhost_combined"]), st.binary(max_size=300))
def test_any_file(folder: Path, form: str, content: bytes) -> None:
    try:
        parsed(folder, content, form)
    except (BadMapping, UnknownFormat, ValueError) as problem:
        assert str(problem)


def test_what_no_parser_foresaw_costs_its_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = SegmentParser.parse

    def stumble(self: SegmentParser, line: bytes, number: int) -> Any:
        if number == 2:
            raise ZeroDivisionError("secret")
        return sound(self, line, number)

    monkeypatch.setattr(SegmentParser, "parse", stumble)
    found = parsed(folder, f"{json.dumps(CALL)}\n" * 3, "segment")
    assert list(found.events) == [1, 3] and found.refused == {2: "cannot be read: ZeroDivisionError"}
