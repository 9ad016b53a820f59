"""Files as numbered lines, plain or gzip, whatever their line ends and their Unicode encoding.

In: a path.
Out: (number, bytes in UTF-8 or in the file's code page) of each line.
Never: more than a few blocks in memory, no line of more than a mebibyte, and none that was cut called whole.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from infra.replay.charsets import Utf8Blocks
from infra.replay.content import Content, Damaged, content_digest, digest_of

__all__ = ["MAX_LINE_BYTES", "Line", "LineReader", "TooLong", "content_digest", "digest_of"]
MAX_LINE_BYTES = 1 << 20
#: A line's number and its text without the end, or why it cannot be read.
Line = tuple[int, bytes | ValueError]
_CUT: Final = "the file grew while it was read: this line was not whole yet"


class TooLong(ValueError):
    """A line of more than MAX_LINE_BYTES."""


class LineReader:
    """Iterates (line number from 1, line without its end); a line that is too long or unreadable is an error instead.

    A line ends with `\\n`, `\\r\\n` or `\\r`. The bytes are UTF-8 where the beginning of the file shows any Unicode encoding.
    """

    def __init__(self, path: Path) -> None:
        self.content = Content(path)
        self.size = self.content.size
        #: Lines that have been read, and among them those that are no row of their own, by what they are.
        self.lines = 0
        self.beside: Counter[str] = Counter()
        #: Why the file could not be read to its end, or all that was read is not sound.
        self.problem: str | None = None
        #: Encoding that the lines have when the file's beginning shows none; only a wide one matters here.
        self.told: str | None = None
        self.charset: str | None = None
        self.digest = ""

    @property
    def position(self) -> int:
        """Bytes of the file itself that were read so far."""
        return self.content.position

    def __iter__(self) -> Iterator[Line]:
        self.lines, self.problem = 0, None
        self.beside.clear()
        for line in self._split():
            self.lines += 1
            if isinstance(line, bytes):
                if len(line) > MAX_LINE_BYTES:
                    yield self.lines, TooLong(f"line longer than {MAX_LINE_BYTES} bytes")
                    continue
                if b"\x00" in line:
                    yield self.lines, ValueError("line with NUL bytes")
                    continue
            yield self.lines, line

    def _split(self) -> Iterator[bytes | ValueError]:
        """Lines of any length, the longest of them without their ends."""
        total, rest = hashlib.sha256(), b""
        blocks = Utf8Blocks(_counted(self.content.blocks(), total), self.told)
        try:
            for block in blocks:
                self.charset = blocks.charset
                *whole, rest = (rest + block).split(b"\n")
                for piece in whole:
                    yield from _at_returns(piece)
                if len(rest) > MAX_LINE_BYTES:
                    whole, rest = _shortened(rest)
                    yield from whole
        except Damaged as damage:
            self.problem = str(damage)
            *whole, _cut = _at_returns(rest)
            yield from whole
            yield damage
        else:
            if rest:
                *whole, last = _at_returns(rest)
                yield from whole
                if self.content.grew():
                    self.problem = _CUT
                    yield ValueError(_CUT)
                else:
                    yield last
        self.digest = total.hexdigest()


def _counted(blocks: Iterator[bytes], total: "hashlib._Hash") -> Iterator[bytes]:
    for block in blocks:
        total.update(block)
        yield block


def _at_returns(piece: bytes) -> list[bytes]:
    """The lines of what stands before a line feed; one, unless carriage returns alone end lines."""
    piece = piece.rstrip(b"\r")
    return piece.split(b"\r") if b"\r" in piece else [piece]


def _shortened(rest: bytes) -> tuple[list[bytes], bytes]:
    """(whole lines of a long beginning of a line, what is kept of the last): enough to see that it is too long."""
    core = rest.rstrip(b"\r")
    *whole, last = core.split(b"\r")
    end = rest[len(core) :][:1]
    return whole, last[: MAX_LINE_BYTES + 1] + end
