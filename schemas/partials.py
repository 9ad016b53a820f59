"""What the measures stage tells the KPI stage: cumulative states of buckets, versioned by source offset.

In: arrays of a partition's state.
Out: the bytes of one `Partial` record's body, and back.
Never: a dictionary code; values are text.

Three kinds of record tell of state, each cumulative for its (family, source partition, level, bucket); a fourth is a request:

- *additive*: counts, sums and bins of all groups of dimensions, with the row counts; replaced by one of a greater offset.
- *sketch*: the registers of one group's distinct counts, cut into pieces; register maxima, so any order and repetition is safe.
- *head*: where a partition stands: offset, greatest event time, whether it is at its end, counters.
- *restatement*: values of closed windows that were computed from the raw events, for the owner of the revisions to publish.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import msgpack
import numpy as np
import zstandard

from schemas.aggregates import BINS, REGISTERS, registers_of

Array = np.ndarray[Any, np.dtype[Any]]
ADDITIVE, SKETCH, HEAD, RESTATEMENT = "additive", "sketch", "head", "restatement"
HEAD_LEVEL = -1
Dimensions = tuple[str | None, ...]

_compress = zstandard.ZstdCompressor(level=1).compress


@dataclass(frozen=True)
class AdditivePart:
    """One group of an additive record.

    `dims` has one (tenant, value, …) per slot; `rows` and `late` are int64 [slots]: rows that count, and those of them that came
    late; `values` is int64 [slots, names]; `bins` maps a quantile measure to int64 [slots, BINS.size].
    """

    by: tuple[str, ...]
    dims: tuple[Dimensions, ...]
    rows: Array
    late: Array
    names: tuple[str, ...]
    values: Array
    bins: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class SketchPart:
    """Distinct counts of one group: per measure one uint32 coupon array (sparse) or uint8 register array (dense) per slot."""

    by: tuple[str, ...]
    dims: tuple[Dimensions, ...]
    sketches: dict[str, tuple[Array, ...]]


@dataclass(frozen=True)
class Head:
    """Where a source partition stands. Times are epoch milliseconds; counters are cumulative since the topic's start."""

    offset: int
    generation: int
    max_event_ms: int | None  # min(occurred, received) of the newest counted row; None before the first
    at_end: bool  # everything that the partition held was read
    read_at_ms: int  # clock of the worker when that was so
    rows: int = 0
    late: int = 0
    duplicates: int = 0
    dead_lettered: int = 0
    excluded: int = 0


@dataclass(frozen=True)
class Restated:
    """A window, named by its last bucket, as the raw events give it; `revision` is the greatest final one in the store, or -1."""

    window: int
    value: float | None
    rows: int
    late: int
    revision: int


@dataclass(frozen=True)
class Restatement:
    """A request to publish what the raw events say of some windows of one series.

    `positions` are (family, partition, next offset): the rows below these were read, all of them and no others. `version` is that
    of the definition which was used.
    """

    request: str
    reason: str
    kpi: str
    version: int
    window: str
    by: tuple[str, ...]
    key: tuple[str, ...]
    positions: tuple[tuple[str, int, int], ...]
    windows: tuple[Restated, ...]


def pack_restatement(restatement: Restatement) -> bytes:
    """Body of a restatement."""
    return _pack(asdict(restatement))


def unpack_restatement(body: bytes) -> Restatement:
    """Restatement of a record."""
    held = _unpack(body)
    held |= {"by": tuple(held["by"]), "key": tuple(held["key"]), "positions": tuple(map(tuple, held["positions"]))}
    return Restatement(**held | {"windows": tuple(Restated(**w) for w in held["windows"])})


def pack_additive(parts: list[AdditivePart]) -> bytes:
    """Body of an additive record."""
    return _pack(
        [
            [
                p.by,
                p.dims,
                p.rows.tobytes(),
                p.late.tobytes(),
                p.names,
                p.values.tobytes(),
                {n: _sparse(b) for n, b in p.bins.items()},
            ]
            for p in parts
        ]
    )


def unpack_additive(body: bytes) -> list[AdditivePart]:
    """Parts of an additive record; the arrays are read-only views."""
    return [
        AdditivePart(
            tuple(by),
            tuple(map(tuple, dims)),
            np.frombuffer(rows, np.int64),
            np.frombuffer(late, np.int64),
            tuple(names),
            np.frombuffer(values, np.int64).reshape(len(dims), len(names)),
            {name: _dense(len(dims), *held) for name, held in bins.items()},
        )
        for by, dims, rows, late, names, values, bins in _unpack(body)
    ]


def pack_sketch(part: SketchPart) -> bytes:
    """Body of a sketch record."""
    return _pack([part.by, part.dims, {name: [s.tobytes() for s in slots] for name, slots in part.sketches.items()}])


def unpack_sketch(body: bytes) -> SketchPart:
    """Part of a sketch record; a sketch of 16,384 bytes is dense, any other sparse."""
    by, dims, sketches = _unpack(body)
    return SketchPart(
        tuple(by), tuple(map(tuple, dims)), {n: tuple(map(_sketch, slots)) for n, slots in sketches.items()}
    )


def dense(sketch: Array) -> Array:
    """Registers (uint8, 16,384) of a sketch in either form."""
    return sketch if sketch.dtype == np.uint8 else registers_of(sketch)


def pack_head(head: Head) -> bytes:
    """Body of a head record."""
    return _pack(asdict(head))


def unpack_head(body: bytes) -> Head:
    """Head of a head record."""
    return Head(**_unpack(body))


def _sketch(held: bytes) -> Array:
    # 4,096 coupons would take as many bytes as the registers; a sketch turns dense well before.
    return np.frombuffer(held, np.uint8 if len(held) == REGISTERS else np.uint32)


def _sparse(counts: Array) -> tuple[bytes, bytes]:
    flat = counts.reshape(-1)
    index = np.flatnonzero(flat)
    return index.astype(np.uint32).tobytes(), flat[index].astype(np.int64).tobytes()


def _dense(slots: int, index: bytes, counts: bytes) -> Array:
    flat = np.zeros(slots * BINS.size, np.int64)
    flat[np.frombuffer(index, np.uint32)] = np.frombuffer(counts, np.int64)
    return flat.reshape(slots, BINS.size)


def _pack(body: Any) -> bytes:
    return _compress(msgpack.packb(body))


def _unpack(body: bytes) -> Any:
    try:
        return msgpack.unpackb(zstandard.decompress(body), strict_map_key=False)
    except (zstandard.ZstdError, msgpack.UnpackException) as problem:
        raise ValueError("no body that a worker writes") from problem
