"""Columns of the families, as parsers of foreign files ask for them.

In: event names.
Out: columns with their kinds.
Never: the envelope's columns, which nobody sets from a file's columns.
"""

from functools import cache

from footlights.names import family_of

from schemas.families import ENVELOPE, FAMILIES


def columns_of(event_name: str) -> dict[str, str]:
    """Columns of an event's family besides the envelope, with their kinds."""
    return _columns_of(family_of(event_name))


@cache
def _columns_of(family: str) -> dict[str, str]:
    kinds = FAMILIES[family].kinds
    return {name: kind for name, kind in kinds.items() if name not in ENVELOPE}
