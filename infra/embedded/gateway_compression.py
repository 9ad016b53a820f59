"""Content encodings of requests and answers, piece by piece.

In: bytes as they come.
Out: the same, inflated or deflated.
Never: a whole body in memory.
"""

import zlib
from typing import Protocol, cast

import lz4.frame
import zstandard

_MAGIC = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4", b"\x1f\x8b": "gzip"}
ENCODINGS = ("zstd", "lz4", "gzip")


class Deflater(Protocol):
    """Compresses a stream."""

    def feed(self, piece: bytes) -> bytes:
        """Take a piece and return what is ready."""

    def finish(self) -> bytes:
        """Return the rest."""


class _Codec(Protocol):
    def decompress(self, piece: bytes, /) -> bytes: ...


class Inflater:
    """Inflates a request's body; what carries no magic of the announced encoding passes as it is.

    The HTTP server may have inflated some encodings before us, so the header alone proves nothing.
    """

    def __init__(self, encoding: str | None) -> None:
        self._encoding = encoding
        self._started = False
        self._codec: _Codec | None = None

    def feed(self, piece: bytes) -> bytes:
        """Take a piece and return what it holds."""
        if not self._started and piece:
            self._started = True
            if self._encoding and any(piece.startswith(m) and n == self._encoding for m, n in _MAGIC.items()):
                self._codec = _inflaters(self._encoding)
        return piece if self._codec is None else self._codec.decompress(piece)


def _inflaters(encoding: str) -> _Codec:
    if encoding == "zstd":
        return cast("_Codec", zstandard.ZstdDecompressor().decompressobj())
    return cast("_Codec", lz4.frame.LZ4FrameDecompressor() if encoding == "lz4" else zlib.decompressobj(31))


class _Plain:
    def feed(self, piece: bytes) -> bytes:
        return piece

    def finish(self) -> bytes:
        return b""


class _Compressor:
    def __init__(self, codec: "zstandard.ZstdCompressionObj | zlib._Compress") -> None:
        self._codec = codec

    def feed(self, piece: bytes) -> bytes:
        return self._codec.compress(piece)

    def finish(self) -> bytes:
        return self._codec.flush()


class _Lz4:
    def __init__(self) -> None:
        self._codec = lz4.frame.LZ4FrameCompressor()
        self._head = self._codec.begin()

    def feed(self, piece: bytes) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._codec.compress(piece))

    def finish(self) -> bytes:
        return bytes(self._head + self._codec.flush())


def deflater(encoding: str | None) -> Deflater:
    """Return the compressor of an encoding; None passes bytes through."""
    match encoding:
        case "zstd":
            return _Compressor(zstandard.ZstdCompressor(level=1).compressobj())
        case "lz4":
            return _Lz4()
        case "gzip":
            return _Compressor(zlib.compressobj(6, zlib.DEFLATED, 31))
    return _Plain()
