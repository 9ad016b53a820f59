"""Keep web pages away from servers that trust loopback.

In: requests to a server that programs of this machine use.
Out: the same, unless a browser sent them for a page of another site, or for one that gave itself the server's address.
Never: an answer to a page that reached loopback by an image, a form, a script, a beacon, or a name bound to it.
"""

from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_OWN_SITES = ("same-origin", "none")


def is_own(host: str, port: int) -> bool:
    """Whether a Host header names this server: by an address or as localhost, with its port.

    A page can bind a name of its own to loopback, but it cannot become an address.

    >>> is_own("127.0.0.1:8123", 8123), is_own("LOCALHOST.:8123", 8123), is_own("[::1]:8123", 8123)
    (True, True, True)
    >>> is_own("rebound.example.org:8123", 8123), is_own("127.0.0.1:80", 8123), is_own("", 8123)
    (False, False, False)
    """
    try:
        parts = urlsplit(f"//{host}")
        name, given = parts.hostname or "", parts.port or 80
    except ValueError:
        return False
    if parts.netloc != host or "@" in host or given != port:
        return False
    if name.removesuffix(".") == "localhost":
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_foreign(request: web.BaseRequest) -> bool:
    """Whether a request comes from a page that is not this server's own, or does not name this server."""
    hosts = request.headers.getall("Host", [])
    port = request.transport.get_extra_info("sockname")[1] if request.transport else 0
    if len(hosts) != 1 or not is_own(hosts[0], port) or not request.raw_path.startswith("/"):
        return True
    if any(site not in _OWN_SITES for site in request.headers.getall("Sec-Fetch-Site", [])):
        return True
    return any(origin.lower() != f"http://{hosts[0].lower()}" for origin in request.headers.getall("Origin", []))


def refuse_foreign(answer: Callable[[str], web.Response]) -> Middleware:
    """Return a middleware that gives `answer(reason)` to requests of foreign pages."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_foreign(request):
            return answer("Requests of web pages, or to another name or port than this server's, are refused.")
        return await handler(request)

    return middleware
