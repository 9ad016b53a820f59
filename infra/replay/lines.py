"""Files as numbered lines, plain or gzip, with a digest of their content.

In: a path.
Out: (number, bytes) of each line; SHA-256 of the uncompressed content.
Never: more than one line in memory, and no line of more than a mebibyte.
"""

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

MAX_LINE_BYTES = 1 << 20
_BLOCK = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
#: What a damaged compressed file raises while it is read.
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)


class TooLong(ValueError):
    """A line of more than MAX_LINE_BYTES."""


def is_gzip(path: Path) -> bool:
    """Whether the file is gzip by its first bytes, whatever its name."""
    with path.open("rb") as raw:
        return raw.read(2) == GZIP_MAGIC


def content_digest(path: Path, progress: Callable[[int], None] = lambda _: None) -> str:
    """SHA-256 of the uncompressed content, so that a log and its `.gz` are the same input.

    A damaged end of a compressed file ends the content. `progress` gets the bytes of the file itself read so far.
    """
    total = hashlib.sha256()
    with path.open("rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if is_gzip(path) else raw
        try:
            while block := stream.read(_BLOCK):
                total.update(block)
                progress(raw.tell())
        except DAMAGED:
            pass
    return total.hexdigest()


class LineReader:
    """Iterates (line number from 1, line without its end); a line that is too long or unreadable is an error instead."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._gzip = is_gzip(path)
        self.size = path.stat().st_size
        self.position = 0

    def __iter__(self) -> Iterator[tuple[int, bytes | ValueError]]:
        with self._path.open("rb") as raw:
            stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if self._gzip else raw  # type: ignore[assignment]
            number = 0
            while True:
                number += 1
                try:
                    line = _next_line(stream)
                except TooLong as error:
                    yield number, error
                    continue
                except DAMAGED:
                    yield number, ValueError("the compressed file is damaged from here on")
                    return
                if line is None:
                    return
                self.position = raw.tell()
                yield number, line


def _next_line(stream: IO[bytes]) -> bytes | None:
    line = stream.readline(MAX_LINE_BYTES + 1)
    if not line:
        return None
    if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
        while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
            pass
        raise TooLong(f"line longer than {MAX_LINE_BYTES} bytes")
    return line.rstrip(b"\r\n")
