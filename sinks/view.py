"""A view as data.

In: nothing.
Out: View.
Never: a view with a column that has no comment.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """A view; `comments` has every column of the SELECT by its name, in order.

    The text may hold `sinks.ddl.RETENTION`, which stands for the setting of that name.
    """

    name: str
    doc: str
    comments: dict[str, str]
    select: str
