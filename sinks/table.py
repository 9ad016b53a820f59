"""A table as data.

In: nothing.
Out: Column, Table, and what all tables share.
Never: a column without a comment.
"""

from dataclasses import dataclass, field

DATABASE = "footlights"
#: Inserts whose tokens a table remembers.
DEDUPLICATION_WINDOW = 10_000
TIME = "DateTime64(3, 'UTC')"
#: Parts of a `key` of the column `sequences`.
SOURCE_OF_KEY = "arrayStringConcat(arrayPopBack(splitByChar('/', key)), '/')"
PRODUCER_OF_KEY = "decodeURLComponent(splitByChar('/', key)[-1])"


@dataclass(frozen=True)
class Column:
    """A column; `default` is a whole clause such as `MATERIALIZED …`."""

    name: str
    type: str
    comment: str
    default: str = ""
    codec: str = ""


@dataclass(frozen=True)
class Table:
    """A MergeTree table. `expires` is the time from which the retention counts; None keeps rows for ever."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    order_by: str
    engine: str = "MergeTree"
    partition_by: str = ""
    expires: str | None = None
    retention_days: int | None = None
    extras: tuple[str, ...] = ()
    settings: dict[str, int] = field(
        default_factory=lambda: {"non_replicated_deduplication_window": DEDUPLICATION_WINDOW}
    )


def quoted(text: str) -> str:
    """A text as an SQL literal.

    >>> quoted("user's")
    "'user\\\\'s'"
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
