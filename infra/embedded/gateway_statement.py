"""One request as a statement for the engine.

In: the pieces of a request's body, and the query parameter.
Out: SQL text; the data of an INSERT in a file.
Never: the data of an INSERT in memory.
"""

import re
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from infra.embedded.gateway_errors import GatewayError

if TYPE_CHECKING:
    from infra.embedded.gateway_external import ExternalTable

_BLANK = rb"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_INSERT = re.compile(
    _BLANK
    + rb"INSERT\s+(?:INTO\s+)?(?P<target>.+?)(?P<settings>\s+SETTINGS\s+\w+\s*=.+?)?"
    + rb"\s+FORMAT\s+(?P<format>\w+)[ \t;]*(?:\r?\n|\s|$)",
    re.IGNORECASE | re.DOTALL,
)
_IS_INSERT = re.compile(_BLANK + rb"INSERT\s", re.IGNORECASE | re.DOTALL)
_EMPTY_VALUES = re.compile(
    _BLANK + rb"INSERT\s+(?:INTO\s+)?(?P<target>.+?)(?P<settings>\s+SETTINGS\s+\w+\s*=.+?)?\s+VALUES[\s;]*$",
    re.IGNORECASE | re.DOTALL,
)
_INPUT = re.compile(r"\binput\s*\(\s*('(?:[^'\\]|\\.|'')*')\s*\)", re.IGNORECASE | re.DOTALL)
_SELECT = re.compile(r"\b(?:SELECT|WITH)\b", re.IGNORECASE)
_INFILE = re.compile(r"\bFROM\s+INFILE\b", re.IGNORECASE)
_HEAD_BYTES = 256 * 1024
_SQL_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Statement:
    """SQL, the file of an INSERT's data, and who runs it how."""

    sql: str
    data: Path | None = None
    user: str = "default"
    database: str | None = None
    query_id: str = ""
    session: str | None = None
    session_timeout_s: int = 60
    session_check: bool = False
    roles: tuple[str, ...] = ()
    default_format: str = "TabSeparated"
    wait_end: bool = False
    protocol_version: int = 0
    progress_ms: int = 0
    buffer_bytes: int = 1024 * 1024
    external: tuple["ExternalTable", ...] = ()
    reading: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)


class BodySplitter:
    """Divides a body into SQL and the data that follow `FORMAT name` of an INSERT."""

    def __init__(self, query: str, folder: Path) -> None:
        self._folder = folder
        self._query = encoded(query)
        self._head = bytearray(self._query + b"\n" if self._query else b"")
        self._match: re.Match[bytes] | None = None
        self._file: BinaryIO | None = None
        self._written = 0
        if self._query:
            self._match = _INSERT.match(self._query)
            if self._match:
                self._open(b"")

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the (inflated) body."""
        if self._file is not None:
            self._written += self._file.write(piece)
            return
        self._head += piece
        if not self._query and len(self._head) <= _HEAD_BYTES + len(piece) and _IS_INSERT.match(self._head):
            found = _INSERT.match(self._head)
            if found and found.end() < len(self._head):
                self._match = found
                self._open(bytes(self._head[found.end() :]))
        elif len(self._head) > _SQL_BYTES:
            raise GatewayError(62, "SYNTAX_ERROR", f"The query is longer than {_SQL_BYTES} bytes.")

    def finish(self) -> tuple[str, Path | None]:
        """Return the SQL to run and the file that it reads, which the caller deletes.

        An INSERT without data inserts no row, as on a server; the engine itself would call that an error.
        """
        if self._file is None or self._match is None:
            head = bytes(self._head)
            self._match = _INSERT.fullmatch(head.strip()) or _EMPTY_VALUES.fullmatch(head.strip())
            if self._match is None:
                return text(head).strip(), None
            self._open(b"")
        assert self._file is not None
        path = Path(self._file.name)
        self._file.close()
        parts = {name: text(value or b"") for name, value in self._match.groupdict().items()}
        if not self._written and _SELECT.search(parts["target"]) and not _INPUT.search(parts["target"]):
            path.unlink()
            return text(bytes(self._head)).strip(), None
        # Of no rows every format is empty, but some name that an error.
        data_format = parts["format"] if self._written else "TabSeparated"
        return _with_file(parts["target"], parts["settings"], data_format, path), path

    def discard(self) -> None:
        """Delete the file of a request that failed before it ran."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)

    def _open(self, first: bytes) -> None:
        self._file = (self._folder / uuid.uuid4().hex).open("xb")
        self._written = self._file.write(first)


def _with_file(target: str, settings: str, data_format: str, path: Path) -> str:
    """Let the engine read the data from a file, by whichever way the statement allows."""
    if _INFILE.search(target):
        raise GatewayError(62, "SYNTAX_ERROR", "An INSERT takes its data from the request, not from INFILE.")
    if _SELECT.search(target):
        source = f"file({quote(str(path))}, {data_format}, "
        sql, count = _INPUT.subn(lambda found: f"{source}{found.group(1)})", target)
        if count != 1:
            raise GatewayError(62, "SYNTAX_ERROR", "INSERT SELECT with data reads them by input('structure'), once.")
        return f"INSERT INTO {sql}{settings}"
    return f"INSERT INTO {target} FROM INFILE {quote(str(path))}{settings} FORMAT {data_format}"


def text(sql: bytes) -> str:
    """Return SQL as text; bytes that are not UTF-8 come through to the engine unchanged."""
    return sql.decode(errors="surrogateescape")


def encoded(sql: str) -> bytes:
    """Return the bytes that `text` was given."""
    return sql.encode(errors="surrogateescape")


def quote(value: str) -> str:
    """Return the value as an SQL literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
