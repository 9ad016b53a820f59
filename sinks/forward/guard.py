"""Where a request may go: only to public addresses over TLS, and to the very address that was checked.

In: a URL that somebody configured.
Out: a connection to one of its public addresses.
Never: a connection to a private, loopback or link-local address, a redirect that is followed, a second resolution.
"""

import http.client
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

MAX_ANSWER_BYTES = 65_536
TIMEOUT_S = 20.0
_NAT64 = ip_network("64:ff9b::/96")
#: For protocols, and taken for public by older versions of Python.
_PROTOCOLS = ip_network("192.0.0.0/24")
Resolve = Callable[[str, int], list[str]]


class Forbidden(ValueError):
    """A URL that requests may not go to. The message says why."""


@dataclass(frozen=True)
class Answer:
    """Status and the seconds of Retry-After, when it was told."""

    status: int
    retry_after_s: float | None
    text: str


def resolved(host: str, port: int) -> list[str]:
    """Addresses of a host, as the system knows them."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Guard:
    """Checks URLs and sends to them. `trusted` hosts may be private and need no TLS: your own, named in the settings."""

    def __init__(self, trusted: frozenset[str] = frozenset(), resolve: Resolve = resolved) -> None:
        self._trusted, self._resolve = trusted, resolve

    def place(self, url: str) -> tuple[str, str, int, bool]:
        """(host, address to connect to, port, whether over TLS) of a URL.

        Raises
        ------
        Forbidden
            When it may not be asked.
        OSError
            When its host is not known now.
        """
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError as problem:
            raise Forbidden("the URL cannot be read") from problem
        trusted = host in self._trusted
        if parts.scheme != "https" and not (trusted and parts.scheme == "http"):
            raise Forbidden("only https URLs are asked; name a host of your own in FOOTLIGHTS_FORWARD_TRUSTED_HOSTS")
        if not host or parts.username is not None or parts.password is not None or "\\" in url or not url.isprintable():
            raise Forbidden("the URL needs a host and may hold no user")
        tls = parts.scheme == "https"
        port = port or (443 if tls else 80)
        addresses = self._resolve(host, port)
        if not addresses or not (trusted or all(public(address) for address in addresses)):
            raise Forbidden("the URL's host has an address that is not public")
        return host, addresses[0], port, tls

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Send a body.

        Raises
        ------
        Forbidden
            When the URL may not be asked.
        OSError, http.client.HTTPException
            When nobody answers.
        """
        host, address, port, tls = self.place(url)
        parts = urlsplit(url)
        line: socket.socket = socket.create_connection((address, port), timeout=TIMEOUT_S)
        try:
            if tls:
                line = ssl.create_default_context().wrap_socket(line, server_hostname=host)
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
            connection.sock = line  # the address that was checked, whatever the name says by now
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            text = answer.read(MAX_ANSWER_BYTES).decode("utf-8", "replace")
            told = answer.getheader("Retry-After", "")
            return Answer(answer.status, float(told) if told.isdigit() else None, text)
        finally:
            line.close()


def public(address: str) -> bool:
    """Whether an address belongs to the public internet.

    Examples
    --------
    >>> public("8.8.8.8"), public("127.0.0.1"), public("::ffff:10.0.0.1"), public("169.254.169.254")
    (True, False, False, False)
    """
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and (found.ipv4_mapped or found.sixtofour or found.teredo or found in _NAT64):
        return False  # another address stands inside
    return found.is_global and not (found.is_multicast or found.is_reserved or found in _PROTOCOLS)
