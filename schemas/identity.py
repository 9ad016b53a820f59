"""Which row is the same record again, in which shard of ids it lies, and which rows stay out of every figure.

In: decoded columns.
Out: expressions for polars or functions of arrays, and their twins for ClickHouse.
Never: a verdict from anything but stored columns.
"""

from typing import Any, TypeVar

import numpy as np
import polars as pl
import polars_hash as plh  # noqa: F401 - registers the `nchash` name space

from schemas.uuid7 import letters_of, times_of

Array = np.ndarray[Any, np.dtype[Any]]
HOUR_MS = 3_600_000
#: Ids of one shard share 2^22 ms (70 minutes) of their own time.
SHARD_SHIFT = 22
#: An id whose time is further than this from the record's own is judged by the record's time.
ID_TIME_TOLERANCE_MS = 24 * HOUR_MS
#: Older than this at reception, a record is stored but counts nowhere.
HORIZON_MS = 35 * 24 * HOUR_MS
#: Further ahead of its reception than this, likewise.
FUTURE_MS = 24 * HOUR_MS
#: Disorder that the watermark allows for; a row that comes later counts as late.
DISORDER_MS = 30_000

#: 64-bit key of a record's id, equal to ClickHouse's xxHash64(message_id).
KEY: pl.Expr = pl.col("message_id").nchash.xxhash64().alias("key")  # type: ignore[attr-defined]


def shards(frame: pl.DataFrame) -> Array:
    """Shard of each valid row's id, int64; the same for every repeat of it, however late.

    Raises
    ------
    ValueError
        An id is not one that `invalid_rows` lets pass.

    Examples
    --------
    >>> near, far = "018bcfe5-6800-7000-8000-000000000000", "00000000-0000-7000-8000-000000000000"
    >>> shards(pl.DataFrame({"message_id": [near, far], "occurred_at_ms": [1_700_000_000_000] * 2})).tolist()
    [405311, 405311]
    """
    letters = letters_of(frame)
    if letters is None:
        raise ValueError("a message_id is no UUID")
    id_ms, occurred_ms = times_of(letters), frame["occurred_at_ms"].to_numpy()
    near = np.abs(id_ms - occurred_ms) <= ID_TIME_TOLERANCE_MS
    return np.asarray(np.where(near, id_ms, occurred_ms) >> SHARD_SHIFT)


_ID_MS_SQL = (
    "reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4)))))"
)
_NEAR_SQL = f"abs({_ID_MS_SQL} - occurred_at_ms) <= {ID_TIME_TOLERANCE_MS}"
SHARD_SQL = f"bitShiftRight(if({_NEAR_SQL}, {_ID_MS_SQL}, occurred_at_ms), {SHARD_SHIFT})"

Lateness = TypeVar("Lateness", pl.Expr, Array)


def counts(lateness: Lateness) -> Lateness:
    """Whether a row counts in figures, by milliseconds from its own time to its reception."""
    return (lateness <= HORIZON_MS) & (lateness >= -FUTURE_MS)


def late(lateness: Lateness) -> Lateness:
    """Whether a row comes later than the watermark allows for."""
    return lateness > DISORDER_MS


_LATENESS = pl.col("received_at_ms") - pl.col("occurred_at_ms")
#: Why a row is left out of every figure: "late" (beyond the horizon), "future", or "" when it counts.
EXCLUDED: pl.Expr = (
    pl.when(_LATENESS > HORIZON_MS)
    .then(pl.lit("late"))
    .when(_LATENESS < -FUTURE_MS)
    .then(pl.lit("future"))
    .otherwise(pl.lit(""))
    .alias("_excluded")
)
COUNTS: pl.Expr = counts(_LATENESS).alias("counts")
EXCLUDED_SQL = (
    f"multiIf(received_at_ms - occurred_at_ms > {HORIZON_MS}, 'late', "
    f"received_at_ms - occurred_at_ms < -{FUTURE_MS}, 'future', '')"
)
LATE_SQL = f"(received_at_ms - occurred_at_ms > {DISORDER_MS})"
