"""Numbers and texts are written as Avro's own library writes them."""

import io
import json
from enum import IntEnum
from typing import Any

import fastavro
import pytest
from footlights.checks import properties_text
from footlights.encoding import long, text
from footlights.outcome import Refusal
from hypothesis import example, given
from hypothesis import strategies as st


def by_fastavro(kind: str, value: object) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, kind, value)  # type: ignore[arg-type]
    return out.getvalue()


@given(st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-(1 << 22), 1 << 22))
@example(63)
@example((1 << 13) - 1)
@example(1 << 13)
@example((1 << 20) - 1)
@example(1 << 20)
@example((1 << 27) - 1)
@example(1 << 27)
def test_a_whole_number(value: int) -> None:
    assert long(value) == by_fastavro("long", value)


@given(st.text(max_size=300))
def test_a_text(value: str) -> None:
    assert text(value) == by_fastavro("string", value)


class Seat(str):
    """A text that is not only one."""


class Row(IntEnum):
    FRONT = 1


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("\ud800")
ODD = st.just(Seat("A1")) | st.just(Row.FRONT) | st.lists(PLAIN, max_size=2) | st.just({"in": 1})
NAMES = st.text(max_size=5) | st.just("n" * 200) | st.just(Seat("seat"))


@given(st.dictionaries(NAMES, PLAIN | ODD, max_size=4))
@example({"huge": 10**5_000})
@example({f"p{n}": n for n in range(256)})
def test_properties_are_written_as_the_standard_library_writes_them(properties: dict[str, Any]) -> None:
    try:
        expected = json.dumps(properties, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        expected.encode()
    except ValueError:
        with pytest.raises(Refusal, match="INVALID_PROPERTY"):
            properties_text(properties)
    else:
        assert properties_text(properties) == expected


def test_no_more_properties_or_other_names_than_the_platform_takes() -> None:
    with pytest.raises(Refusal, match="EVENT_TOO_LARGE"):
        properties_text({f"p{n}": n for n in range(257)})
    for name in (1, None, True, b"seat"):
        with pytest.raises(Refusal, match="names must be texts"):
            properties_text({name: 1})  # type: ignore[dict-item]
