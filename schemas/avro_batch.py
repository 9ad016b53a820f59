"""A run of Confluent-framed payloads becomes columns with one polars call.

In: payloads of one topic and their offsets.
Out: a frame of all columns with a trailing `__offset`, and the records that do not decode, each with its reason.
Never: a silently misaligned row, or a verdict that depends on the batch around a record.

Avro binary has no framing, so the bodies of N records of one schema, put end to end, are the body of one block of an Avro
object container, or of a few. Confluent's header is decoded with them, its zero as the branch of a union and the id as that
branch's float: a payload of another schema shows there.
Behind each record stands a number that nobody outside this process knows. A truncated or padded payload shifts what follows, and a
record that ran over its end could only be made up for by one that ends at that number before its own end; so a misaligned
block cannot pass unseen. Of such a block the records that cannot end where they should are taken out; what stays is decoded
again, and halved until records at fault stand alone. They are judged by the same decoder, so stream and sink agree on every record.
"""

import contextlib
import io
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import fastavro
import numpy as np
import polars as pl

from schemas.avro_resolution import Resolution, Unreadable, as_columns, plain
from schemas.avro_walk import Walk

MAGIC_BYTES = 5
OFFSET = "__offset"
_SCHEMA, _END = "__schema", "__end"
#: What stands behind each record: 52 bits by chance.
_MARK = 1.0 + random.SystemRandom().random()
_MARK_BYTES = struct.pack("<d", _MARK)
#: Rows of one block: polars copies each before it decodes it, which is a tenth cheaper where that stays in the processor's cache.
_BLOCK_ROWS = 4_000
DTYPES: dict[str, pl.DataType] = {
    "string": pl.String(), "long": pl.Int64(), "double": pl.Float64(), "boolean": pl.Boolean(), "bytes": pl.Binary()
}  # fmt: skip

#: Looks a writer's schema up by its registry id; None for one that is not Avro's, KeyError when the registry does not know the id.
SchemaById = Callable[[int], Any]


class Misaligned(ValueError):
    """The block does not decode as its schema says."""


@dataclass(frozen=True)
class Undecodable:
    """A record that cannot be decoded: where it stood in the batch, its offset and why."""

    index: int
    offset: int
    error_code: str
    schema_id: int | None


@dataclass(frozen=True)
class Decoded:
    """Rows in offset order with `__offset` as Int64, and what could not be decoded."""

    frame: pl.DataFrame
    bad: tuple[Undecodable, ...]


def frame_header(schema_id: int) -> bytes:
    """Confluent's wire header: a zero byte and the schema id, big-endian."""
    return struct.pack(">bI", 0, schema_id)


def schema_id_of(payload: bytes | None) -> int | None:
    """Schema id of a framed payload, or None when there is no such header."""
    if payload is None or len(payload) < MAGIC_BYTES or payload[0] != 0:
        return None
    return int.from_bytes(payload[1:MAGIC_BYTES], "big")


def _varint(number: int) -> bytes:
    rest, out = number << 1, bytearray()
    while rest > 0x7F:
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _dtype(field: dict[str, Any]) -> pl.DataType:
    """The type of a column of our own schemas."""
    return DTYPES[field["type"][1] if isinstance(field["type"], list) else field["type"]]


class _Rows:
    """Decoder of a writer's schema that is no list of columns as we read them: one record at a time, by Avro's rules."""

    def __init__(self, writer: Any, reader: dict[str, Any]) -> None:
        self._resolved: Resolution | None = None
        with contextlib.suppress(Unreadable):
            self._resolved = Resolution(writer, reader)
        self._schema = {f["name"]: _dtype(f) for f in reader["fields"]}

    def surely_broken(self, payload: bytes) -> bool:
        return self._resolved is None

    def __call__(self, payloads: Sequence[bytes], offsets: np.ndarray[Any, np.dtype[np.int64]]) -> pl.DataFrame:
        if self._resolved is None:
            raise Misaligned("no record of that schema can be read")
        try:
            rows = [self._resolved(payload[MAGIC_BYTES:]) for payload in payloads]
        except Unreadable as problem:
            raise Misaligned(str(problem)) from problem
        frame = pl.DataFrame(rows, schema=self._schema)
        return frame.insert_column(frame.width, pl.Series(OFFSET, offsets))


