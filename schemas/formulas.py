"""KPI formulas: arithmetic over measures, null at a zero base, for many windows at once.

In: text such as "payments_failed / payments_settled".
Out: a function over arrays.
Never: infinity, or a name that is no measure.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div)


class BadFormula(ValueError):
    """The formula uses something that is no measure, number, + - * /, share(part, whole) or quantile(measure, q)."""


@dataclass(frozen=True)
class Operand:
    """What a formula reads: a measure, and the quantile of it where one is asked for."""

    measure: str
    quantile: float | None = None


@dataclass(frozen=True)
class Formula:
    """A compiled formula: its operands, and the function from their values (float64, NaN for null) to the KPI's."""

    text: str
    operands: tuple[Operand, ...]
    evaluate: Callable[[Mapping[Operand, Array]], Array]


def compile_formula(text: str) -> Formula:
    """Compile a formula; a division by zero gives NaN, which means null, and so does a share of nothing.

    Raises
    ------
    BadFormula
        When the text is no formula of this kind.

    Examples
    --------
    >>> ratio = compile_formula("failed / settled")
    >>> ratio.evaluate({Operand("failed"): np.array([1.0, 1.0]), Operand("settled"): np.array([4.0, 0.0])})
    array([0.25,  nan])
    """
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as problem:
        raise BadFormula(f"not a formula: {text!r}") from problem
    operands: list[Operand] = []
    run = _compile(tree, operands)
    return Formula(text, tuple(dict.fromkeys(operands)), run)


def _compile(node: ast.expr, operands: list[Operand]) -> Callable[[Mapping[Operand, Array]], Array]:
    match node:
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, _OPERATORS):
            return _binary(type(op), _compile(left, operands), _compile(right, operands))
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            constant = np.float64(number)
            return lambda values: constant  # type: ignore[return-value]
        case ast.Name(id=name):
            return _read(Operand(name), operands)
        case ast.Call(func=ast.Name(id="quantile"), args=[ast.Name(id=name), ast.Constant(value=float() as q)]) if (
            0 <= q <= 1
        ):
            return _read(Operand(name, q), operands)
        case ast.Call(func=ast.Name(id="share"), args=[part, whole], keywords=[]):
            return _share(_compile(part, operands), _compile(whole, operands))
    raise BadFormula(
        f"{ast.unparse(node)!r} is not a measure, a number, + - * /, share(part, whole) or quantile(measure, q)"
    )


def _read(operand: Operand, operands: list[Operand]) -> Callable[[Mapping[Operand, Array]], Array]:
    operands.append(operand)
    return lambda values: values[operand]


def _binary(
    op: type[ast.operator],
    left: Callable[[Mapping[Operand, Array]], Array],
    right: Callable[[Mapping[Operand, Array]], Array],
) -> Callable[[Mapping[Operand, Array]], Array]:
    if op is ast.Add:
        return lambda values: left(values) + right(values)
    if op is ast.Sub:
        return lambda values: left(values) - right(values)
    if op is ast.Mult:
        return lambda values: left(values) * right(values)
    return lambda values: _divide(left(values), right(values))


def _share(
    part: Callable[[Mapping[Operand, Array]], Array], whole: Callable[[Mapping[Operand, Array]], Array]
) -> Callable[[Mapping[Operand, Array]], Array]:
    """`schemas.ratios.share` over arrays."""

    def run(values: Mapping[Operand, Array]) -> Array:
        under = np.asarray(whole(values), np.float64)
        base = np.where(under > 0, under, np.nan)
        return np.asarray(np.clip(part(values), 0, base) / base, np.float64)

    return run


def _divide(over: Array, under: Array) -> Array:
    base = np.where(under == 0, np.nan, under)
    out: Array = np.asarray(over / base, np.float64)
    return out
