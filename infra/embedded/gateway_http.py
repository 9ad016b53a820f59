"""ClickHouse's HTTP protocol over the engine.

In: GET and POST requests as ClickHouse takes them.
Out: answers as ClickHouse gives them, streamed.
Never: a write by GET, as a page's image or link could send it, nor an answer to a page of another site.
"""

import asyncio
import base64
import binascii
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from aiohttp import web

from infra.embedded.gateway_answer import asked_encoding, failure, send
from infra.embedded.gateway_engine import Engine
from infra.embedded.gateway_errors import GatewayError
from infra.embedded.gateway_formats import gives_rows
from infra.embedded.gateway_request import Options, read_statement
from infra.embedded.gateway_users import USERS, WRITER, Users
from infra.embedded.gateway_work import Answer, run
from infra.embedded.local_only import refuse_foreign

ENGINE = web.AppKey("engine", Engine)
ACCOUNTS = web.AppKey("accounts", Users)
THREADS = web.AppKey("threads", dict[str, ThreadPoolExecutor])
_EXPIRY_S = 1.0


def make_app(engine: Engine, users: Users, *, threads: int = 16) -> web.Application:
    """Return the application; `threads` statements of each user run at a time, so that slow readers block no writer."""
    # Bodies are inflated here and not by the server's library, which reads the first member of a body only.
    app = web.Application(middlewares=[refuse_foreign(_refusal)], handler_args={"auto_decompress": False})
    app[ENGINE] = engine
    app[ACCOUNTS] = users
    app[THREADS] = {user: ThreadPoolExecutor(threads, thread_name_prefix=f"{user}-statement") for user in USERS}
    app.router.add_get("/ping", _ok)
    app.router.add_get("/replicas_status", _ok)
    app.router.add_get("/", _root)
    app.router.add_post("/", _root)
    app.cleanup_ctx.append(_expire_sessions)
    app.on_cleanup.append(_close)
    return app


async def _expire_sessions(app: web.Application) -> AsyncIterator[None]:
    async def expire() -> None:
        while True:
            await asyncio.sleep(_EXPIRY_S)
            await asyncio.to_thread(app[ENGINE].sessions.close_expired)

    task = asyncio.create_task(expire())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _close(app: web.Application) -> None:
    # The clients are gone by now; what still runs for them would only delay the end.
    await asyncio.to_thread(app[ENGINE].kill_all)
    for threads in app[THREADS].values():
        await asyncio.to_thread(threads.shutdown)
    await asyncio.to_thread(app[ENGINE].close)


def _refusal(reason: str) -> web.Response:
    return failure(GatewayError(497, "ACCESS_DENIED", reason), {})


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="Ok.\n", content_type="text/html", charset="UTF-8")


async def _root(request: web.Request) -> web.StreamResponse:
    if request.method in {"GET", "HEAD"} and not request.raw_path.partition("?")[2]:
        return await _ok(request)
    engine, options = request.app[ENGINE], Options(request)
    query_id = options.take("query_id") or str(uuid.uuid4())
    headers = {
        "X-ClickHouse-Query-Id": ascii(query_id)[1:-1],
        "X-ClickHouse-Timezone": ascii(options.take("session_timezone") or engine.timezone)[1:-1],
        "X-ClickHouse-Server-Display-Name": "footlights",
    }
    try:
        user = _user(request, options)
        statement = await read_statement(request, options, user=user, query_id=query_id, folder=engine.incoming)
    except (GatewayError, OSError) as error:
        return failure(error, headers, asked_encoding(request, options))
    answer = Answer(asyncio.get_running_loop())
    try:
        request.app[THREADS][statement.user].submit(run, engine, statement, answer)
        return await send(request, options, answer, headers, engine.content_types)
    except ConnectionError as error:
        # The client is gone: nobody reads this, and it is no fault to log.
        return failure(error, headers)
    finally:
        answer.abandon()
        # A reading statement whose client is gone only costs; a writing one runs on, since its sender may retry.
        if not answer.ended and statement.data is None and gives_rows(statement.sql):
            asyncio.get_running_loop().run_in_executor(None, engine.kill, statement.query_id)


def _user(request: web.Request, options: Options) -> str:
    name = options.header("User") or options.take("user") or "default"
    key = options.header("Key") or options.take("password")
    kind, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if kind == "Basic":
        try:
            name, _, key = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise GatewayError(516, "AUTHENTICATION_FAILED", "The Authorization header is not readable.") from error
    return request.app[ACCOUNTS].check(name or WRITER, key)
