"""Whole columns at once say what single values say: ids, names, money."""

import re
import uuid
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import money
from schemas.families import FAMILIES
from schemas.identity import counts, late, shards
from schemas.uuid7 import are_uuid7, letters_of, times_of
from schemas.validity import _IS_UUID7, invalid_rows
from tests.schemas.rows import frame

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
GOOD = "018bcfe5-6800-7abc-8def-0123456789ab"
good_ids = st.from_regex(UUID7, fullmatch=True)
#: Ids with one letter changed, to any byte or to one beyond ASCII, and texts of other lengths.
near_ids = st.one_of(
    good_ids,
    st.builds(lambda at, letter: GOOD[:at] + letter + GOOD[at + 1 :], st.integers(0, 35), st.characters(codec="utf-8")),
    st.sampled_from(["", GOOD[:-1], GOOD + "0", GOOD.upper(), GOOD[:-2] + "é", f"{GOOD[:35]}\n"]),
)


@given(st.lists(near_ids, max_size=6))
def test_a_column_of_ids_is_judged_as_each_id(ids: list[str]) -> None:
    held = pl.DataFrame({"message_id": ids}, schema={"message_id": pl.String})
    letters = letters_of(held)
    verdict = letters is not None and are_uuid7(letters)
    assert verdict == all(UUID7.fullmatch(i) for i in ids)
    assert verdict == held.select(_IS_UUID7.all()).item()
    if verdict and letters is not None:
        assert times_of(letters).tolist() == [int(i[:8] + i[9:13], 16) for i in ids]


@pytest.mark.parametrize("at", range(36))
def test_every_letter_counts(at: int) -> None:
    for letter in map(chr, range(128)):
        changed = GOOD[:at] + letter + GOOD[at + 1 :]
        letters = letters_of(pl.DataFrame({"message_id": [GOOD, changed]}))
        assert letters is not None
        assert are_uuid7(letters) == bool(UUID7.fullmatch(changed)), changed


def test_an_id_that_is_missing_or_short_has_no_shard() -> None:
    for bad in (None, "short", str(uuid.uuid4())[:-1]):
        with pytest.raises(ValueError, match="no UUID"):
            shards(pl.DataFrame({"message_id": [GOOD, bad], "occurred_at_ms": [1, 2]}))
    assert shards(pl.DataFrame({"message_id": ["x"], "occurred_at_ms": [1]}).clear()).tolist() == []


def test_polars_and_numpy_agree_about_lateness() -> None:
    rng = np.random.default_rng(1)
    edges = [30_000, 30_001, -86_400_000, -86_400_001, 3_024_000_000, 3_024_000_001]
    lateness = np.concatenate([rng.integers(-(10**8), 4 * 10**9, 500), edges])
    held = pl.DataFrame({"l": lateness}).select(counts(pl.col("l")).alias("c"), late(pl.col("l")).alias("l"))
    assert held["c"].to_list() == counts(lateness).tolist()
    assert held["l"].to_list() == late(lateness).tolist()


@pytest.mark.parametrize("rows", [1, 499, 500, 2_000])
@pytest.mark.parametrize("name", ["tenant_id", "event_name", "source", "producer_id"])
@pytest.mark.parametrize("bad", ["", "n" * 129, "ü" * 65], ids=["empty", "letters", "bytes"])
def test_one_bad_name_is_found_among_few_and_many(rows: int, name: str, bad: str) -> None:
    held = frame("interaction", rows)
    assert invalid_rows(FAMILIES["interaction"], held) == []
    at = rows // 2
    spoilt = held.with_row_index("i").with_columns(
        pl.when(pl.col("i") == at).then(pl.lit(bad)).otherwise(pl.col(name)).alias(name)
    )
    found = invalid_rows(FAMILIES["interaction"], spoilt.drop("i"))
    assert [(i.row, i.error_code) for i in found] == [(at, f"NAME_{name.upper()}")]


def test_rates_hold_from_their_dates_on() -> None:
    """Currencies whose first rate is younger than others', and rows older than any."""
    dated = {"USD": [(2_000, 7_000_000)], "EUR": [(3_000, 5_000_000), (1_000, 3_000_000)], "INR": [(0, 12_000)]}
    rows = [(c, a, t) for c in ("USD", "EUR", "INR", "QQQ", None) for a in (None, 0, 50) for t in range(0, 4_000, 500)]
    held = pl.DataFrame(
        rows,
        schema={"currency": pl.String, "amount_minor": pl.Int64, "occurred_at_ms": pl.Int64},
        orient="row",
    )
    for earliest in (0, 1_000, -1):
        with patch.object(money, "rates", lambda: dated), patch.object(money, "EARLIEST_MS", earliest):
            asked = held if earliest < 0 else held.filter(pl.col("occurred_at_ms") >= earliest)
            plain = [money.reporting_minor(a, c, t) for c, a, t in asked.rows()]
            assert asked.select(money.reporting_polars())[money.REPORTING].to_list() == plain
