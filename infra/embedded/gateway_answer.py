"""An answer on its way to the client.

In: progress, a head and blocks from the engine's thread.
Out: an HTTP response as ClickHouse gives it.
Never: an error without its code: before the first block it has a status, within the stream a mark that no data can hold.
"""

import asyncio
import uuid
from collections.abc import Mapping

from aiohttp import web

from infra.embedded.gateway_blocks import BlockPacker
from infra.embedded.gateway_compression import Deflater, Stacked, accepted_encoding, deflater
from infra.embedded.gateway_errors import describe
from infra.embedded.gateway_request import Options
from infra.embedded.gateway_work import Answer, Head, Item, Progress

_PROGRESS = "X-ClickHouse-Progress"
_TEXT = "text/plain; charset=UTF-8"


class _Response(web.StreamResponse):
    """A response whose first headers, those of progress, may be sent long before the rest."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []

    async def add_progress(self, request: web.Request, text: str) -> None:
        """Send one more header of progress now."""
        lines = [] if self._lines else ["HTTP/1.1 200 OK"]
        self._lines = [*lines, f"{_PROGRESS}: {text}"]
        if request.transport is not None:
            request.transport.write("".join(f"{line}\r\n" for line in self._lines).encode())

    @property
    def started(self) -> bool:
        """Whether the status is sent, which is 200 then."""
        return bool(self._lines)

    async def _write_headers(self) -> None:
        if not self.started:
            await super()._write_headers()
            return
        assert self._payload_writer is not None
        # The last line of progress, once more, stands where the status line would.
        await self._payload_writer.write_headers(self._lines[-1], self._headers)


def failure(error: BaseException, headers: Mapping[str, str], encoding: str | None = None) -> web.Response:
    """Return the answer to a request that failed before its first block, in the encoding that the client asked for."""
    code, status, text = describe(error)
    pack = deflater(encoding)
    body = pack.feed(f"{text}\n".encode()) + pack.finish()
    own = {"Content-Type": _TEXT, "X-ClickHouse-Exception-Code": str(code)}
    if encoding:
        own["Content-Encoding"] = encoding
    return web.Response(status=status, body=body, headers={**headers, **own})


def asked_encoding(request: web.Request, options: Options) -> str | None:
    """Return the content encoding for an answer; compression is something that a client asks for."""
    if not options.flag("enable_http_compression"):
        return None
    return accepted_encoding(request.headers.get("Accept-Encoding", ""))


async def send(
    request: web.Request, options: Options, answer: Answer, headers: dict[str, str], types: Mapping[str, str]
) -> web.StreamResponse:
    """Stream the answer; `types` are the formats' media types."""
    response = _Response()
    try:
        head: Item | None = await answer.get()
        while isinstance(head, Progress):
            await response.add_progress(request, head.text)
            head = await answer.get()
        item = await answer.get()
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception as error:  # whatever the engine raised is the client's to know
        if not response.started:
            return failure(error, headers, asked_encoding(request, options))
        return await _late_failure(request, response, error, headers)
    if isinstance(head, Head):
        headers["X-ClickHouse-Summary"] = head.summary
        headers["Content-Type"] = types.get(head.format or options.default_format(), _TEXT)
        if head.format:
            headers["X-ClickHouse-Format"] = head.format
    pack = _pack(request, options, headers)
    tag = headers["X-ClickHouse-Exception-Tag"] = uuid.uuid4().hex[:16]
    response.headers.update(headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    await _write(response, pack, answer, item, tag)
    return response


def _pack(request: web.Request, options: Options, headers: dict[str, str]) -> Deflater:
    """Return what compresses the answer."""
    encoding = asked_encoding(request, options)
    if encoding:
        headers["Content-Encoding"] = encoding
    outer = deflater(encoding)
    return Stacked(BlockPacker(), outer) if options.flag("compress") else outer


async def _write(response: web.StreamResponse, pack: Deflater, answer: Answer, item: Item | None, tag: str) -> None:
    try:
        while item is not None:
            if isinstance(item, bytes) and item and (packed := pack.feed(item)):
                await response.write(packed)
            item = await answer.get()
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception as error:  # as above; the status is sent already
        await response.write(pack.feed(_in_band(error, tag)))
    await response.write(pack.finish())
    await response.write_eof()


async def _late_failure(
    request: web.Request, response: _Response, error: BaseException, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Send an error whose status is sent already, as 200, because progress came before it."""
    code, _, text = describe(error)
    response.headers.update({**headers, "Content-Type": _TEXT, "X-ClickHouse-Exception-Code": str(code)})
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(f"{text}\n".encode())
    await response.write_eof()
    return response


def _in_band(error: BaseException, tag: str) -> bytes:
    text = describe(error)[2].encode()
    head, mark = tag.encode(), b"__exception__\r\n"
    return b"\r\n%s%s\r\n%s\n%d %s\r\n%s" % (mark, head, text, len(text) + 1, head, mark)
