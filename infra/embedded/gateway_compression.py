"""Content encodings of requests and answers, piece by piece.

In: bytes as they come.
Out: the same, inflated or deflated.
Never: a whole body in memory, nor a part of one taken for the whole.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol, cast

import lz4.frame
import zstandard

from infra.embedded.gateway_errors import GatewayError

#: Encodings of answers, the preferred one first.
ENCODINGS = ("zstd", "lz4", "gzip", "deflate")


class Deflater(Protocol):
    """Compresses a stream."""

    def feed(self, piece: bytes) -> bytes:
        """Take a piece and return what is ready."""

    def finish(self) -> bytes:
        """Return the rest."""


class Inflater(Protocol):
    """Inflates a stream."""

    def feed(self, piece: bytes) -> bytes:
        """Take a piece and return what it holds."""

    def finish(self) -> None:
        """Raise GatewayError when the stream ended within a member."""


class _Codec(Protocol):
    """One member of a stream; bytes behind its end are `unused_data`."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, piece: bytes, /) -> bytes: ...


class _Zlib:
    """A zlib stream, or a bare deflate stream, which many clients call `deflate` as well."""

    def __init__(self) -> None:
        self._codec: zlib._Decompress | None = None
        self._first = b""

    @property
    def eof(self) -> bool:
        return self._codec is not None and self._codec.eof

    @property
    def unused_data(self) -> bytes:
        return self._codec.unused_data if self._codec is not None else b""

    def decompress(self, piece: bytes, /) -> bytes:
        if self._codec is None:
            self._first += piece
            if len(self._first) < 2:
                return b""
            # A zlib head names method 8, and its two bytes are a multiple of 31.
            headed = self._first[0] & 0x0F == 8 and int.from_bytes(self._first[:2], "big") % 31 == 0
            self._codec, piece = zlib.decompressobj(15 if headed else -15), self._first
        return self._codec.decompress(piece)


_CODECS: Mapping[str, Callable[[], _Codec]] = {
    "gzip": lambda: cast("_Codec", zlib.decompressobj(31)),
    "x-gzip": lambda: cast("_Codec", zlib.decompressobj(31)),
    "deflate": _Zlib,
    "zstd": lambda: cast("_Codec", zstandard.ZstdDecompressor().decompressobj()),
    "lz4": lambda: cast("_Codec", lz4.frame.LZ4FrameDecompressor()),
    "xz": lambda: cast("_Codec", lzma.LZMADecompressor()),
    "bz2": lambda: cast("_Codec", bz2.BZ2Decompressor()),
}
_DAMAGED = (zlib.error, zstandard.ZstdError, lzma.LZMAError, RuntimeError, OSError, EOFError)


class _Members:
    """Inflates one encoding, whose stream may have several members one after another."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._codec: _Codec | None = None

    def feed(self, piece: bytes) -> bytes:
        out = bytearray()
        try:
            while piece:
                if self._codec is None:
                    self._codec = _CODECS[self._encoding]()
                out += self._codec.decompress(piece)
                if not self._codec.eof:
                    break
                piece, self._codec = self._codec.unused_data or b"", None
        except _DAMAGED as error:
            raise GatewayError(271, "CANNOT_DECOMPRESS", f"The body is no {self._encoding}: {error}.") from error
        return bytes(out)

    def finish(self) -> None:
        if self._codec is not None:
            raise GatewayError(271, "CANNOT_DECOMPRESS", f"The body ends within its {self._encoding} stream.")


class Chain:
    """Inflates one layer after another, the outermost first."""

    def __init__(self, *layers: Inflater) -> None:
        self._layers = layers

    def feed(self, piece: bytes) -> bytes:
        """Take a piece and return what it holds."""
        for layer in self._layers:
            piece = layer.feed(piece)
        return piece

    def finish(self) -> None:
        """Raise GatewayError when the stream ended within a member of any layer."""
        for layer in self._layers:
            layer.finish()


def inflaters(content_encoding: str) -> list[Inflater]:
    """Return the layers of a `Content-Encoding` header, the outermost first.

    Raises
    ------
    GatewayError
        For an encoding that is not supported.
    """
    names = [name for name in _names(content_encoding) if name != "identity"]
    for name in names:
        if name not in _CODECS:
            raise GatewayError(89, "UNKNOWN_COMPRESSION_METHOD", f"Content encoding {name} is not supported.")
    return [_Members(name) for name in reversed(names)]


def accepted_encoding(accept_encoding: str) -> str | None:
    """Return the encoding for an answer, None for none.

    >>> accepted_encoding("gzip;q=0.5, br, zstd;q=0"), accepted_encoding("br"), accepted_encoding("lz4, gzip")
    ('gzip', None, 'lz4')
    """
    weights: dict[str, float] = {}
    for part in accept_encoding.split(","):
        name, *parameters = (word.strip().lower() for word in part.split(";"))
        weights[name.removeprefix("x-")] = _weight(parameters)
    rest = weights.get("*", 0.0)
    best = max(ENCODINGS, key=lambda name: weights.get(name, rest))
    weight = weights.get(best, rest)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter.removeprefix("q="))
            except ValueError:
                return 0.0
    return 1.0


def _names(header: str) -> list[str]:
    return [name for part in header.split(",") if (name := part.strip().lower())]


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


class Stacked:
    """Deflates by an inner and an outer compressor."""

    def __init__(self, inner: Deflater, outer: Deflater) -> None:
        self._inner = inner
        self._outer = outer

    def feed(self, piece: bytes) -> bytes:
        """Take a piece and return what is ready."""
        return self._outer.feed(self._inner.feed(piece))

    def finish(self) -> bytes:
        """Return the rest."""
        return self._outer.feed(self._inner.finish()) + self._outer.finish()


def deflater(encoding: str | None) -> Deflater:
    """Return the compressor of an encoding; None passes bytes through."""
    match encoding:
        case "zstd":
            return _Compressor(zstandard.ZstdCompressor(level=1).compressobj())
        case "lz4":
            return _Lz4()
        case "gzip":
            return _Compressor(zlib.compressobj(6, zlib.DEFLATED, 31))
        case "deflate":
            return _Compressor(zlib.compressobj(6, zlib.DEFLATED, 15))
    return _Plain()
