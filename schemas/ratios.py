"""How two amounts become a share or a change: one definition for the stream, the store, its views and the CLI.

In: two amounts, or SQL of them.
Out: their share or change, or SQL of it.
Never: a share outside 0 to 1, a change against the direction of its amounts, or a figure of a base of nothing.
"""


def change(value: float | None, previous: float | None) -> float | None:
    """Relative change; its sign is that of the difference, also where the base is negative. Null without a base, or at one of zero.

    Examples
    --------
    >>> change(3.0, 2.0), change(100.0, -100.0), change(3.0, 0.0), change(3.0, None)
    (0.5, 2.0, None, None)
    """
    if value is None or not previous:
        return None
    return (value - previous) / abs(previous)


def change_sql(value: str, previous: str) -> str:
    """The same of two SQL expressions.

    Examples
    --------
    >>> change_sql("this", "before")
    '((this) - (before)) / nullIf(abs(before), 0)'
    """
    return f"(({value}) - ({previous})) / nullIf(abs({previous}), 0)"


def share(part: float, whole: float) -> float | None:
    """Part of a whole, 0 to 1: what exceeds the whole, or is below nothing, does not count. Null of a whole of nothing.

    Examples
    --------
    >>> share(1, 4), share(5, 4), share(-1, 4), share(1, 0)
    (0.25, 1.0, 0.0, None)
    """
    return min(max(part, 0), whole) / whole if whole > 0 else None


def share_sql(part: str, whole: str) -> str:
    """The same of two SQL expressions, whatever their types of whole numbers.

    Examples
    --------
    >>> share_sql("part", "whole")
    'if((whole) > 0, greatest(0., least(toFloat64(part), toFloat64(whole))) / (whole), NULL)'
    """
    return f"if(({whole}) > 0, greatest(0., least(toFloat64({part}), toFloat64({whole}))) / ({whole}), NULL)"