class _Block:
    """Decoder of a writer's schema whose fields are columns, into the columns of the reader's schema."""

    def __init__(self, schema_id: int, fields: list[dict[str, Any]], reader: dict[str, Any]) -> None:
        self.surely_broken = Walk({"fields": fields}, MAGIC_BYTES).surely_broken
        self._schema_id = np.frombuffer(struct.pack(">I", schema_id), "<u4")[0]
        # The decoder reads the schema anew for each block: it gets no more of it than it needs.
        header = {"name": _SCHEMA, "type": ["float", "null"]}
        checked = {"type": "record", "name": "block", "fields": [header, *fields, {"name": _END, "type": "double"}]}
        buffer = io.BytesIO()
        fastavro.writer(buffer, fastavro.parse_schema(checked), [], codec="null")
        self._head = buffer.getvalue()
        self._sync = self._head[-16:]
        self._columns = [f["name"] for f in reader["fields"]]
        written = {f["name"]: f["type"] for f in fields}
        self._same = list(written) == self._columns and not any(_widens(f, written) for f in reader["fields"])
        self._others = [
            pl.col(f["name"]).cast(_dtype(f))
            if f["name"] in written
            else pl.lit(f["default"], _dtype(f)).alias(f["name"])
            for f in reader["fields"]
            if f["name"] not in written or _widens(f, written)
        ]

    def _container(self, payloads: Sequence[bytes]) -> bytes:
        """The Avro object container of these records."""
        parts = list(payloads)
        for start in range(0, len(parts), _BLOCK_ROWS):
            rows = payloads[start : start + _BLOCK_ROWS]
            size = sum(map(len, rows)) + len(_MARK_BYTES) * len(rows)
            before = self._sync if start else self._head
            parts[start] = b"".join((before, _varint(len(rows)), _varint(size), rows[0]))
        parts[-1] = b"".join((parts[-1], _MARK_BYTES, self._sync))
        return _MARK_BYTES.join(parts)

    def __call__(self, payloads: Sequence[bytes], offsets: np.ndarray[Any, np.dtype[np.int64]]) -> pl.DataFrame:
        data = self._container(payloads)
        try:
            frame = pl.read_avro(io.BytesIO(data))
        except pl.exceptions.PanicException as problem:  # a panic is no Exception
            raise Misaligned("the decoder panicked") from problem
        except Exception as problem:  # polars raises many kinds for bytes it cannot read; all mean the same here
            raise Misaligned(type(problem).__name__) from problem
        if frame.height != len(payloads) or not (frame[_END].to_numpy() == _MARK).all():
            raise Misaligned("a payload does not end where its schema says")
        ids = frame[_SCHEMA]
        if ids.null_count() or not (ids.to_numpy().view(np.uint32) == self._schema_id).all():
            raise Misaligned("a payload has another header")
        for name in (_SCHEMA, _END):
            frame.drop_in_place(name)
        if not self._same:
            frame = frame.with_columns(*self._others).select(self._columns)
        return frame.insert_column(frame.width, pl.Series(OFFSET, offsets))


def _widens(field: dict[str, Any], written: dict[str, Any]) -> bool:
    """Whether a column of doubles was written as other numbers."""
    kind = written[field["name"]]
    return _dtype(field) == pl.Float64() and "double" not in (kind if isinstance(kind, list) else [kind])


def _decoder(schema_id: int, writer: Any, reader: dict[str, Any]) -> _Block | _Rows:
    """How records of a writer's schema are decoded: that hangs on the schema alone, so never on the batch around a record."""
    try:
        fields = as_columns(plain(writer), reader)
    except (Unreadable, KeyError, TypeError, AttributeError):
        fields = None  # no schema of a record
    return _Rows(writer, reader) if fields is None else _Block(schema_id, fields, reader)


