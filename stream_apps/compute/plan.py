"""A decoded frame of one family becomes plain arrays: one polars call decides every predicate and codes every dimension.

In: frames of one family, and its measures.
Out: `Rows`.
Never: a predicate in any other form than its canonical text, or a dictionary code that leaves the process.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Any

import numpy as np
import polars as pl
import polars_hash as plh  # noqa: F401 - registers the `nchash` name space

from schemas.aggregates import ACTOR, Count, Quantile, Sum, Uniq
from schemas.avro_batch import OFFSET
from schemas.distinct import numbered
from schemas.families import FAMILIES
from schemas.identity import KEY, counts, late, shards
from schemas.measures import TENANT, Measure, groups_of
from schemas.money import reporting_polars
from schemas.sentiment import with_sentiment

Array = np.ndarray[Any, np.dtype[Any]]
Dimensions = tuple[str | None, ...]
_CODE_BITS = 32
#: Code of a null among those of a column's values; one more is 0 again, in 32 bits.
_NULL, _ONE = (1 << _CODE_BITS) - 1, np.uint32(1)


@cache
def _categories(column: str) -> pl.Categorical:
    """The dictionary of a column, held for the life of the process, so that codes stay put."""
    return pl.Categorical(pl.Categories(f"footlights.{column}"))


@cache
def _text(column: str, code: int) -> str | None:
    if not code:
        return None
    codes = pl.Series([code - 1], dtype=pl.UInt32)
    return str(codes.cat.to(_categories(column)).cast(pl.String)[0])


def _code(column: str, value: str | None) -> int:
    return 0 if value is None else int(pl.Series([value]).cast(_categories(column)).to_physical()[0]) + 1


def _xxhash64(column: str) -> pl.Expr:
    hashed: pl.Expr = pl.col(column).nchash.xxhash64()  # type: ignore[attr-defined]  # a plugin's name space
    return hashed


class Interner:
    """Combinations of dimension values as dense numbers, and back; 0 is the first combination seen.

    Columns are folded pairwise, so any number of them and of their values fits.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self.texts: list[Dimensions] = []
        self._folds: list[dict[int, int]] = [{} for _ in columns]
        self._keys: list[list[int]] = [[] for _ in columns]

    def __call__(self, codes: list[Array]) -> Array:
        """Number of each row's combination, int64."""
        key = self._fold(0, codes[0])
        for depth, column in enumerate(codes[1:], start=1):
            key = self._fold(depth, key << _CODE_BITS | column)
        return key

    def of(self, values: Dimensions) -> int:
        """Number of one combination."""
        codes = [np.array([_code(c, v)], np.int64) for c, v in zip(self.columns, values, strict=True)]
        return int(self(codes)[0])

    def _fold(self, depth: int, key: Array) -> Array:
        table = self._folds[depth]
        found, place = numbered(key)
        numbers = []
        for k in found.tolist():
            number = table.get(k)
            if number is None:
                number = table[k] = len(table)
                self._keys[depth].append(k)
                if depth == len(self.columns) - 1:
                    self.texts.append(self._texts_of(k))
            numbers.append(number)
        out: Array = np.array(numbers, np.int64)[place]
        return out

    def _texts_of(self, key: int) -> Dimensions:
        out: list[str | None] = []
        for depth in range(len(self.columns) - 1, -1, -1):
            out.append(_text(self.columns[depth], key & ((1 << _CODE_BITS) - 1)))
            if depth:
                key = self._keys[depth - 1][key >> _CODE_BITS]
        return tuple(reversed(out))


@dataclass(frozen=True)
class Additive:
    """Counts and sums of a group: the measure, the number of its predicate, the column that it adds or None."""

    name: str
    predicate: int
    column: str | None


@dataclass(frozen=True)
class Sketched:
    """A distinct count or a quantile measure of a group."""

    name: str
    predicate: int
    column: str


