"""ClickHouse's own compression of bodies: `compress=1` for answers, `decompress=1` for requests.

In: bytes, or blocks of a checksum, a method, two sizes, and the packed bytes.
Out: the other of the two.
Never: a block whose checksum does not fit.
"""

import struct

import lz4.block
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from infra.embedded.gateway_errors import GatewayError

_CHECKSUM_BYTES = 16
#: The method, the size of the packed bytes with this head, the size of the plain bytes.
_HEAD = struct.Struct("<BII")
_LZ4 = 0x82
_BLOCK_BYTES = 1024 * 1024
_MOST_BYTES = 1024 * 1024 * 1024


class BlockPacker:
    """Packs a stream into blocks by LZ4, which every client reads."""

    def feed(self, piece: bytes) -> bytes:
        """Take a piece and return its blocks."""
        starts = range(0, len(piece), _BLOCK_BYTES)
        return b"".join(_packed(piece[start : start + _BLOCK_BYTES]) for start in starts)

    def finish(self) -> bytes:
        """Return nothing: no byte waits."""
        return b""


class BlockUnpacker:
    """Unpacks a stream of blocks, by whichever methods they are packed."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> bytes:
        """Take a piece and return what its whole blocks hold.

        Raises
        ------
        GatewayError
            When a checksum, a size or a method is wrong.
        """
        self._rest += piece
        out = bytearray()
        while len(self._rest) >= _CHECKSUM_BYTES + _HEAD.size:
            method, packed, plain = _HEAD.unpack_from(self._rest, _CHECKSUM_BYTES)
            if packed < _HEAD.size or max(packed, plain) > _MOST_BYTES:
                raise GatewayError(271, "CANNOT_DECOMPRESS", "A compressed block names an impossible size.")
            if len(self._rest) < _CHECKSUM_BYTES + packed:
                break
            block = bytes(self._rest[: _CHECKSUM_BYTES + packed])
            del self._rest[: _CHECKSUM_BYTES + packed]
            out += _unpacked(block, method, plain)
        return bytes(out)

    def finish(self) -> None:
        """Raise GatewayError when the stream ended within a block."""
        if self._rest:
            raise GatewayError(271, "CANNOT_DECOMPRESS", "The body ends within a compressed block.")


def _packed(piece: bytes) -> bytes:
    packed = bytes(lz4.block.compress(piece, store_size=False))
    body = _HEAD.pack(_LZ4, len(packed) + _HEAD.size, len(piece)) + packed
    return _checksum(body) + body


def _unpacked(block: bytes, method: int, plain: int) -> bytes:
    body, data = block[_CHECKSUM_BYTES:], block[_CHECKSUM_BYTES + _HEAD.size :]
    if _checksum(body) != block[:_CHECKSUM_BYTES]:
        raise GatewayError(40, "CHECKSUM_DOESNT_MATCH", "The checksum of a compressed block does not match.")
    try:
        match method:
            case 0x82:  # LZ4
                out = bytes(lz4.block.decompress(data, uncompressed_size=plain))
            case 0x90:  # ZSTD
                out = bytes(zstandard.ZstdDecompressor().decompress(data, max_output_size=plain))
            case 0x02:  # not packed
                out = data
            case _:
                raise GatewayError(89, "UNKNOWN_COMPRESSION_METHOD", f"Compression method {method:#x} is unknown.")
    except (lz4.block.LZ4BlockError, zstandard.ZstdError) as error:
        raise GatewayError(271, "CANNOT_DECOMPRESS", f"A compressed block is damaged: {error}.") from error
    if len(out) != plain:
        raise GatewayError(271, "CANNOT_DECOMPRESS", "A compressed block holds another number of bytes than it names.")
    return out


def _checksum(body: bytes) -> bytes:
    value = int(CityHash128(body))
    # The upper half comes first.
    return struct.pack("<QQ", value >> 64, value & 0xFFFFFFFFFFFFFFFF)
