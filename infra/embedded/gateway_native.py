"""Blocks of ClickHouse's Native format in the version that a client asks for.

In: blocks as the embedded engine writes them, which is the protocol's first version.
Out: blocks of the version `client_protocol_version`.
Never: a change of a value: only the block's head and the columns' heads differ.
"""

from collections.abc import Sequence

from infra.embedded.gateway_native_types import Cursor, pass_column

#: Versions from which a block has a head, a DateTime its zone, and a column the mark of its own serialisation.
_HEADED = 1
_ZONES = 54_337
_MARKED = 54_454
_BUCKETS = 54_480
#: Field 1, not of overflowing rows; field 2, no bucket's number; the end. Later versions have a list as field 3.
_BLOCK_HEAD = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_BLOCK_HEAD_BUCKETS = b"\x01\x00\x02\xff\xff\xff\xff\x03\x00\x00"
_BARE = b"DateTime"


class NativeVersion:
    """Rewrites blocks for a client's version of the protocol.

    Parameters
    ----------
    version
        What the client sent as `client_protocol_version`; 0 leaves blocks as they are.
    types
        The columns' types in order where they are known: the first version leaves out the zone of a DateTime.
    """

    def __init__(self, version: int, types: Sequence[str] = ()) -> None:
        self._version = version
        self._zones = {
            index: name.encode()
            for index, name in enumerate(types)
            if version >= _ZONES and name.startswith("DateTime(")
        }

    def rewrite(self, blocks: bytes, *, single: bool = False) -> bytes:
        """Return the blocks in the client's version; `single` tells that it is one block, whose columns need no look."""
        if self._version < _HEADED or not blocks:
            return blocks
        head = _BLOCK_HEAD_BUCKETS if self._version >= _BUCKETS else _BLOCK_HEAD
        if single and not self._zones and self._version < _MARKED:
            return head + blocks
        out = bytearray()
        cursor = Cursor(blocks)
        while cursor.at < len(blocks):
            out += head
            self._block(cursor, out, last=single)
        return bytes(out)

    def _block(self, cursor: Cursor, out: bytearray, *, last: bool) -> None:
        start = cursor.at
        columns, rows = cursor.varint(), cursor.varint()
        out += cursor.data[start : cursor.at]
        for index in range(columns):
            start = cursor.at
            cursor.text()
            out += cursor.data[start : cursor.at]
            kind = cursor.text()
            shown = self._zones.get(index, kind) if kind == _BARE else kind
            out += _varint(len(shown)) + shown
            if self._version >= _MARKED:
                out.append(0)
            start = cursor.at
            if last and index == columns - 1:
                cursor.at = len(cursor.data)
            else:
                pass_column(cursor, kind.decode(), rows)
            out += memoryview(cursor.data)[start : cursor.at]


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
