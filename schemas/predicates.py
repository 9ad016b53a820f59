"""The SQL subset in which polars and ClickHouse select the same rows, as a whitelist over sqlglot's tree.

In: a predicate and the columns' kinds.
Out: canonical text for both engines, or `Refused` with the reason and the remedy.
Never: a construct that no differential test covers, or source text that reaches an engine unchecked.
"""

from collections.abc import Mapping

import sqlglot
from sqlglot import exp

from schemas.families import BOOLEAN, DOUBLE, LONG, STRING

_COMPARE: dict[type[exp.Expr], str] = {
    exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="
}  # fmt: skip
_ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Mod: "%"}
_LONG_LIMIT = 1 << 63

#: Every argument that a node may carry. sqlglot keeps modifiers (NOT LIKE, BETWEEN SYMMETRIC, GLOBAL IN) as further ones.
_ARGUMENTS: dict[type[exp.Expr], set[str]] = {
    exp.Between: {"this", "low", "high"},
    exp.In: {"this", "expressions"},
    exp.Like: {"this", "expression", "negate"},
    exp.Coalesce: {"this", "expressions"},
    exp.Literal: {"this", "is_string"},
    exp.Identifier: {"this"},
    exp.Boolean: {"this"},
    exp.Null: set(),
    exp.Column: {"this"},
    exp.Not: {"this"},
    exp.Paren: {"this"},
    exp.Neg: {"this"},
}


class Refused(ValueError):
    """The predicate is outside the subset; the message says why and what to write instead."""


def canonical(where: str, kinds: Mapping[str, str]) -> str:
    """Write the predicate's text for both engines from its checked tree.

    Parameters
    ----------
    where
        SQL over columns: AND OR NOT, comparisons with literals of the column's kind, BETWEEN, IN, LIKE, IS [NOT] NULL,
        bare booleans, coalesce(column, literal), and + - * % on longs.
    kinds
        Column name to "string", "long", "double" or "boolean".

    Raises
    ------
    Refused
        For whatever polars and ClickHouse could disagree on.

    Examples
    --------
    >>> canonical("status >= 500 OR event_name = 'crash'", {"status": "long", "event_name": "string"})
    "((status >= 500) OR (event_name = 'crash'))"
    """
    if "\\" in where:
        raise Refused("a backslash means different things in strings and in LIKE; leave it out")
    try:
        tree = sqlglot.parse_one(where, dialect="clickhouse")
    except sqlglot.errors.SqlglotError as problem:
        raise Refused(f"not a predicate: {where!r}") from problem
    for node in tree.walk():
        allowed = _ARGUMENTS.get(type(node), {"this", "expression"})
        if extra := {name for name, value in node.args.items() if value} - allowed:
            raise Refused(
                f"{type(node).__name__.upper()} with {', '.join(sorted(extra))} is not in the subset: {node.sql()}"
            )
    return _Checked(kinds).predicate(tree)