class BatchDecoder:
    """Decodes batches of one topic; writers' schemas are looked up by the id in each payload's header.

    Parameters
    ----------
    reader
        The newest Avro schema: its fields are the columns of every frame.
    schema_by_id
        Registry look-up. Its transient errors pass through, so that the caller can retry; KeyError means unknown for good.
    """

    def __init__(self, reader: dict[str, Any], schema_by_id: SchemaById) -> None:
        self._reader, self._schema_by_id = reader, schema_by_id
        self._blocks: dict[int, _Block | _Rows] = {}
        self._empty = pl.DataFrame(schema={f["name"]: _dtype(f) for f in reader["fields"]} | {OFFSET: pl.Int64()})

    def block(self, schema_id: int) -> _Block | _Rows:
        """Decoder of a writer's schema, made once; KeyError when the registry does not know the id."""
        if schema_id not in self._blocks:
            self._blocks[schema_id] = _decoder(schema_id, self._schema_by_id(schema_id), self._reader)
        return self._blocks[schema_id]

    def __call__(
        self, payloads: Sequence[bytes | None], offsets: Sequence[int] | np.ndarray[Any, np.dtype[np.int64]]
    ) -> Decoded:
        """Decode a batch in offset order, whatever its schemas; what cannot be decoded comes back with its reason."""
        if not payloads:
            return Decoded(self._empty, ())
        at = np.asarray(offsets, np.int64)
        schema_id = schema_id_of(payloads[0])
        if schema_id is not None and None not in payloads:
            with contextlib.suppress(Misaligned, KeyError):
                return Decoded(self.block(schema_id)(cast(Sequence[bytes], payloads), at), ())
        return self._piecewise(payloads, at)

    def _piecewise(self, payloads: Sequence[bytes | None], at: np.ndarray[Any, np.dtype[np.int64]]) -> Decoded:
        frames: list[pl.DataFrame] = []
        bad: list[Undecodable] = []
        groups: dict[int, list[int]] = {}
        for i, payload in enumerate(payloads):
            schema_id = schema_id_of(payload)
            if schema_id is None:
                bad.append(Undecodable(i, int(at[i]), "EMPTY" if not payload else "NO_HEADER", None))
            else:
                groups.setdefault(schema_id, []).append(i)
        for schema_id, rows in groups.items():
            try:
                block = self.block(schema_id)
            except KeyError:
                bad.extend(Undecodable(i, int(at[i]), "UNKNOWN_SCHEMA", schema_id) for i in rows)
                continue
            broken = {i for i in rows if block.surely_broken(payloads[i] or b"")}
            bad.extend(Undecodable(i, int(at[i]), "UNDECODABLE", schema_id) for i in broken)
            if whole := [i for i in rows if i not in broken]:
                self._halve(block, schema_id, whole, [payloads[i] or b"" for i in whole], at, frames, bad)
        frame = pl.concat(frames).sort(OFFSET) if frames else self._empty
        return Decoded(frame, tuple(sorted(bad, key=lambda u: u.index)))

    def _halve(
        self,
        block: _Block | _Rows,
        schema_id: int,
        rows: list[int],
        taken: list[bytes],
        at: np.ndarray[Any, np.dtype[np.int64]],
        frames: list[pl.DataFrame],
        bad: list[Undecodable],
    ) -> None:
        try:
            frames.append(block(taken, at[rows]))
            return
        except Misaligned:
            if len(rows) == 1:
                bad.append(Undecodable(rows[0], int(at[rows[0]]), "UNDECODABLE", schema_id))
                return
        middle = len(rows) // 2
        for part in (slice(None, middle), slice(middle, None)):
            self._halve(block, schema_id, rows[part], taken[part], at, frames, bad)
