"""A run of Confluent-framed payloads becomes columns with one polars call.

In: payloads of one topic and their offsets.
Out: a frame of all columns with a trailing `__offset`, and the records that do not decode, each with its reason.
Never: a silently misaligned row, or a verdict that depends on the batch around a record.

Avro binary has no framing, so the bodies of N records of one schema, put end to end, are the body of one block of an Avro
object container. Each record gets one more double, its offset: it comes back as a column, and a truncated or padded payload
shifts every later one, so a misaligned block cannot pass unseen. Such a block is halved until the records at fault stand
alone; they are judged by the same decoder, so stream and sink agree on every record.
"""

import io
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import fastavro
import numpy as np
import polars as pl

MAGIC_BYTES = 5
OFFSET = "__offset"
DTYPES: dict[str, pl.DataType] = {
    "string": pl.String(), "long": pl.Int64(), "double": pl.Float64(), "boolean": pl.Boolean(), "bytes": pl.Binary()
}  # fmt: skip

#: Looks a writer's schema up by its registry id; raises KeyError when the registry does not know it.
SchemaById = Callable[[int], dict[str, Any]]


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


class _Block:
    """Decoder of one writer schema into the columns of the reader's schema."""

    def __init__(self, writer: dict[str, Any], reader: dict[str, Any]) -> None:
        checked = json.loads(json.dumps(writer))
        checked["fields"].append({"name": OFFSET, "type": "double"})
        buffer = io.BytesIO()
        fastavro.writer(buffer, fastavro.parse_schema(checked), [], codec="null")
        self._head = buffer.getvalue()
        self._sync = self._head[-16:]
        self._columns = [f["name"] for f in reader["fields"]]
        written = {f["name"] for f in writer["fields"]}
        self._missing = [
            pl.lit(f.get("default"), dtype=DTYPES[f["type"][1] if isinstance(f["type"], list) else f["type"]]).alias(
                f["name"]
            )
            for f in reader["fields"]
            if f["name"] not in written
        ]

    def container(self, bodies: list[bytes], tails: bytes) -> bytes:
        """The Avro object container of these record bodies, each followed by its eight bytes of `tails`."""
        parts: list[bytes] = [b""] * (2 * len(bodies))
        parts[::2] = bodies
        parts[1::2] = [tails[i : i + 8] for i in range(0, len(tails), 8)]
        body = b"".join(parts)
        return b"".join((self._head, _varint(len(bodies)), _varint(len(body)), body, self._sync))

    def __call__(self, bodies: list[bytes], offsets: np.ndarray[Any, np.dtype[np.float64]]) -> pl.DataFrame:
        data = self.container(bodies, offsets.astype("<f8").tobytes())
        try:
            frame = pl.read_avro(io.BytesIO(data))
        except pl.exceptions.PanicException as problem:  # a panic is no Exception
            raise Misaligned("the decoder panicked") from problem
        except Exception as problem:  # polars raises many kinds for bytes it cannot read; all mean the same here
            raise Misaligned(type(problem).__name__) from problem
        if frame.height != len(bodies) or not np.array_equal(frame[OFFSET].to_numpy(), offsets):
            raise Misaligned("a payload does not end where its schema says")
        if self._missing:
            frame = frame.with_columns(self._missing)
        return frame.select(*self._columns, pl.col(OFFSET).cast(pl.Int64))


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
        self._blocks: dict[int, _Block] = {}
        self._empty = pl.DataFrame(
            schema={
                f["name"]: DTYPES[f["type"][1] if isinstance(f["type"], list) else f["type"]] for f in reader["fields"]
            }
            | {OFFSET: pl.Int64()}
        )

    def block(self, schema_id: int) -> _Block:
        """Decoder of a writer's schema, made once; KeyError when the registry does not know the id."""
        if schema_id not in self._blocks:
            self._blocks[schema_id] = _Block(self._schema_by_id(schema_id), self._reader)
        return self._blocks[schema_id]

    def __call__(self, payloads: Sequence[bytes | None], offsets: Sequence[int]) -> Decoded:
        """Decode a batch in offset order, whatever its schemas; what cannot be decoded comes back with its reason."""
        if not payloads:
            return Decoded(self._empty, ())
        at = np.asarray(offsets, np.float64)
        first = payloads[0]
        header = first[:MAGIC_BYTES] if first is not None else b""
        if schema_id_of(first) is not None and all([p is not None and p.startswith(header) for p in payloads]):
            try:
                block = self.block(schema_id_of(first) or 0)
                return Decoded(block([p[MAGIC_BYTES:] for p in payloads if p is not None], at), ())
            except (Misaligned, KeyError):
                pass
        return self._piecewise(payloads, at)

    def _piecewise(self, payloads: Sequence[bytes | None], at: np.ndarray[Any, np.dtype[np.float64]]) -> Decoded:
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
            bodies = [(payloads[i] or b"")[MAGIC_BYTES:] for i in rows]
            self._halve(block, schema_id, rows, bodies, at, frames, bad)
        frame = pl.concat(frames).sort(OFFSET) if frames else self._empty
        return Decoded(frame, tuple(sorted(bad, key=lambda u: u.index)))

    def _halve(
        self,
        block: _Block,
        schema_id: int,
        rows: list[int],
        bodies: list[bytes],
        at: np.ndarray[Any, np.dtype[np.float64]],
        frames: list[pl.DataFrame],
        bad: list[Undecodable],
    ) -> None:
        try:
            frames.append(block(bodies, at[rows]))
            return
        except Misaligned:
            if len(rows) == 1:
                bad.append(Undecodable(rows[0], int(at[rows[0]]), "UNDECODABLE", schema_id))
                return
        middle = len(rows) // 2
        for part in (slice(None, middle), slice(middle, None)):
            self._halve(block, schema_id, rows[part], bodies[part], at, frames, bad)
