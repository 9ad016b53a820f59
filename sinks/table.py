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
#: Source, producer_id and sequence of each entry of the column `sequences`.
SEQUENCES = f"""(SELECT arrayStringConcat(arrayPopBack(splitByChar('/', key)), '/') AS source,
    decodeURLComponent(splitByChar('/', key)[-1]) AS producer_id, sequence
FROM (SELECT sequences FROM {DATABASE}.batches) ARRAY JOIN mapKeys(sequences) AS key, mapValues(sequences) AS sequence)"""


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