class _Checked:
    """Checks a node and writes it, in one descent, so that nothing unchecked can be written."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds

    def predicate(self, node: exp.Expr) -> str:
        kind = type(node)
        if isinstance(node, exp.Paren):
            return self.predicate(node.this)
        if isinstance(node, exp.Not):
            return f"(NOT {self.predicate(node.this)})"
        if isinstance(node, (exp.And, exp.Or)):
            return f"({self.predicate(node.left)} {kind.__name__.upper()} {self.predicate(node.right)})"
        if isinstance(node, exp.Boolean):
            return "true" if node.this else "false"
        if isinstance(node, exp.Column):
            return self._named(node, BOOLEAN)
        if isinstance(node, exp.Is):
            if not isinstance(node.expression, exp.Null):
                raise Refused("IS takes NULL only; write `x` or `NOT x` for booleans")
            return f"({self._column(node.this)[0]} IS NULL)"
        if isinstance(node, exp.Between):
            column, of = self._countable(node.this, "BETWEEN")
            return f"({column} BETWEEN {_literal(node.args['low'], of)} AND {_literal(node.args['high'], of)})"
        if isinstance(node, exp.In):
            column, of = self._countable(node.this, "IN")
            if not node.expressions:
                raise Refused("IN takes a list of literals")
            return f"({column} IN ({', '.join(_literal(v, of) for v in node.expressions)}))"
        if isinstance(node, exp.Like):
            negated = "NOT " if node.args.get("negate") else ""
            return f"({self._named(node.this, STRING)} {negated}LIKE {_literal(node.expression, STRING)})"
        if kind in _COMPARE:
            return self._comparison(node)
        raise Refused(f"{kind.__name__.upper()} is not in the subset: {node.sql()}")

    def _comparison(self, node: exp.Expr) -> str:
        left, right, sign = node.args["this"], node.args["expression"], _COMPARE[type(node)]
        if not _is_term(left):
            raise Refused(f"write the column first: {node.sql()}")
        text, of = self._term(left)
        if of == DOUBLE:
            raise Refused(
                "comparing doubles meets NaN (greatest in polars, unordered in ClickHouse); use a long column"
            )
        if of == BOOLEAN:
            raise Refused("write `x` or `NOT x` for booleans")
        if _is_term(right):
            other, kind = self._term(right)
            if kind != of:
                raise Refused(f"the two sides have different kinds, {of} and {kind}: {node.sql()}")
            return f"({text} {sign} {other})"
        return f"({text} {sign} {_literal(right, of)})"

    def _term(self, node: exp.Expr) -> tuple[str, str]:
        """Text and kind of a column, of coalesce(column, literal), or of integer arithmetic over longs."""
        if isinstance(node, exp.Paren):
            return self._term(node.this)
        if isinstance(node, exp.Coalesce):
            column, of = self._countable(node.this, "coalesce")
            if len(node.expressions) != 1:
                raise Refused("coalesce takes a column and one literal")
            return f"coalesce({column}, {_literal(node.expressions[0], of)})", of
        if type(node) in _ARITHMETIC:
            right = node.args["expression"]
            if isinstance(node, exp.Mod) and not (isinstance(right, exp.Literal) and right.this.strip("0")):
                raise Refused("% takes a literal other than 0 on its right")
            sides = [self._operand(node.args["this"]), self._operand(right)]
            return f"({sides[0]} {_ARITHMETIC[type(node)]} {sides[1]})", LONG
        return self._column(node)

    def _operand(self, node: exp.Expr) -> str:
        if isinstance(node, (exp.Literal, exp.Neg)):
            return _literal(node, LONG)
        text, of = self._term(node)
        if of != LONG:
            raise Refused(f"arithmetic needs long columns: {node.sql()}")
        return text

    def _column(self, node: exp.Expr) -> tuple[str, str]:
        if not isinstance(node, exp.Column) or node.table:
            raise Refused(f"{type(node).__name__.upper()} is not in the subset: {node.sql()}")
        if node.this.args.get("quoted"):
            raise Refused(f"a quoted name: {node.sql()}")
        if node.name not in self._kinds:
            raise Refused(f"no column {node.name!r}")
        return node.name, self._kinds[node.name]

    def _named(self, node: exp.Expr, kind: str) -> str:
        name, of = self._column(node)
        if of != kind:
            raise Refused(f"{name} is {of}, not {kind}")
        return name

    def _countable(self, node: exp.Expr, where: str) -> tuple[str, str]:
        name, of = self._column(node)
        if of not in (LONG, STRING):
            raise Refused(f"{where} needs a long or string column; {name} is {of}")
        return name, of


def _is_term(node: exp.Expr) -> bool:
    return isinstance(node, (exp.Column, exp.Paren, exp.Coalesce)) or type(node) in _ARITHMETIC


def _literal(node: exp.Expr, kind: str) -> str:
    inner = node.this if isinstance(node, exp.Neg) else node
    if isinstance(inner, exp.Null):
        raise Refused("NULL as a value; use IS NULL")
    if not isinstance(inner, exp.Literal):
        raise Refused(f"expected a literal, got {node.sql()}")
    if inner.is_string != (kind == STRING) or (inner.is_string and inner is not node):
        raise Refused(f"{node.sql()} does not fit a {kind} column")
    if inner.is_string:
        return "'" + str(inner.this).replace("'", "''") + "'"
    if not (inner.this.isascii() and inner.this.isdigit() and int(inner.this) < _LONG_LIMIT):
        raise Refused(f"{node.sql()} is not a 64-bit integer")
    number = str(int(inner.this))
    return f"-{number}" if inner is not node else number
