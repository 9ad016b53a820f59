"""Numbers and texts are written as Avro's own library writes them."""

import io

import fastavro
from footlights.encoding import long, text
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
def test_a_whole_number(value: int) -> None:
    assert long(value) == by_fastavro("long", value)


@given(st.text(max_size=300))
def test_a_text(value: str) -> None:
    assert text(value) == by_fastavro("string", value)
