"""The different values are those that a set finds, in order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.distinct import distinct, firsts, numbered

VALUES = st.lists(st.integers(-(1 << 62), 1 << 62) | st.integers(-3, 3), max_size=50)


@given(VALUES)
def test_distinct_is_a_sorted_set(values: list[int]) -> None:
    told = np.array(values, np.int64)
    assert distinct(told).tolist() == distinct(told, runs=True).tolist() == sorted(set(values))
    assert sorted(firsts(told).tolist()) == sorted({value: at for at, value in reversed([*enumerate(values)])}.values())


@given(st.permutations(range(100)), st.lists(st.tuples(st.integers(0, 99), st.integers(0, 100)), max_size=8))
def test_few_values_come_twice(values: list[int], again: list[tuple[int, int]]) -> None:
    told = list(values)
    for value, place in again:
        told.insert(place, value)
    assert sorted(firsts(np.array(told, np.uint64)).tolist()) == sorted({told.index(value) for value in told})


@given(VALUES, st.integers(0, 2_000))
def test_numbered_gives_every_element_back(values: list[int], spread: int) -> None:
    for told in (np.array(values, np.int64), np.array([v % (spread + 1) for v in values], np.int64)):
        found, place = numbered(told)
        assert found.tolist() == sorted(set(told.tolist()))
        assert found[place].tolist() == told.tolist()
