"""A run of a partition's records, and what is to be written of it.

In: records of one partition in offset order.
Out: rows, repeats, and the line for `batches`.
Never: anything that depends on the clock, on the cut of other batches or on what lies at or behind the batch.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import polars as pl

from schemas.avro_batch import OFFSET, BatchDecoder, SchemaById
from schemas.consents import Consents
from schemas.families import BY_TOPIC, Family
from schemas.identity import COUNTS, KEY, shards
from schemas.sentiment import with_sentiment
from schemas.topics import TOPICS
from schemas.validity import invalid_rows
from sinks.collisions import Content
from sinks.dedup import SeenIds
from sinks.past import First, Past, Sent
from sinks.record_batches import Record
from sinks.refusals import Refusals, note_greatest

Array = np.ndarray[Any, np.dtype[Any]]
_NAMED = ("message_id", OFFSET, "tenant_id", "source", "producer_id", "sequence")


@dataclass(frozen=True)
class Batch:
    """Records of the offsets first … last, inclusive; `begun`: an earlier owner may have stored some of their rows."""

    topic: str
    partition: int
    first: int
    last: int
    begun: bool = False


@dataclass(frozen=True)
class Prepared:
    """What to write of a batch."""

    batch: Batch
    records: int
    rows: pl.DataFrame
    duplicates: list[dict[str, Any]]
    summary: dict[str, Any]
    withheld: list[dict[str, Any]]
    refused: list[dict[str, Any]]


class Preparation:
    """Decodes, validates and removes repeats of one topic's batches."""

    def __init__(
        self, topic: str, schema_by_id: SchemaById, consents: Consents | None = None, *, store_text: bool = True
    ) -> None:
        self._consents = consents
        self._family: Family | None = BY_TOPIC.get(topic)
        self._content = None if self._family is None else Content(self._family, store_text=store_text)
        self._decode = BatchDecoder(TOPICS[topic].record.schema, schema_by_id)

    def __call__(self, batch: Batch, records: list[Record], seen: SeenIds | None, past: Past) -> Prepared:
        """Prepare a batch of at least one record; the ids of its rows are held in `seen` from now on."""
        values, offsets = [r.value for r in records], _offsets(records)
        decoded = self._decode(values, offsets)
        frame, bad = decoded.frame, [u.index for u in decoded.bad]
        if self._family is not None and (invalid := invalid_rows(self._family, frame)):
            good = np.ones(frame.height, bool)
            good[[i.row for i in invalid]] = False
            bad += np.searchsorted(offsets, frame[OFFSET].to_numpy()[~good]).tolist()
            frame = frame.filter(pl.Series(good))
        refusals = Refusals([records[i] for i in sorted(bad)], past.refused)
        if self._family is None or self._content is None:
            counts = {"stored": {"": frame.height}, "redelivered": dict(refusals.redelivered), **refusals.counts}
            return Prepared(batch, len(records), frame, [], counts, [], refusals.rows)
        if self._family.name == "feedback":
            frame = with_sentiment(frame)
        accepted = frame
        frame, kept_back = self._withhold(records, offsets, frame)
        frame, repeats = _split(frame, seen, past, self._content)
        if kept_back.height:
            kept_back, again = _firsts(kept_back, past.withheld(kept_back["message_id"].to_list()))
            repeats += again
        _tell_redelivered(repeats, past.repeats)
        summary = _summary(frame, repeats, refusals, accepted) | {"withheld": _by_source(kept_back)}
        rows = kept_back.select(_NAMED).rename({OFFSET: "offset"}).to_dicts()
        return Prepared(batch, len(records), frame, repeats, summary, rows, refusals.rows)

    def _withhold(
        self, records: list[Record], offsets: Array, frame: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows that count, and those of people who opted out."""
        rows: list[int] = []
        if self._consents is not None:
            rows = self._consents.withheld(frame, lambda: _appended(records, offsets, frame))
        if not rows:
            return frame, frame.clear()
        kept_back = np.zeros(frame.height, bool)
        kept_back[rows] = True
        return frame.filter(pl.Series(~kept_back)), frame.filter(pl.Series(kept_back))


def _appended(records: list[Record], offsets: Array, frame: pl.DataFrame) -> list[int]:
    """When the log took the record of each row."""
    return [records[i].timestamp for i in np.searchsorted(offsets, frame[OFFSET].to_numpy())]


def _offsets(records: list[Record]) -> Array:
    """Offset of each record, int64: without a gap they need not be asked for."""
    first, last = records[0].offset, records[-1].offset
    if last - first + 1 == len(records):
        return np.arange(first, last + 1)
    return np.array([r.offset for r in records], np.int64)


def _split(
    frame: pl.DataFrame, seen: SeenIds | None, past: Past, content: Content
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The rows that count, and the repeats. Equal keys are only a hint; the whole id decides."""
    if seen is None or not frame.height:
        return frame, []
    maybe = seen.candidates(frame.select_seq(KEY)["key"].to_numpy(), shards(frame), past.load)
    if not maybe.any():
        return frame, []
    ids = frame.filter(pl.Series(maybe))["message_id"].unique()
    held = past.holders(ids.sort().to_list(), content.columns)
    return _firsts(frame, held, pl.col("message_id").is_in(ids.implode()), content)


def _firsts(
    frame: pl.DataFrame,
    firsts: dict[str, First],
    suspected: pl.Expr | None = None,
    content: Content | None = None,
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The rows whose ids have no earlier holder, neither in `firsts` nor in the frame, and the repeats.

    What they say is compared where `content` is given. A record of a person who opted out is told by nothing of what it says.
    """
    suspects = frame.with_row_index("row")
    if suspected is not None:
        suspects = suspects.filter(suspected)
    named = suspects.select("row", *_NAMED, "occurred_at_ms").iter_rows(named=True)
    said = suspects.select(content.columns).iter_rows() if content else repeat(None)
    repeats, out = [], []
    for row, says in zip(named, said, strict=False):
        held = firsts.get(row["message_id"])
        if held is None:
            firsts[row["message_id"]] = First(row[OFFSET], row["producer_id"], row["sequence"], says)
            continue
        out.append(row.pop("row"))
        same = (row["producer_id"], row["sequence"]) == (held.producer_id, held.sequence)
        differs = content.differing(held.content, says) if content and held.content and says else []
        place = {"offset": row.pop(OFFSET), "first_offset": held.offset}
        repeats.append({**place, "redelivery": same, "differs": differs, **row})
    keep = np.ones(frame.height, bool)
    keep[out] = False
    return frame.filter(pl.Series(keep)), repeats


def _tell_redelivered(repeats: list[dict[str, Any]], known: Callable[[list[str]], set[Sent]]) -> None:
    """Repeats of a repeat under its own number were given no further number either."""
    others = [r for r in repeats if not r["redelivery"]]
    if not others:
        return
    seen = known(sorted({r["message_id"] for r in others}))
    for other in others:
        sent = (other["message_id"], other["producer_id"], other["sequence"])
        other["redelivery"] = sent in seen
        seen.add(sent)


def _summary(
    frame: pl.DataFrame, repeats: list[dict[str, Any]], refusals: Refusals, accepted: pl.DataFrame
) -> dict[str, Any]:
    redelivered = Counter(r["source"] for r in repeats if r["redelivery"]) + refusals.redelivered
    stored, excluded = Counter[str](), Counter[str]()
    greatest = dict(refusals.sequences)
    for source, producer, rows, left_out, last in _by_producer(frame):
        stored[source] += rows
        excluded[source] += left_out
        note_greatest(greatest, source, producer, last)
    if accepted is not frame:
        for source, producer, _, _, last in _by_producer(accepted):
            note_greatest(greatest, source, producer, last)
    return {
        "stored": dict(sorted(stored.items())),
        "duplicates": dict(Counter(r["source"] for r in repeats if not r["redelivery"])),
        "redelivered": dict(redelivered),
        "collisions": dict(Counter(r["source"] for r in repeats if r["differs"])),
        **refusals.counts,
        "excluded": dict(sorted((+excluded).items())),
        "sequences": greatest,
    }


def _by_source(frame: pl.DataFrame) -> dict[str, int]:
    return dict(frame.group_by("source").len().sort("source").iter_rows()) if frame.height else {}


def _by_producer(frame: pl.DataFrame) -> list[tuple[str, str, int, int, int]]:
    """Source, producer, rows, those that count nowhere, and the greatest sequence."""
    asked = frame.select("source", "producer_id", "sequence", ~COUNTS)
    told = asked.group_by("source", "producer_id").agg(
        pl.len(), pl.col("counts").sum().alias("left_out"), pl.col("sequence").max().alias("last")
    )
    return list(told.iter_rows())
