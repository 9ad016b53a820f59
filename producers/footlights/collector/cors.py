"""Which pages may talk to the collector, in the words of the Fetch standard (CORS).

In: the headers of a request.
Out: the headers of its answer that tell a browser what it may do and read.
Never: a cookie, or any other right that a browser adds by itself: a request may do what its write key may, from every page alike.
"""

import re
from collections.abc import Mapping

Headers = list[tuple[bytes, bytes]]
#: What a browser may be told that it may send: names of headers and methods, and nothing that could end a line.
_TOKENS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,4096}")
_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://[^\s\"'<>\\]{1,512}")
_METHODS, _HEADERS = "GET, HEAD, POST, OPTIONS", "authorization, content-type, content-encoding"


def allowed(headers: Mapping[str, str]) -> Headers:
    """For every answer, refusals too: without these a page cannot even read why it was refused.

    Beacons always come with credentials, for which the standard wants the origin by its name.
    """
    out = [
        (b"x-content-type-options", b"nosniff"),
        (b"cross-origin-resource-policy", b"cross-origin"),
        (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        (b"access-control-expose-headers", b"Retry-After"),
    ]
    origin = headers.get("origin", "")
    if _ORIGIN.fullmatch(origin):
        return [*out, (b"access-control-allow-origin", origin.encode()), (b"access-control-allow-credentials", b"true")]
    return [*out, (b"access-control-allow-origin", b"*")]


def preflight(headers: Mapping[str, str]) -> Headers:
    """For the question before the request: whatever it asks for is allowed.

    Tracing adds `sentry-trace`, `baggage` or `traceparent` to each request of a page, interceptors add headers of their own; none
    means anything here, and none must keep an event away.
    """
    out = [
        (b"access-control-allow-methods", _asked(headers, "access-control-request-method", _METHODS)),
        (b"access-control-allow-headers", _asked(headers, "access-control-request-headers", _HEADERS)),
        (b"access-control-max-age", b"86400"),
    ]
    if headers.get("access-control-request-private-network") == "true":
        out.append((b"access-control-allow-private-network", b"true"))
    return out


def _asked(headers: Mapping[str, str], name: str, otherwise: str) -> bytes:
    asked = headers.get(name, "")
    if not _TOKENS.fullmatch(asked):
        return otherwise.encode()
    return f"{otherwise}, {asked}".encode()
