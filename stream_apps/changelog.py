"""The changelog of the measures state: what lies in the Faust table, and how it is read and written as one.

In: the table as Faust recovered it; a checkpoint's records.
Out: `Records` of each source partition; Kafka records.
Never: two writers on one key: a key carries its writer's consumer generation, so a zombie's late write hides nothing.

Faust restores the table from its changelog. Writes go past the table's assignment (230 µs each) as one produce batch, and are
then noted in the table's store and in the recovery's positions, so that a rebalance in which the partition stays does not
read them again.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from faust.tables.manager import TableManager
from faust.types import AppT
from faust.types.tuples import TP

from stream_apps.compute.records import Key, Record, Records
from stream_apps.publisher import Outgoing

_HEAD = struct.Struct(">qq")


@dataclass(frozen=True)
class Place:
    """A source partition."""

    family: str
    partition: int


def packed_key(place: Place, key: Key, generation: int) -> bytes:
    """Key of a record in the changelog.

    Examples
    --------
    >>> packed_key(Place("commerce", 2), (0, 27, "additive", ""), 5)
    b'commerce|2|0|27|additive||5'
    """
    level, bucket, kind, piece = key
    return f"{place.family}|{place.partition}|{level}|{bucket}|{kind}|{piece}|{generation}".encode()


def unpacked_key(packed: bytes) -> tuple[Place, Key, int]:
    """Inverse of `packed_key`."""
    family, partition, level, bucket, kind, piece, generation = packed.decode().split("|")
    return Place(family, int(partition)), (int(level), int(bucket), kind, piece), int(generation)


def packed_value(record: Record) -> bytes:
    """Value of a record: the source offset it includes, the log-append time of its change, its body."""
    return _HEAD.pack(record.offset, record.touched_ms) + record.body


def unpacked_value(key: Key, value: bytes) -> Record:
    """Inverse of `packed_value`."""
    offset, touched_ms = _HEAD.unpack_from(value)
    return Record(*key, offset, touched_ms, value[_HEAD.size :])


def put(place: Place, record: Record, generation: int, topic: str) -> Outgoing:
    """The Kafka record that stores a record."""
    return Outgoing(topic, place.partition, packed_key(place, record.key, generation), packed_value(record))


def delete(place: Place, key: Key, generation: int, topic: str) -> Outgoing:
    """The Kafka record that deletes a key."""
    return Outgoing(topic, place.partition, packed_key(place, key, generation), None)


def loaded(items: Iterable[tuple[bytes, bytes]]) -> dict[Place, Records]:
    """Records of a table, by source partition."""
    out: dict[Place, Records] = {}
    for key, value in items:
        place, logical, generation = unpacked_key(key)
        out.setdefault(place, Records()).put(generation, unpacked_value(logical, value))
    return out


class Changelog:
    """A Faust table of bytes whose partitions are those of the sources."""

    def __init__(self, app: AppT, name: str, partitions: int) -> None:
        self._app = app
        self._table: Any = app.Table(name, key_type=bytes, value_type=bytes, partitions=partitions)

    @property
    def topic(self) -> str:
        """Name of the changelog topic."""
        return str(self._table.changelog_topic.get_topic_name())

    def _store(self) -> Any:
        return self._table.data

    def load(self) -> dict[Place, Records]:
        """All records that the table holds, by source partition."""
        return loaded(self.items())

    def items(self) -> list[tuple[bytes, bytes]]:
        """What the table holds just now, for `loaded`."""
        return [(k, v) for k, v in self._store().data.items() if v]

    def note(self, written: Iterable[tuple[Outgoing, int]]) -> None:
        """Take acknowledged writes over into the table's store. The caller makes sure that no rebalance came between."""
        store, ends = self._store(), dict[TP, int]()
        for record, offset in written:
            if record.value is None:
                store.data.pop(record.key, None)
                store._key_partition.pop(record.key, None)
            else:
                store.data[record.key] = record.value
                store._key_partition[record.key] = record.partition
            tp = TP(record.topic, record.partition)
            ends[tp] = max(ends.get(tp, -1), offset)
        recovery = cast(TableManager, self._app.tables).recovery
        for tp, end in ends.items():
            if tp in recovery.active_tps:
                recovery.active_offsets[tp] = max(recovery.active_offsets.get(tp) or -1, end)
