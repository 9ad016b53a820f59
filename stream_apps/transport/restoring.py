"""Puts fetched changelog records into their tables, a run at a time.

In: runs of records of assigned partitions, during a recovery.
Out: the same table and positions as Faust's; the records that are left for Faust.
Never: the record that ends the recovery of a partition, or one behind it: Faust takes these, and says when all is recovered.

Faust makes a message and an event of each record and asks all partitions after each whether the recovery is over. With a
day of state in 28 partitions that was four fifths of the time of a recovery (docs/decisions/0005-batch-transport.md).
"""

from time import monotonic
from typing import Any

from faust.tables.recovery import Recovery
from faust.types.tuples import TP

from stream_apps.transport.batch import Record


def restore(recovery: Recovery, tp: TP, records: list[Record]) -> list[Record]:
    """Put what precedes the partition's end into its table; returns the rest.

    Only tables whose keys and values are bytes are filled here; the records of others are returned whole.
    """
    table: Any = recovery.tp_to_table.get(tp)
    if table is None or tp not in recovery.active_tps or not recovery.in_recovery:
        return records
    if table.key_type is not bytes or table.value_type is not bytes or table._on_changelog_event is not None:
        return records
    end, seen = recovery.active_highwaters.get(tp, -1), recovery.active_offsets.get(tp)
    seen = -1 if seen is None else seen
    rows = next((i for i, record in enumerate(records) if record.offset >= end), len(records))
    if not rows:
        return records
    if waiting := recovery.buffers.get(table):  # older than these
        table.apply_changelog_batch(waiting)
        waiting.clear()
    data, partitions = table.data.data, table.data._key_partition
    for record in records[:rows]:
        if record.offset <= seen:
            continue
        seen = record.offset
        if record.value:
            data[record.key] = record.value
            partitions[record.key] = tp.partition
        else:
            data.pop(record.key, None)
            partitions.pop(record.key, None)
    recovery.active_offsets[tp] = seen
    recovery._active_events_received_at[tp] = monotonic()
    return records[rows:]
