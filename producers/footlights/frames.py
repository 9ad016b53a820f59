"""How a record lies in the spool: magic, length, CRC-32, then sequence, topic, key and framed payload.

In: bytes.
Out: records, and the ranges that are none.
Never: a record whose checksum does not hold, nor one lost because of a bad neighbour: the magic finds the next.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

MAGIC = b"FLr1"
_HEAD = struct.Struct("<4sII")
_BODY = struct.Struct("<QBH")
HEAD_BYTES, BODY_BYTES = _HEAD.size, _BODY.size
_pack_head, _pack_body = _HEAD.pack, _BODY.pack
_unpack_head, _unpack = _HEAD.unpack_from, struct.Struct("<4sIIQBH").unpack_from
_record = tuple.__new__
_topics: dict[bytes, str] = {}


class Framed(NamedTuple):
    """A record as it goes to Kafka, and where it ends in its buffer."""

    sequence: int
    topic: str
    key: bytes
    payload: bytes
    end: int


class Damage(NamedTuple):
    """A range of bytes that is no record. `whole`: a full record was here, so it had been accepted."""

    start: int
    end: int
    whole: bool


def framed(sequence: int, topic: bytes, key: bytes, *payload: bytes) -> bytes:
    """A record as it lies in a spool."""
    return joined(sequence, topic, key, [b"", *payload])


def joined(sequence: int, topic: bytes, key: bytes, pieces: list[bytes]) -> bytes:
    """A record as it lies in a spool, of the pieces of its payload behind a first one, which is overwritten."""
    pieces[0] = _pack_body(sequence, len(topic), len(key)) + topic + key
    body = b"".join(pieces)
    return _pack_head(MAGIC, len(body), crc32(body)) + body


def parse(buffer: bytes, start: int = 0, *, final: bool = False) -> Iterator[Framed | Damage]:
    """Records of a buffer in order, and damage between them.

    A record that the buffer's end cuts off ends the iteration, or is damage when `final` says that no more bytes will come.

    Examples
    --------
    >>> one = framed(1, b"t", b"k", b"payload")
    >>> [type(found).__name__ for found in parse(b"??" + one + one[:-1], final=True)]
    ['Damage', 'Framed', 'Damage']
    """
    size = len(buffer)
    whole = size - HEAD_BYTES - BODY_BYTES
    while start + HEAD_BYTES <= size:
        # A record's two heads in one: nearly always a whole one is there.
        if start <= whole:
            magic, length, crc, sequence, topic, key = _unpack(buffer, start)
            body = start + HEAD_BYTES
            end = body + length
            if end <= size and magic == MAGIC and length >= BODY_BYTES and crc32(buffer[body:end]) == crc:
                body += BODY_BYTES
                topic += body
                key += topic
                told = buffer[body:topic]
                name = _topics.get(told) or _topics.setdefault(told, told.decode())
                yield _record(Framed, (sequence, name, buffer[topic:key], buffer[key:end], end))
                start = end
                continue
        magic, length, _ = _unpack_head(buffer, start)
        if (
            magic == MAGIC
            and length >= BODY_BYTES
            and start + HEAD_BYTES + length > size
            and not final
            and length < 1 << 20
        ):
            return
        found = _next(buffer, start + 1, final)
        if found is None:
            if not final:
                return
            break
        yield Damage(start, found, True)
        start = found
    if final and start < size:
        yield Damage(start, size, start + HEAD_BYTES <= size and _complete(buffer, start, size))


def _next(buffer: bytes, start: int, final: bool) -> int | None:
    """Where the next record that holds begins; None when there is none."""
    while (start := buffer.find(MAGIC, start)) >= 0:
        if start + HEAD_BYTES > len(buffer):
            return None
        _, length, crc = _unpack_head(buffer, start)
        end = start + HEAD_BYTES + length
        if end <= len(buffer) and crc32(buffer[start + HEAD_BYTES : end]) == crc:
            return start
        start += 1
    return None


def _complete(buffer: bytes, start: int, size: int) -> bool:
    """Whether the last bytes were once a whole record: a torn one is shorter than it says."""
    _, length, _ = _unpack_head(buffer, start)
    return bool(start + HEAD_BYTES + length <= size)
