"""The dimensions that a point's `by` names.

In: a metric's combinations of dimensions, the text.
Out: names and values.
Never: a guess: a value may hold what looks like the next pair, so the declared names decide.
"""

from collections.abc import Iterable

Dimensions = tuple[str, ...]


def dimensions_of(declared: Iterable[Dimensions], by: str) -> tuple[Dimensions, tuple[str, ...]]:
    """Names and values of a `by` text, the inverse of `schemas.kpis.by_text`.

    Raises
    ------
    ValueError
        When no declared combination has such a text.

    Examples
    --------
    >>> dimensions_of([(), ("component", "operation")], "component=api,operation=GET /?a=1,b=2")
    (('component', 'operation'), ('api', 'GET /?a=1,b=2'))
    >>> dimensions_of([()], "")
    ((), ())
    """
    known = list(declared)
    for names in known:
        values = _values(names, by)
        if values is not None:
            return names, values
    told = " or ".join(",".join(names) for names in known if names)
    raise ValueError(f"there is nothing by {by!r}; the dimensions are {told or 'none'}")


def _values(names: Dimensions, by: str) -> tuple[str, ...] | None:
    if not names:
        return None if by else ()
    rest, values = by, []
    for name, following in zip(names, [*names[1:], None], strict=True):
        if not rest.startswith(f"{name}="):
            return None
        rest = rest.removeprefix(f"{name}=")
        if following is None:
            values.append(rest)
        elif f",{following}=" in rest:
            value, rest = rest.split(f",{following}=", 1)
            rest = f"{following}={rest}"
            values.append(value)
        else:
            return None
    return tuple(values)
