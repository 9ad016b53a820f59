"""Damaged rows of a CSV: each is refused by its number, none is shifted, and none vanishes with its neighbours.

In: small files with one fault each. Out: orders and reasons. Never: a row that is counted nowhere.
"""

from pathlib import Path

import pytest

from infra.replay import rows
from infra.replay.mapping import BadMapping
from tests.infra_collect.files import HEADER, ORDERS, order, parsed

TEXTS = '[event]\nname = "feedback_given"\n[time]\ncolumn = "when"\n[fields]\ntext = "text"\n'


def file_of(*lines: str) -> str:
    return "\n".join([HEADER, *lines]) + "\n"


def test_a_row_has_the_cells_of_the_header(tmp_path: Path) -> None:
    wide, narrow, trailing = order(2, item="Row 4, 7"), "A3,2026-07-10T10:00:03Z,c3", order(4) + ","
    found = parsed(tmp_path, file_of(order(1), wide, narrow, trailing, order(5)))
    assert found.orders == ["A1", "A5"]
    assert found.refused == {3: "too many columns", 4: "too few columns", 5: "too many columns"}
    assert found.events[2][0].fields == {"order_id": "A1", "quantity": 1, "amount_minor": 4_500, "currency": "USD"}


def test_a_quote_that_never_closes_costs_its_own_row(tmp_path: Path) -> None:
    found = parsed(tmp_path, file_of(order(1), order(2, item='"Front row'), order(3), order(4), order(5)))
    assert found.orders == ["A1", "A3", "A4", "A5"]
    assert found.refused == {3: "a quote opens and swallows the row after it"}
    last = parsed(tmp_path, file_of(order(1), order(2, item='"Front row')))
    assert (last.orders, last.refused) == (["A1"], {3: "a quote opens and never closes"})


@pytest.mark.parametrize("between", [0, 1, 2, 3])
def test_a_quote_that_closes_some_rows_later_costs_its_own_row(tmp_path: Path, between: int) -> None:
    middle = [order(3 + i, item='""') for i in range(between)]
    found = parsed(
        tmp_path,
        file_of(order(1), order(2, item='"Front row'), *middle, order(10, item='Back row"'), order(11, item='"a, b"')),
    )
    assert found.orders == ["A1", *(f"A{3 + i}" for i in range(between)), "A10", "A11"]
    assert found.refused == {3: "a quote opens and swallows the row after it"}


def test_lines_that_a_quote_swallowed_have_the_ids_that_they_have_without_it(tmp_path: Path) -> None:
    mapping = ORDERS.replace('message_id = "order"\n', "")
    damaged = parsed(tmp_path, file_of(order(1), order(2, item='"Front row'), order(3), order(4)), mapping=mapping)
    again = parsed(tmp_path, file_of(order(1), order(2, item='"Front row'), order(3), order(4)), mapping=mapping)
    sound = parsed(tmp_path, file_of(order(1), order(2, item="Front row"), order(3), order(4)), mapping=mapping)
    ids = {number: events[0].message_id for number, events in sound.events.items()}
    assert {number: events[0].message_id for number, events in damaged.events.items()} == {n: ids[n] for n in (2, 4, 5)}
    assert damaged.events == again.events and len(set(ids.values())) == 4


def test_a_quote_that_closes_within_a_cell_is_refused(tmp_path: Path) -> None:
    found = parsed(tmp_path, file_of(order(1, item='"Front" row'), order(2, item=r'"a \"b\" c"'), order(3)))
    assert found.orders == ["A3"] and set(found.refused.values()) == {"a quote closes in the middle of a cell"}


