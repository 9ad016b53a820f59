"""A batch of payloads becomes valid rows, and refused records with their reasons.

In: record batches of one family.
Out: `Taken`.
Never: an exception for what a record holds; only the registry's absence passes through.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from schemas.avro_batch import OFFSET, BatchDecoder, SchemaById
from schemas.consents import Consents, statements
from schemas.families import FAMILIES
from schemas.measures import Measure
from schemas.validity import invalid_rows
from stream_apps.compute.plan import Plan, Rows
from stream_apps.dead_letters import DECODE, VALIDATE, Refused
from stream_apps.transport.batch import RecordBatch

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Taken:
    """What a batch holds.

    The valid rows that count with their log-append times, the refused records by ascending offset, the number of rows withheld
    because their people opted out, and what people said about that, as records of the topic of consents.
    """

    rows: Rows
    appended_ms: Array
    refused: list[Refused]
    withheld: int = 0
    said: list[dict[str, Any]] = field(default_factory=list)


class Intake:
    """Decodes, validates and evaluates the batches of one family."""

    def __init__(
        self, family: str, measures: Iterable[Measure], schema_by_id: SchemaById, consents: Consents | None = None
    ) -> None:
        self._consents = consents
        self.family = FAMILIES[family]
        self.plan = Plan(family, measures)
        self._decode = BatchDecoder(self.family.schema, schema_by_id)

    def __call__(self, batch: RecordBatch) -> Taken:
        """Take a batch whose offsets follow each other or not; errors of the schema look-up other than KeyError pass."""
        offsets = batch.offsets()
        decoded = self._decode(batch.values(), offsets)
        records = batch.records
        refused = [Refused(u.offset, u.error_code, DECODE, u.schema_id, records[u.index]) for u in decoded.bad]
        frame = decoded.frame
        if invalid := invalid_rows(self.family, frame):
            refused += self._invalid(batch, offsets, frame, [(i.row, i.error_code) for i in invalid])
            good = np.ones(frame.height, bool)
            good[[i.row for i in invalid]] = False
            frame = frame.filter(pl.Series(good))
            refused.sort(key=lambda r: r.offset)
        appended = batch.timestamps()
        if frame.height != len(batch):
            appended = appended[np.searchsorted(offsets, frame[OFFSET].to_numpy())]
        said = statements(frame) if self.family.name == "account" else []
        withheld = self._consents.withheld(frame, appended.tolist) if self._consents else []
        if withheld:
            counted = np.ones(frame.height, bool)
            counted[withheld] = False
            frame, appended = frame.filter(pl.Series(counted)), appended[counted]
        return Taken(self.plan(frame), appended, refused, len(withheld), said)

    @staticmethod
    def _invalid(
        batch: RecordBatch, offsets: Array, frame: pl.DataFrame, found: list[tuple[int, str]]
    ) -> list[Refused]:
        at = frame[OFFSET].to_list()
        place = {offset: i for i, offset in enumerate(offsets.tolist())}
        out = []
        for row, code in found:
            record = batch.records[place[at[row]]]
            out.append(Refused(at[row], code, VALIDATE, int.from_bytes((record.value or b"")[1:5], "big"), record))
        return out