@dataclass(frozen=True)
class GroupPlan:
    """The measures of one combination of dimensions; `by` excludes the tenant, `interner` begins with it."""

    by: tuple[str, ...]
    interner: Interner
    additive: tuple[Additive, ...]
    uniq: tuple[Sketched, ...]
    quantile: tuple[Sketched, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the additive measures, in the order of their columns."""
        return tuple(a.name for a in self.additive)


@dataclass(frozen=True)
class Rows:
    """Rows in offset order as arrays of one length; dictionaries go from a column (or predicate number) to its array.

    `minute` is of event time; `event_ms` is min(occurred, received); values of null are 0 and `present` is false there.
    """

    offset: Array
    minute: Array
    event_ms: Array
    late: Array
    counts: Array
    key: Array
    shard: Array
    codes: dict[str, Array]
    truth: dict[int, Array]
    values: dict[str, Array]
    hashes: dict[str, Array]
    present: dict[str, Array]

    def __len__(self) -> int:
        return len(self.offset)

    def map(self, change: Callable[[Array], Array]) -> "Rows":
        """The rows with a change made to each array alike."""
        out: dict[str, Any] = {}
        for f in fields(self):
            held = getattr(self, f.name)
            out[f.name] = {k: change(a) for k, a in held.items()} if isinstance(held, dict) else change(held)
        return Rows(**out)


def joined(parts: list[Rows]) -> Rows:
    """Rows put end to end."""
    if len(parts) == 1:
        return parts[0]
    out: dict[str, Any] = {}
    for f in fields(Rows):
        held = [getattr(p, f.name) for p in parts]
        if isinstance(held[0], dict):
            out[f.name] = {k: np.concatenate([h[k] for h in held]) for k in held[0]}
        else:
            out[f.name] = np.concatenate(held)
    return Rows(**out)


class Plan:
    """What to compute for a family's rows."""

    def __init__(self, family: str, measures: Iterable[Measure]) -> None:
        self.family = family
        mine = [m for m in measures if family in m.families]
        self._required = {f.name for f in FAMILIES[family].fields if not f.nullable}
        self._predicates = list(dict.fromkeys(m.where for m in mine))
        self._derived = [reporting_polars()] if family == "commerce" else []
        self._scored = family == "feedback"
        self.groups = tuple(self._group(g.by, g.measures) for g in groups_of(family, mine))
        self._codes = list(dict.fromkeys([TENANT, *(c for g in self.groups for c in g.by)]))
        self._numbers = list(dict.fromkeys(m.aggregate.column for m in mine if isinstance(m.aggregate, Sum | Quantile)))
        self._hashed = list(dict.fromkeys(m.aggregate.column for m in mine if isinstance(m.aggregate, Uniq)))
        self._select = self._expressions()

    def _group(self, by: tuple[str, ...], measures: tuple[Measure, ...]) -> GroupPlan:
        at = {w: i for i, w in enumerate(self._predicates)}
        additive = tuple(
            Additive(m.name, at[m.where], m.aggregate.column if isinstance(m.aggregate, Sum) else None)
            for m in measures
            if isinstance(m.aggregate, Count | Sum)
        )
        uniq = tuple(
            Sketched(m.name, at[m.where], m.aggregate.column) for m in measures if isinstance(m.aggregate, Uniq)
        )
        quantile = tuple(
            Sketched(m.name, at[m.where], m.aggregate.column) for m in measures if isinstance(m.aggregate, Quantile)
        )
        return GroupPlan(by, Interner((TENANT, *by)), additive, uniq, quantile)

    def _expressions(self) -> list[pl.Expr]:
        def hashed(column: str) -> pl.Expr:
            if column == ACTOR:
                return pl.coalesce(_xxhash64("user_id"), _xxhash64("anonymous_id"))
            return _xxhash64(column)

        def present(column: str) -> pl.Expr:
            if column == ACTOR:
                return pl.col("user_id").is_not_null() | pl.col("anonymous_id").is_not_null()
            return pl.col(column).is_not_null()

        def filled(expression: pl.Expr, blank: Any) -> pl.Expr:
            """Every step of an expression costs each batch some microseconds: this one only where a null can come."""
            nullable = not self._required.issuperset(expression.meta.root_names())
            return expression.fill_null(blank) if nullable else expression

        return [
            KEY,
            *[
                filled(pl.col(c).cast(_categories(c)).to_physical(), pl.lit(_NULL, pl.UInt32)).alias(f"c_{c}")
                for c in self._codes
            ],
            *[filled(pl.sql_expr(w), False).alias(f"p_{i}") for i, w in enumerate(self._predicates)],
            *[filled(pl.col(c).cast(pl.Int64), 0).alias(f"v_{c}") for c in self._numbers],
            *[hashed(c).fill_null(0).alias(f"h_{c}") for c in self._hashed],
            *[present(c).alias(f"n_{c}") for c in dict.fromkeys([*self._numbers, *self._hashed])],
        ]

    def __call__(self, frame: pl.DataFrame) -> Rows:
        """Arrays of a decoded frame with all columns of the family and the offset."""
        if self._scored:
            frame = with_sentiment(frame)
        if self._derived:
            frame = frame.with_columns(self._derived)
        found = {s.name: s.to_numpy() for s in frame.select_seq(self._select)}

        def of(prefix: str) -> dict[str, Array]:
            return {name[2:]: a for name, a in found.items() if name.startswith(prefix)}

        occurred, received = frame["occurred_at_ms"].to_numpy(), frame["received_at_ms"].to_numpy()
        lateness = received - occurred
        return Rows(
            offset=frame[OFFSET].to_numpy(),
            minute=occurred // 60_000,
            event_ms=np.minimum(occurred, received),
            late=late(lateness),
            counts=counts(lateness),
            key=found["key"],
            shard=shards(frame),
            codes={name: (code + _ONE).astype(np.int64) for name, code in of("c_").items()},
            truth={int(i): a for i, a in of("p_").items()},
            values=of("v_"),
            hashes=of("h_"),
            present=of("n_"),
        )
