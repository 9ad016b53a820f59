"""A request as a statement.

In: a request's address, headers and body, as ClickHouse's HTTP interface takes them.
Out: a statement; what it reads from the body lies in files.
Never: the data of an INSERT or of an external table in memory; a part of a body taken for the whole.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl
from uuid import uuid4

from aiohttp import BodyPartReader, web

from infra.embedded.gateway_blocks import BlockUnpacker
from infra.embedded.gateway_compression import Chain, inflaters
from infra.embedded.gateway_errors import GatewayError
from infra.embedded.gateway_external import describes, external_table
from infra.embedded.gateway_sessions import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S
from infra.embedded.gateway_statement import BodySplitter, Statement

_PIECE = 256 * 1024
_FIELD_BYTES = 16 * 1024 * 1024
_MIN_PROGRESS_MS = 20
#: Options that are no settings of the engine: they concern the way between client and gateway.
_TRANSPORT = frozenset(
    {"query", "database", "session_id", "session_timeout", "session_check", "query_id", "quota_key", "compress"}
    | {"decompress", "buffer_size", "wait_end_of_query", "client_protocol_version", "role", "default_format", "user"}
    | {"password", "enable_http_compression", "http_zlib_compression_level", "send_progress_in_http_headers"}
    | {"http_headers_progress_interval_ms", "http_write_exception_in_output_format", "stacktrace", "close_session"}
    | {"cancel_http_readonly_queries_on_client_close", "add_http_cors_header", "http_response_buffer_size"}
)


class Options:
    """What a client said in the address, a form and headers, in this order of precedence."""

    def __init__(self, request: web.Request) -> None:
        # Read here and not by the server's library, which leaves bytes that are not UTF-8 in their percent form.
        pairs = parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True, errors="surrogateescape")
        self.values = dict(pairs)
        self.roles = tuple(value for name, value in pairs if name == "role")
        self._headers = request.headers

    def take(self, name: str) -> str:
        """Return an option's value, empty where it is not given."""
        return self.values.get(name, "")

    def flag(self, name: str) -> bool:
        """Whether an option is switched on."""
        return self.take(name).lower() in {"1", "true"}

    def number(self, name: str, default: int) -> int:
        """Return an option that is a whole number.

        Raises
        ------
        GatewayError
            When it is none.
        """
        value = self.take(name)
        if not value:
            return default
        if not value.isdigit():
            raise GatewayError(72, "CANNOT_PARSE_NUMBER", f"{name} is a whole number, not {value!r}.")
        return int(value)

    def default_format(self) -> str:
        """Return the format of answers whose statement names none."""
        return self.take("default_format") or self.header("Format") or "TabSeparated"

    def header(self, name: str) -> str:
        """Return the header `X-ClickHouse-…` of that name, empty where it is not given."""
        return self._headers.get(f"X-ClickHouse-{name}", "")


async def read_statement(
    request: web.Request, options: Options, *, user: str, query_id: str, folder: Path
) -> Statement:
    """Read the body and return the statement.

    Parameters
    ----------
    folder
        Takes the data of the body; whoever runs the statement deletes them.

    Raises
    ------
    GatewayError
        For a request that ClickHouse does not understand either.
    """
    files: dict[str, Path] = {}
    data: Path | None = None
    try:
        if request.content_type == "multipart/form-data":
            await _read_form(request, options, files, folder)
            sql = options.take("query").strip()
        else:
            sql, data = await _read_body(request, options, folder)
        statement = _statement(options, sql, data, files, user=user, query_id=query_id)
        return replace(statement, reading=request.method != "POST")
    except BaseException:
        for path in filter(None, (data, *files.values())):
            path.unlink(missing_ok=True)
        raise


async def _read_body(request: web.Request, options: Options, folder: Path) -> tuple[str, Path | None]:
    layers = inflaters(request.headers.get("Content-Encoding", ""))
    if options.flag("decompress"):
        layers.append(BlockUnpacker())
    chain = Chain(*layers)
    splitter = BodySplitter(options.take("query"), folder)
    try:
        async for piece in request.content.iter_chunked(_PIECE):
            await asyncio.to_thread(_feed, splitter, chain, piece)
        chain.finish()
        return splitter.finish()
    except BaseException:
        splitter.discard()
        raise


def _feed(splitter: BodySplitter, chain: Chain, piece: bytes) -> None:
    splitter.feed(chain.feed(piece))


async def _read_form(request: web.Request, options: Options, files: dict[str, Path], folder: Path) -> None:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise GatewayError(48, "NOT_IMPLEMENTED", "A form with a content encoding is not supported.")
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader) or not part.name:
                _malformed("a part has no name")
            if part.filename is None:
                options.values.setdefault(part.name, await _field(part))
            else:
                files[part.name] = folder / uuid4().hex
                await _save(part, files[part.name])
    except (ValueError, AssertionError) as error:
        _malformed(str(error))


async def _field(part: BodyPartReader) -> str:
    value = bytearray()
    while piece := await part.read_chunk():
        value += piece
        if len(value) > _FIELD_BYTES:
            _malformed(f"field {part.name} is longer than {_FIELD_BYTES} bytes")
    return value.decode(errors="surrogateescape")


async def _save(part: BodyPartReader, path: Path) -> None:
    with path.open("xb") as file:
        while piece := await part.read_chunk(_PIECE):
            await asyncio.to_thread(file.write, piece)


def _malformed(reason: str) -> NoReturn:
    raise GatewayError(36, "BAD_ARGUMENTS", f"The form cannot be read: {reason}.")


def _statement(
    options: Options, sql: str, data: Path | None, files: Mapping[str, Path], *, user: str, query_id: str
) -> Statement:
    values = {name: value for name, value in options.values.items() if not describes(name, files)}
    for name, value in values.items():
        if name != "query" and any("\ud800" <= letter <= "\udfff" for letter in name + value):
            raise GatewayError(36, "BAD_ARGUMENTS", f"The value of {name!a} is not UTF-8.")
    settings = {n: v for n, v in values.items() if n not in _TRANSPORT and not n.startswith("param_")}
    parameters = {n.removeprefix("param_"): v for n, v in values.items() if n.startswith("param_")}
    return Statement(
        sql=sql,
        data=data,
        user=user,
        query_id=query_id,
        database=options.take("database") or options.header("Database") or None,
        session=options.take("session_id") or None,
        session_timeout_s=_session_timeout(options),
        session_check=options.flag("session_check"),
        roles=options.roles,
        default_format=options.default_format(),
        wait_end=options.flag("wait_end_of_query"),
        protocol_version=options.number("client_protocol_version", 0),
        progress_ms=_progress_interval(options),
        buffer_bytes=options.number("buffer_size", Statement.buffer_bytes),
        external=tuple(external_table(name, path, options.values) for name, path in files.items()),
        settings=settings,
        parameters=parameters,
    )


def _session_timeout(options: Options) -> int:
    seconds = options.number("session_timeout", DEFAULT_TIMEOUT_S)
    if seconds > MAX_TIMEOUT_S:
        raise GatewayError(374, "INVALID_SESSION_TIMEOUT", f"A session lives at most {MAX_TIMEOUT_S} seconds.")
    return seconds


def _progress_interval(options: Options) -> int:
    """Return milliseconds between two progress headers, 0 for none."""
    if not options.flag("send_progress_in_http_headers"):
        return 0
    return max(_MIN_PROGRESS_MS, options.number("http_headers_progress_interval_ms", 100))