def test_a_quote_within_a_plain_cell_is_a_letter(tmp_path: Path) -> None:
    found = parsed(tmp_path, file_of(order(1, item='Vinyl 12"'), order(2, item='"Vinyl 12"""'), order(3)))
    assert [e[0].properties["item"] for e in found.events.values()] == ['Vinyl 12"', 'Vinyl 12"', "Standing"]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("when,text,place", '2026-07-10T10:00:00Z,"Loved it.\n\nAgain, please,\nand ""soon""",Hall'),
        ("text,when,place", '"Loved it.\n\nAgain, please,\nand ""soon""",2026-07-10T10:00:00Z,Hall'),
        ("place,when,text", 'Hall,2026-07-10T10:00:00Z,"Loved it.\n\nAgain, please,\nand ""soon"""'),
    ],
)
def test_a_sound_cell_over_lines_is_one_row(tmp_path: Path, header: str, row: str) -> None:
    found = parsed(tmp_path, f"{header}\n{row}\n{row}\n", mapping=TEXTS)
    assert (found.refused, list(found.events)) == ({}, [2, 6])
    assert {e[0].fields["text"] for e in found.events.values()} == {'Loved it.\n\nAgain, please,\nand "soon"'}
    assert found.beside == {"header": 1, "continued": 6} and found.lines == 9


def test_a_cell_over_lines_that_makes_no_row_is_damaged(tmp_path: Path) -> None:
    found = parsed(tmp_path, file_of(order(1, item='"a\nb",c'), order(3)))
    assert found.orders == ["A3"]
    assert found.refused == {2: "a quoted cell spans lines that make no row with it", 3: "too few columns"}


def test_an_open_quote_reads_ahead_only_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROW_LINES", 5)
    found = parsed(tmp_path, file_of(order(1, item='"open'), *["text"] * 8, order(9)))
    assert found.orders == ["A9"] and found.refused[2] == "a quote opens and does not close within 5 lines"
    assert list(found.refused) == list(range(2, 11))


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (HEADER + ",amount", "2 columns 'amount'"),
        (HEADER + ", amount ", "2 columns 'amount'"),
        (HEADER.replace(",", ";"), 'delimiter = ";" under'),
        (HEADER.replace(",", "\t"), r'delimiter = "\\t" under'),
        (HEADER.replace("currency", ""), "no column 'currency'"),
        (HEADER.replace("order", '"order'), "the header cannot be read: a quote opens and never closes"),
        ("\x00" + HEADER, "the header cannot be read: line with NUL bytes"),
    ],
)
def test_a_header_that_does_not_fit_is_explained_before_anything_is_published(
    tmp_path: Path, header: str, sentence: str
) -> None:
    with pytest.raises(BadMapping, match=sentence):
        parsed(tmp_path, f"{header}\n{order(1)},3.50\n")


def test_names_that_nothing_reads_may_be_empty_or_the_same(tmp_path: Path) -> None:
    found = parsed(tmp_path, f"{HEADER},note,note,,\n{order(1)},a,b,c,\n")
    assert found.orders == ["A1"] and not found.refused


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters(tmp_path: Path, delimiter: str) -> None:
    mapping = f"[csv]\ndelimiter = '{delimiter}'\n{ORDERS}"
    text = file_of(order(1), order(2, item="'4; 7\t|'")).replace(",", delimiter).replace("'4; 7\t|'", '"4; 7\t|"')
    found = parsed(tmp_path, f"sep={delimiter}\n{text}", mapping=mapping)
    assert found.orders == ["A1", "A2"] and found.beside == {"header": 2}


def test_a_long_cell_is_a_cell(tmp_path: Path) -> None:
    found = parsed(tmp_path, file_of(order(1, item='"' + "a," * 100_000 + '"'), order(2, item="b" * 200_000)))
    assert found.orders == ["A1", "A2"]


def test_spaces_around_names_and_cells_and_blank_lines(tmp_path: Path) -> None:
    found = parsed(tmp_path, f"\n{HEADER.replace(',', ' , ')}\n\n   \n{order(1).replace(',', ' , ')}\n\n")
    assert found.orders == ["A1"] and found.beside == {"header": 1, "blank": 4}
