"""Keep web pages away from servers that trust loopback.

In: requests to a server without passwords.
Out: the same, unless a browser sent them for a page of another site.
Never: an answer to a page that reached loopback by a form, a script, or a name bound to it.
"""

from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


def is_foreign(host: str, origin: str | None) -> bool:
    """Whether a request comes from a page that is not this server's own.

    >>> is_foreign("127.0.0.1:8123", None), is_foreign("localhost:8123", "http://localhost:8123")
    (False, False)
    >>> is_foreign("127.0.0.1:8123", "https://example.org"), is_foreign("rebound.example.org", None)
    (True, True)
    """
    name = urlsplit(f"//{host}").hostname or ""
    if name != "localhost":
        try:
            ip_address(name)
        except ValueError:
            # A page can bind a name of its own to loopback, but it cannot become an address.
            return True
    return origin is not None and urlsplit(origin).netloc != host


def refuse_foreign(
    answer: Callable[[str], web.Response],
) -> Middleware:
    """Return a middleware that gives `answer(reason)` to requests of foreign pages."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_foreign(request.host, request.headers.get("Origin")):
            return answer("Requests of web pages, or by another name than localhost, are refused.")
        return await handler(request)

    return middleware
