"""A body without its Content-Encoding, within limits that hold while it is read.

In: headers, bytes.
Out: bytes, or Problem.
Never: more memory than the limits, whatever a body claims to be; a part of a body, its first member for example, for the whole.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

import zstandard

from footlights.collector.problems import Problem

MAX_DECODED_BYTES, MAX_RATIO = 10 << 20, 100
#: What a decoder is given at once: what it makes of that is in memory before it is counted, zstd 128 KiB of four bytes; and what
#: stands behind a member is copied.
_PIECE_BYTES: Final = 256
#: Members of a body; whoever flushes each of 1,000 events on its own has fewer.
_MAX_MEMBERS: Final = 10_000


class _Machine(Protocol):
    """Decodes one member."""

    @property
    def eof(self) -> bool:
        """Whether the member is whole."""

    @property
    def unused_data(self) -> bytes:
        """What stands behind it."""

    def decompress(self, data: bytes, /) -> bytes:
        """Decode a piece of it."""


def decoded(headers: Mapping[str, str], body: bytes) -> bytes:
    """The body without its Content-Encoding.

    Raises
    ------
    Problem
        415 for an encoding that is unknown or not alone, 400 for a corrupt one, 413 past 10 MiB or 100:1.
    """
    told = headers.get("content-encoding")
    if told is None:
        return body
    encodings = [name for one in told.split(",") if (name := one.strip().lower()) not in ("identity", "")]
    if not encodings:
        return body
    read = _ENCODINGS.get(encodings[0]) if len(encodings) == 1 else None
    if read is None:
        raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Encoding may be gzip, deflate or zstd, one of them")
    limit = min(MAX_DECODED_BYTES, MAX_RATIO * max(len(body), 1_024))
    out, size = [], 0
    try:
        for piece in read(body):
            out.append(piece)
            size += len(piece)
            if size > limit:
                raise Problem(413, "DECOMPRESSED_TOO_LARGE", "the body decompresses past 10 MiB or 100:1")
    except (zlib.error, zstandard.ZstdError, EOFError) as problem:
        raise Problem(400, "BAD_ENCODING", f"the body is no {encodings[0]}") from problem
    return b"".join(out)


def _members(body: bytes, machine_of: Callable[[], _Machine], most: int) -> Iterator[bytes]:
    """What one or several members hold, one behind the other; EOFError when the last is cut off, or something else follows."""
    at = 0
    for _ in range(most):
        machine = machine_of()
        while not machine.eof:
            if not (piece := body[at : at + _PIECE_BYTES]):
                raise EOFError
            at += len(piece)
            yield machine.decompress(piece)
        at -= len(machine.unused_data)
        if at == len(body):
            return
    raise EOFError


def _gzip(body: bytes) -> Iterator[bytes]:
    return _members(body, lambda: zlib.decompressobj(31), _MAX_MEMBERS)


def _deflate(body: bytes) -> Iterator[bytes]:
    """As the standard has it, in zlib's wrapping, or bare, as some clients send it: only the first has such a head."""
    wrapped = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return _members(body, lambda: zlib.decompressobj(15 if wrapped else -15), 1)


def _zstd(body: bytes) -> Iterator[bytes]:
    """Frames; skippable ones hold nothing."""
    return _members(body, zstandard.ZstdDecompressor(max_window_size=1 << 23).decompressobj, _MAX_MEMBERS)


_ENCODINGS: Final[dict[str, Callable[[bytes], Iterator[bytes]]]] = {
    "gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate, "zstd": _zstd,
}  # fmt: skip
