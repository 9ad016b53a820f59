"""What both engines compute from a row or a set of rows must be equal to the bit."""

import numpy as np
import polars as pl
import polars_hash as plh
import pytest

from schemas.aggregates import BINS, REGISTERS, Count, Quantile, Sum, Uniq, coupons, registers_of, state_sql
from schemas.families import FAMILIES, FAMILY_NAMES
from schemas.identity import COUNTS, EXCLUDED, EXCLUDED_SQL, KEY, LATE_SQL, SHARD_SQL, late, shards
from schemas.money import reporting_minor, reporting_polars, reporting_sql
from schemas.validity import invalid_rows
from schemas.windows import DAY, bucket_of, bucket_sql
from tests.schemas.engine import Engine
from tests.schemas.rows import START_MS, frame


def nullable(family: str) -> set[str]:
    """Columns of a family that may be null."""
    return {f.name for f in FAMILIES[family].fields if f.nullable}


def test_identity_shard_and_exclusion(engine: Engine) -> None:
    held = frame("interaction", 2_000).with_row_index("i").with_columns(pl.col("i").cast(pl.Int64))
    table = engine.load(held, nullable("interaction"))
    after = late(pl.col("received_at_ms") - pl.col("occurred_at_ms")).alias("late")
    ours = held.select("i", KEY, pl.Series("shard", shards(held)), EXCLUDED, after, COUNTS).rows()
    sql = f"SELECT i, xxHash64(message_id), {SHARD_SQL}, {EXCLUDED_SQL}, {LATE_SQL} FROM {table} ORDER BY i"
    theirs = [(int(i), int(k), int(s), e, bool(late)) for i, k, s, e, late in engine.rows(sql)]
    assert [(i, k, s, e, late) for i, k, s, e, late, _ in ours] == theirs
    assert {e for _, _, _, e, _, _ in ours} == {"", "late", "future"}
    assert all(counts == (e == "") for _, _, _, e, _, counts in ours)


def test_money_in_the_reporting_currency(engine: Engine) -> None:
    held = frame("commerce", 2_000, span_ms=3 * 365 * 86_400_000).with_row_index("i")
    held = held.with_columns(pl.col("i").cast(pl.Int64))
    table = engine.load(held, nullable("commerce"))
    ours = held.select(reporting_polars())["reporting_minor"].to_list()
    theirs = [
        None if v is None else int(v) for (v,) in engine.rows(f"SELECT {reporting_sql()} FROM {table} ORDER BY i")
    ]
    plain = [reporting_minor(*r) for r in held.select("amount_minor", "currency", "occurred_at_ms").rows()]
    assert ours == theirs == plain
    assert None in ours
    assert len(set(ours)) > 10


def test_aggregates_of_random_rows(engine: Engine) -> None:
    held = frame("performance", 3_000, seed=5)
    table = engine.load(held, nullable("performance"))
    users = held["user_id"].drop_nulls()
    hashes = users.to_frame().select(plh.col("user_id").nchash.xxhash64())["user_id"].to_numpy()
    [(found,)] = engine.rows(f"SELECT {state_sql(Uniq('user_id'))} FROM {table} WHERE user_id IS NOT NULL")
    ranks = np.zeros(REGISTERS, np.uint8)
    for register, rank in found.items():
        ranks[int(register)] = int(rank)
    assert np.array_equal(ranks, registers_of(coupons(hashes)))
    times = held["response_time_ms"].drop_nulls().to_numpy()
    [(bins,)] = engine.rows(
        f"SELECT {state_sql(Quantile('response_time_ms'))} FROM {table} WHERE response_time_ms IS NOT NULL"
    )
    counts = np.bincount(BINS.index(times), minlength=BINS.size)
    assert {int(k): int(v) for k, v in bins.items()} == {i: int(c) for i, c in enumerate(counts) if c}
    [(count, total)] = engine.rows(f"SELECT {state_sql(Count())}, {state_sql(Sum('response_time_ms'))} FROM {table}")
    assert (int(count), int(total)) == (held.height, int(times.sum()))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"])
def test_days_of_the_reporting_zone(engine: Engine, zone: str) -> None:
    hour = 3_600_000
    moments = [START_MS + k * hour * 7 + 1_799_999 for k in range(2_000)]  # through two changes of the clock
    table = engine.load(pl.DataFrame({"occurred_at_ms": moments}), set())
    theirs = [int(b) for (b,) in engine.rows(f"SELECT {bucket_sql(DAY, zone)} FROM {table} ORDER BY occurred_at_ms")]
    assert theirs == [bucket_of(ms, DAY, zone) for ms in moments]


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_random_rows_are_valid_and_broken_ones_are_named(family: str) -> None:
    held = frame(family, 200)
    assert invalid_rows(FAMILIES[family], held) == []
    broken = held.with_columns(
        message_id=pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("no-uuid")).otherwise("message_id"),
        event_name=pl.when(pl.int_range(pl.len()) == 5).then(pl.lit("a\nb")).otherwise("event_name"),
        sent_at_ms=pl.when(pl.int_range(pl.len()) == 7).then(0).otherwise("sent_at_ms"),
        source=pl.when(pl.int_range(pl.len()) == 9).then(pl.lit("")).otherwise("source"),
    )
    found = [(bad.row, bad.error_code) for bad in invalid_rows(FAMILIES[family], broken)]
    assert found == [(3, "MESSAGE_ID"), (5, "CONTROL_CHARACTER"), (7, "RANGE_SENT_AT_MS"), (9, "NAME_SOURCE")]
