"""What an owner that was interrupted has left of a batch, and how the batch is made whole.

In: the store, the batch, cut as it was before.
Out: the offsets whose rows stand; the daily tables, brought up to the batch's rows.
Never: a look at a batch that an earlier owner may still be writing: its inserts have ended when a position is read.

An insert holds rows of several partitions, and these may have different owners afterwards. So nobody could send the same insert
again, by whose token the store would know it; what stands is looked up instead, and only the rest is written.
"""

from functools import partial

import numpy as np

from sinks.batch import Batch
from sinks.daily import MATERIALISED
from sinks.dedup import Array
from sinks.patience import Patience
from sinks.statements import table_of
from sinks.store import Store
from sinks.table import DATABASE, quoted


def standing(store: Store, patience: Patience, batch: Batch, shards: Array) -> Array:
    """Offsets (uint64) of the batch's rows that the store holds; `shards` are those of all its rows, at least one."""
    sql = (
        f"SELECT _offset FROM {DATABASE}.{table_of(batch.topic)} WHERE {_rows(batch)} "
        f"AND _shard BETWEEN {shards.min()} AND {shards.max()}"
    )
    return np.frombuffer(patience("look for rows that stand", partial(store.binary, sql)), "<u8")


def refill(store: Store, patience: Patience, batch: Batch) -> None:
    """Pass the batch's rows on to the daily tables: their share of an insert may be missing where the rows stand."""
    for view in MATERIALISED:
        if view.source != table_of(batch.topic):
            continue
        held = f"SELECT as_select FROM system.tables WHERE database = {quoted(DATABASE)} AND name = {quoted(view.name)}"
        for (select,) in patience("read a view", partial(store.rows, held)):
            patience("fill a daily table", partial(store.command, view.refill(select, _rows(batch))))


def _rows(batch: Batch) -> str:
    return f"_partition = {batch.partition} AND _offset BETWEEN {batch.first} AND {batch.last}"
