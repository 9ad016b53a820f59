"""What a store of records says, read as the KPI stage reads it.

In: records by (key, generation).
Out: {(measure, level, bucket, dims): value}, as `reference.totals` gives it.
Never: a look into the engine.
"""

from typing import Any

import numpy as np

from schemas.partials import ADDITIVE, SKETCH, dense, unpack_additive, unpack_sketch
from stream_apps.compute.records import Records
from tests.stream_apps.measures.reference import LATE, ROWS


def said(records: Records) -> dict[tuple[Any, ...], Any]:
    """Every cell that is not zero or empty."""
    out: dict[tuple[Any, ...], Any] = {}
    for level, bucket in {(r.level, r.bucket) for _, r in records.all() if r.kind in (ADDITIVE, SKETCH)}:
        registers: dict[tuple[Any, ...], Any] = {}
        for record in records.of(level, bucket):
            if record.kind == ADDITIVE:
                _additive(out, level, bucket, record.body)
            else:
                part = unpack_sketch(record.body)
                for name, sketches in part.sketches.items():
                    for dims, sketch in zip(part.dims, sketches, strict=True):
                        key = (name, level, bucket, dims)
                        registers[key] = np.maximum(registers.get(key, 0), dense(sketch))
        for key, ranks in registers.items():
            if ranks.any():
                out[key] = {int(i): int(ranks[i]) for i in np.flatnonzero(ranks)}
    return out


def _additive(out: dict[tuple[Any, ...], Any], level: int, bucket: int, body: bytes) -> None:
    for part in unpack_additive(body):
        for slot, dims in enumerate(part.dims):
            values = {(ROWS, part.by): part.rows[slot], (LATE, part.by): part.late[slot]}
            values |= dict(zip(part.names, part.values[slot], strict=True))
            out |= {(k, level, bucket, dims): int(v) for k, v in values.items() if v}
            for name, bins in part.bins.items():
                if bins[slot].any():
                    out[name, level, bucket, dims] = {int(i): int(bins[slot][i]) for i in np.flatnonzero(bins[slot])}
