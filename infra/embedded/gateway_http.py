"""ClickHouse's HTTP protocol over the engine.

In: GET and POST requests as ClickHouse takes them.
Out: answers as ClickHouse gives them, streamed.
Never: a write by GET, as a page's image or link could send it, nor an answer to a page of another site.
"""

import asyncio
import base64
import binascii
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from infra.embedded.gateway_compression import ENCODINGS, Inflater, deflater
from infra.embedded.gateway_engine import Engine
from infra.embedded.gateway_errors import GatewayError, describe
from infra.embedded.gateway_statement import BodySplitter, Statement
from infra.embedded.gateway_users import USERS, WRITER, Users
from infra.embedded.gateway_work import Answer, Head, gives_rows, run
from infra.embedded.local_only import refuse_foreign

ENGINE = web.AppKey("engine", Engine)
ACCOUNTS = web.AppKey("accounts", Users)
THREADS = web.AppKey("threads", dict[str, ThreadPoolExecutor])
_PIECE = 256 * 1024
_TRANSPORT = frozenset(
    {"query", "database", "session_id", "session_timeout", "session_check", "query_id", "quota_key", "compress"}
    | {"decompress", "buffer_size", "wait_end_of_query", "client_protocol_version", "role", "default_format", "user"}
    | {"password", "enable_http_compression", "send_progress_in_http_headers", "http_headers_progress_interval_ms"}
    | {"http_write_exception_in_output_format", "cancel_http_readonly_queries_on_client_close"}
)


def make_app(engine: Engine, users: Users, *, threads: int = 16) -> web.Application:
    """Return the application; `threads` statements of each user run at a time, so that slow readers block no writer."""
    app = web.Application(middlewares=[refuse_foreign(_refusal)])
    app[ENGINE] = engine
    app[ACCOUNTS] = users
    app[THREADS] = {user: ThreadPoolExecutor(threads, thread_name_prefix=f"{user}-statement") for user in USERS}
    app.router.add_get("/ping", _ok)
    app.router.add_get("/replicas_status", _ok)
    app.router.add_get("/", _root)
    app.router.add_post("/", _root)
    app.on_cleanup.append(_close)
    return app


async def _close(app: web.Application) -> None:
    # The clients are gone by now; what still runs for them would only delay the end.
    await asyncio.to_thread(app[ENGINE].kill_all)
    for threads in app[THREADS].values():
        await asyncio.to_thread(threads.shutdown)
    await asyncio.to_thread(app[ENGINE].close)


def _refusal(reason: str) -> web.Response:
    return _failure(GatewayError(497, "ACCESS_DENIED", reason), {})


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


async def _root(request: web.Request) -> web.StreamResponse:
    if request.method in {"GET", "HEAD"} and not request.query_string:
        return await _ok(request)
    headers = {
        "X-ClickHouse-Query-Id": request.query.get("query_id") or str(uuid.uuid4()),
        "X-ClickHouse-Timezone": request.app[ENGINE].timezone,
        "X-ClickHouse-Server-Display-Name": "footlights",
        "Content-Type": "text/plain; charset=UTF-8",
    }
    try:
        statement = await _statement(request, _user(request), headers["X-ClickHouse-Query-Id"])
    except (GatewayError, OSError) as error:
        return _failure(error, headers)
    answer = Answer(asyncio.get_running_loop())
    try:
        request.app[THREADS][statement.user].submit(run, request.app[ENGINE], statement, answer)
        return await _send(request, answer, headers)
    finally:
        answer.abandon()
        # A reading statement whose client is gone only costs; a writing one runs on, since its sender may retry.
        if not answer.ended and statement.data is None and gives_rows(statement.sql):
            asyncio.get_running_loop().run_in_executor(None, request.app[ENGINE].kill, statement.query_id)


def _user(request: web.Request) -> str:
    name = request.headers.get("X-ClickHouse-User") or request.query.get("user") or "default"
    key = request.headers.get("X-ClickHouse-Key") or request.query.get("password", "")
    kind, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if kind == "Basic":
        try:
            name, _, key = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise GatewayError(516, "AUTHENTICATION_FAILED", "The Authorization header is not readable.") from error
    return request.app[ACCOUNTS].check(name or WRITER, key)


async def _statement(request: web.Request, user: str, query_id: str) -> Statement:
    options = dict(request.query)
    if request.content_type == "multipart/form-data":
        for name, value in (await request.post()).items():
            if not isinstance(value, str):
                raise GatewayError(48, "NOT_IMPLEMENTED", "External data are not supported.")
            options[name] = value
        sql, data = options.get("query", ""), None
    else:
        splitter = BodySplitter(options.get("query", ""), request.app[ENGINE].incoming)
        inflater = Inflater(request.headers.get("Content-Encoding"))
        try:
            async for piece in request.content.iter_chunked(_PIECE):
                await asyncio.to_thread(splitter.feed, inflater.feed(piece))
            sql, data = splitter.finish()
        except BaseException:
            splitter.discard()
            raise
    return Statement(
        sql=sql,
        data=data,
        user=user,
        query_id=query_id,
        database=options.get("database"),
        session=options.get("session_id"),
        default_format=options.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated",
        reading=request.method != "POST",
        wait_end=options.get("wait_end_of_query") == "1",
        settings={k: v for k, v in options.items() if k not in _TRANSPORT and not k.startswith("param_")},
        parameters={k.removeprefix("param_"): v for k, v in options.items() if k.startswith("param_")},
    )


def _failure(error: BaseException, headers: Mapping[str, str]) -> web.Response:
    code, status, text = describe(error)
    return web.Response(status=status, text=text + "\n", headers={**headers, "X-ClickHouse-Exception-Code": str(code)})


async def _send(request: web.Request, answer: Answer, headers: dict[str, str]) -> web.StreamResponse:
    """Stream the answer; an error before the first block gets its status, one after it stands in the stream."""
    try:
        head = await answer.get()
        item = await answer.get()
    except Exception as error:  # whatever the engine raised is the client's to know
        return _failure(error, headers)
    if isinstance(head, Head):
        headers["X-ClickHouse-Summary"] = head.summary
        if head.format:
            headers["X-ClickHouse-Format"] = head.format
    encoding = _encoding(request)
    if encoding:
        headers["Content-Encoding"] = encoding
    tag = headers["X-ClickHouse-Exception-Tag"] = uuid.uuid4().hex[:16]
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    pack = deflater(encoding)
    try:
        while isinstance(item, bytes):
            if item and (packed := pack.feed(item)):
                await response.write(packed)
            item = await answer.get()
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception as error:  # as above; the status is sent already
        await response.write(pack.feed(_in_band(error, tag)))
    if rest := pack.finish():
        await response.write(rest)
    await response.write_eof()
    return response


def _in_band(error: BaseException, tag: str) -> bytes:
    text = describe(error)[2].encode()
    head, mark = tag.encode(), b"__exception__\r\n"
    return b"\r\n%s%s\r\n%s\n%d %s\r\n%s" % (mark, head, text, len(text) + 1, head, mark)


def _encoding(request: web.Request) -> str | None:
    if request.query.get("enable_http_compression") != "1":
        return None
    accepted = request.headers.get("Accept-Encoding", "")
    return next((name for name in ENCODINGS if name in accepted), None)
