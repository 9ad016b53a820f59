"""One predicate, two engines: the same rows, or a refusal at declaration."""

import random

import polars as pl
import pytest

from schemas.predicates import Refused, canonical
from tests.schemas.engine import Engine

KINDS = {"a": "string", "s": "string", "n": "long", "m": "long", "flag": "boolean", "x": "double"}
WORDS = ["", "a", "ab", "A", "it's", "%", "a_b", "MÜ", "null", None]
NUMBERS = [0, 1, -1, 2, 7, 500, 2**62, -(2**62), None]


def frame(rows: int = 600, seed: int = 3) -> pl.DataFrame:
    """Rows that are hard on comparisons: nulls, empty texts, extremes."""
    rnd = random.Random(seed)
    return pl.DataFrame(
        {
            "i": list(range(rows)),
            "a": [rnd.choice(WORDS) for _ in range(rows)],
            "s": [rnd.choice(WORDS) for _ in range(rows)],
            "n": [rnd.choice(NUMBERS) for _ in range(rows)],
            "m": [rnd.choice([0, 1, 2, 3, None]) for _ in range(rows)],
            "flag": [rnd.choice([True, False, None]) for _ in range(rows)],
        },
        schema={"i": pl.Int64, "a": pl.String, "s": pl.String, "n": pl.Int64, "m": pl.Int64, "flag": pl.Boolean},
    )


def sql_text(rnd: random.Random) -> str:
    """A literal of a string column."""
    return "'" + str(rnd.choice([w for w in WORDS if w is not None])).replace("'", "''") + "'"


def predicate(rnd: random.Random, depth: int = 0) -> str:
    """A random predicate of the subset."""
    if depth < 3 and rnd.random() < 0.5:
        left, right = predicate(rnd, depth + 1), predicate(rnd, depth + 1)
        return rnd.choice([f"({left} AND {right})", f"({left} OR {right})", f"NOT ({left})"])
    number = str(rnd.choice([0, 1, 2, 7, 500, -1]))
    return rnd.choice(
        [
            f"{rnd.choice('as')} {rnd.choice(['=', '<>', '<', '>='])} {sql_text(rnd)}",
            f"{rnd.choice('nm')} {rnd.choice(['=', '<>', '<', '<=', '>', '>='])} {number}",
            f"{rnd.choice('nm')} BETWEEN {number} AND {rnd.choice(['2', '600'])}",
            f"{rnd.choice('as')} {rnd.choice(['', 'NOT '])}IN ({sql_text(rnd)}, {sql_text(rnd)})",
            f"{rnd.choice('nm')} {rnd.choice(['', 'NOT '])}IN ({number}, 3)",
            f"{rnd.choice('as')} {rnd.choice(['', 'NOT '])}LIKE {rnd.choice(['%', 'a%', '%b', '_', 'a_b'])!r}",
            f"{rnd.choice(['a', 'n', 'flag'])} IS {rnd.choice(['', 'NOT '])}NULL",
            "flag",
            "NOT flag",
            "a = s",
            "n > m",
            f"coalesce(m, 2) = {number}",
            f"m * 3 - 1 >= {number}",
            "n % 7 = 1",
        ]
    )


def test_random_predicates_select_the_same_rows_in_both_engines(engine: Engine) -> None:
    held = frame()
    table = engine.load(held, nullable={"a", "s", "n", "m", "flag"})
    rnd = random.Random(11)
    texts = [canonical(predicate(rnd), KINDS) for _ in range(250)]
    assert len(set(texts)) > 150
    for text in texts:
        ours = held.filter(pl.sql_expr(text).fill_null(False))["i"].to_list()
        theirs = [row[0] for row in engine.rows(f"SELECT i FROM {table} WHERE {text} ORDER BY i")]
        assert ours == list(map(int, theirs)), text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x > 1", "doubles"),
        ("a = 5", "does not fit"),
        ("n = 'a'", "does not fit"),
        ("a NOT IN ('a', NULL)", "NULL"),
        ("flag IS TRUE", "booleans"),
        ("flag = true", "booleans"),
        ("n / 2 = 1", "column first"),
        ("n // 2 = 1", "not a predicate"),
        ("lower(a) = 'a'", "column first"),
        ("a LIKE 'a\\\\_'", "backslash"),
        ("n > 9223372036854775808", "64-bit"),
        ("1 = n", "column first"),
        ("nope = 1", "no column"),
        ("\"a\" = 'x'", "quoted"),
        ("a ILIKE 'a'", "subset"),
        ("a IN (SELECT s FROM t)", "."),
        ("n = 1; DROP TABLE t", "."),
        ("n % 0 = 1", "other than 0"),
        ("a > n", "different kinds"),
    ],
)
def test_what_engines_disagree_on_is_refused_at_declaration(text: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        canonical(text, KINDS)


def test_what_lexers_read_differently_is_written_plainly() -> None:
    assert canonical("n=1_000 -- as people write it", KINDS) == "(n = 1000)"
