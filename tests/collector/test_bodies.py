"""What a body says is what the standard library reads in it, and a key that stands twice is refused on every way."""

import json
from typing import Any

import pytest
from footlights.collector.bodies import json_of
from footlights.collector.problems import Problem
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(max_size=6) | st.sampled_from(["a", "a b", "ab", ' "', "\\", "é", "\u2028", "/"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def written(value: Any, *, spaced: bool, escaped: bool) -> str:
    return json.dumps(value, separators=(", ", " : ") if spaced else (",", ":"), ensure_ascii=escaped)


@given(VALUES, st.booleans(), st.booleans())
def test_a_value_is_read_as_the_standard_library_reads_it(value: Any, spaced: bool, escaped: bool) -> None:
    text = written(value, spaced=spaced, escaped=escaped)
    found = json_of(text.encode())
    assert found == json.loads(text) and json.dumps(found) == json.dumps(json.loads(text))


@given(TEXTS, VALUES, VALUES, st.booleans(), st.booleans())
def test_a_key_that_stands_twice_is_refused(key: str, one: Any, other: Any, spaced: bool, escaped: bool) -> None:
    name, first, last = (written(value, spaced=spaced, escaped=escaped) for value in (key, one, other))
    with pytest.raises(Problem, match="each key once"):
        json_of(f'{{"data": [{{{name}:{first}, {name}:{last}}}]}}'.encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"a b": 1, "ab": 2, "ab": 2}', b'{"a":1,"\\u0061":2}', b'[{"a":{"b":1,"b":1}}]', b'{"a":"","a":"b"}',
        b"[Infinity]", b"[01]", b'["\\udc00"]', b"[" * 300 + b'{"a":1,"a":1}' + b"]" * 300, b"[1] x", b"\xef\xbb\xbf[1]",
    ],
)  # fmt: skip
def test_no_json(body: bytes) -> None:
    with pytest.raises(Problem) as told:
        json_of(body)
    assert told.value.code == "INVALID_JSON"


def test_keys_that_only_white_space_tells_apart_are_different() -> None:
    assert json_of(b'{"a b": 1, "ab": 2}') == {"a b": 1, "ab": 2}
