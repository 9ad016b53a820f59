"""The content of a file: unpacked where it is gzip, as far as it can be read.

In: a path.
Out: blocks of the uncompressed content; SHA-256 of it.
Never: a byte that was written after the reading began, or more than a few blocks in memory.
"""

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_BLOCK: Final = 1 << 18
_GZIP: Final = b"\x1f\x8b"
#: What a gzip member is read with: 16 for its head and checksum, 15 for the largest window.
_GZIP_WINDOW: Final = 16 + 15
#: How zlib names a content that can be read and is not what was packed.
_CHECKSUM: Final = "incorrect data check"
#: First bytes of files that hold no lines, and what they are.
_OTHERS: Final = {
    b"PK\x03\x04": "a ZIP archive or a workbook",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old workbook of Excel",
    b"\xfd7zXZ\x00": "packed with xz",
    b"BZh": "packed with bzip2",
    b"\x28\xb5\x2f\xfd": "packed with zstd",
    b"7z\xbc\xaf\x27\x1c": "packed with 7-Zip",
    b"PAR1": "a Parquet file",
    b"%PDF-": "a PDF",
    b"SQLite format 3\x00": "an SQLite database",
    _GZIP: "packed twice",
}


class Unsuitable(ValueError):
    """The file holds no lines that could be replayed; the text says what it is."""


class Damaged(ValueError):
    """The content cannot be read any further."""


class Content:
    """A file as it was when it was opened first: `size` bytes of it, packed or not."""

    def __init__(self, path: Path) -> None:
        """Look at the file.

        Raises
        ------
        Unsuitable
            When it is no regular file: it is read twice.
        OSError
            When it is not there.
        """
        self.path = path
        found = path.stat()
        self.size, self._place = found.st_size, (found.st_dev, found.st_ino)
        if not path.is_file():
            what = "a folder" if path.is_dir() else "no regular file"
            raise Unsuitable(f"{path} is {what}; name a file, which is read twice")
        #: Bytes of the file itself that were read so far.
        self.position = 0

    def blocks(self) -> Iterator[bytes]:
        """The uncompressed content from its beginning.

        Raises
        ------
        Damaged
            After all that can be read of a packed file that was cut or changed.
        Unsuitable
            When it holds no lines.
        """
        packed = self._packed()
        first = next(packed, b"")
        blocks = _unpacked(first, packed) if first.startswith(_GZIP) else _joined(first, packed)
        begun = False
        for block in blocks:
            if not begun:
                refuse_others(block)
                begun = True
            yield block

    def _packed(self) -> Iterator[bytes]:
        self.position = 0
        with self.path.open("rb") as raw:
            found = os.fstat(raw.fileno())
            if (found.st_dev, found.st_ino) != self._place:
                raise Unsuitable(f"{self.path} was replaced while it was read; repeat the command")
            while block := raw.read(min(_BLOCK, self.size - self.position)):
                self.position += len(block)
                yield block

    def grew(self) -> bool:
        """Whether the file is longer now than when it was opened."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._place and found.st_size > self.size


def content_digest(path: Path, progress: Callable[[int], None] = lambda _: None) -> str:
    """SHA-256 of the uncompressed content, so that a log and its `.gz` are the same input; see `digest_of`."""
    return digest_of(Content(path), progress)


def digest_of(content: Content, progress: Callable[[int], None] = lambda _: None) -> str:
    """SHA-256 of what can be read. `progress` gets the bytes of the file itself read so far."""
    total = hashlib.sha256()
    try:
        for block in content.blocks():
            total.update(block)
            progress(content.position)
    except Damaged:
        pass
    return total.hexdigest()


def refuse_others(head: bytes) -> None:
    """Raise Unsuitable when these are the first bytes of a file without lines."""
    for magic, what in _OTHERS.items():
        if head.startswith(magic):
            raise Unsuitable(f"the file is {what}; replay reads text, plain or packed with gzip")


def _joined(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _unpacked(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """The content of gzip members, one after another, with zeros between and after them as tape pads them."""
    member = zlib.decompressobj(_GZIP_WINDOW)
    for block in _joined(first, rest):
        packed = block
        while packed:
            if member.eof:
                packed = packed.lstrip(b"\x00")
                member = zlib.decompressobj(_GZIP_WINDOW)
                continue
            before = member.copy()
            try:
                found = member.decompress(packed, _BLOCK)
            except zlib.error as error:
                yield _until_damage(before, packed)
                what = (
                    "its checksum is that of other content"
                    if _CHECKSUM in str(error)
                    else "it cannot be read from here on"
                )
                raise Damaged(f"the packed file is damaged: {what}") from error
            if found:
                yield found
            packed = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof and (found := member.flush()):
        yield found
    if not member.eof:
        raise Damaged("the packed file is damaged: it is cut off here")


def _until_damage(member: "zlib._Decompress", packed: bytes) -> bytes:
    """All that comes before the byte that cannot be read."""
    found = bytearray()
    try:
        for place in range(len(packed)):
            found += member.decompress(packed[place : place + 1])
    except zlib.error:
        pass
    return bytes(found)
