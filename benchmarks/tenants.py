"""What the KPI stage costs with more tenants: an evaluation when one of them has news, and a start from what is stored.

In: a number of tenants.
Out: milliseconds of an evaluation, the median of twenty, and of a start; bytes of the head that each checkpoint stores.
Never: the time of reading partials, or of the tenants' own first evaluations.
"""

import statistics
import time
from typing import Any

import numpy as np

from schemas.partials import ADDITIVE, HEAD, HEAD_LEVEL, AdditivePart, Head, pack_additive, pack_head
from schemas.windows import LEVELS, bucket_of
from stream_apps.compute.kpi.stage import KpiStage
from stream_apps.compute.records import Records

START_MS, SECONDS = 1_760_000_000_000, 20
MEASURED = {
    "interaction": ("page_views",),
    "commerce": ("payments_authorised", "payments_failed", "tickets_sold"),
    "performance": ("api_requests", "api_errors"),
    "feedback": ("ratings",),
}


class Stage:
    """A stage with partials of every measured family."""

    def __init__(self) -> None:
        self.stage, self._offset = KpiStage(Records(), 1), 0

    def tell(self, tenants: list[str], rows: int, now_ms: int) -> None:
        """Each tenant has `rows` in the minute, hour and day of `now_ms`, which is as far as event time has come."""
        for family, names in MEASURED.items():
            values = np.full((len(tenants), len(names)), rows, np.int64)
            dims = tuple((tenant,) for tenant in tenants)
            part = AdditivePart((), dims, np.full(len(tenants), rows), np.zeros(len(tenants), np.int64), names, values)
            for level in LEVELS:
                self._take(family, ADDITIVE, level, bucket_of(now_ms, level, "UTC"), pack_additive([part]), now_ms)
            head = Head(self._offset, 1, now_ms, False, now_ms, duplicates=0)
            self._take(family, HEAD, HEAD_LEVEL, 0, pack_head(head), now_ms)

    def _take(self, family: str, kind: str, level: int, bucket: int, body: bytes, now_ms: int) -> None:
        record = {
            "kind": kind, "family": family, "topic": family, "partition": 0, "level": level, "bucket": bucket, "piece": "",
            "offset": self._offset, "generation": 1, "body": body,
        }  # fmt: skip
        self.stage.take(record, self._offset, now_ms)
        self._offset += 1

    def settle(self, now_ms: int) -> None:
        """Evaluate until no window waits."""
        while self.stage.evaluate(now_ms, quiet=True) or self.stage.dirty:
            self.stage.checkpoint(now_ms)


def evaluation(tenants: int) -> dict[str, Any]:
    """Milliseconds of an evaluation and of a start, and bytes of the stored head."""
    held, names, now_ms = Stage(), [f"tenant-{n}" for n in range(tenants)], START_MS
    held.tell(names, 1, now_ms)
    held.settle(now_ms)
    took = []
    for second in range(SECONDS):
        now_ms += 1_000
        held.tell(names[:1], 2 + second, now_ms)
        began = time.perf_counter()
        held.stage.evaluate(now_ms, quiet=False)
        took.append((time.perf_counter() - began) * 1000)
        held.stage.checkpoint(now_ms)
    head = held.stage.records.head()
    began = time.perf_counter()
    KpiStage(held.stage.records, 2)
    start_ms = (time.perf_counter() - began) * 1000
    return {
        "ms": round(statistics.median(took), 1),
        "head_bytes": 0 if head is None else len(head.body),
        "start_ms": round(start_ms),
    }
