"""The address of a client behind proxies: `Forwarded` (RFC 7239), `X-Forwarded-For`, and the headers of single proxies.

In: the headers of a request, the address of its connection, what the operator says to trust.
Out: an address in its canonical form, "" when the proxies do not tell one.
Never: a word of the client's own: of a list only what the trusted proxies have written, counted from its right end.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

#: Lists that each proxy adds an element to.
LISTS: Final = ("x-forwarded-for", "forwarded")
#: Headers that hold one address and that a proxy overwrites. Whoever trusts one by name vouches that the proxy does.
SINGLES: Final = (
    "x-real-ip", "cf-connecting-ip", "cf-connecting-ipv6", "true-client-ip", "x-client-ip", "x-cluster-client-ip",
    "fastly-client-ip", "fly-client-ip", "x-envoy-external-address", "x-azure-clientip", "x-appengine-user-ip",
)  # fmt: skip
_PORT: Final = r"(?::(?:\d{1,5}|_[\w.-]+))?"
_NODE: Final = re.compile(rf"\[([^\[\]]*)\]{_PORT}|(\d+\.\d+\.\d+\.\d+){_PORT}|([0-9A-Fa-f:.]+(?:%[\w.-]+)?)")
_PAIR: Final = re.compile(r'[ \t]*([!#$%&\'*+.^_`|~\w-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))[ \t]*')

Trust = int | str
Headers = Iterable[tuple[bytes, bytes]]


def trust_of(text: str) -> Trust:
    """What is trusted: the number of proxies that stand before a service (0: none), or the name of the header that they write.

    Raises
    ------
    ValueError
        When it is none of these.

    Examples
    --------
    >>> trust_of("true"), trust_of("2"), trust_of("no"), trust_of("CF-Connecting-IP")
    (1, 2, 0, 'cf-connecting-ip')
    """
    told = text.strip().lower()
    if told in ("true", "yes", "on"):
        return 1
    if told in ("false", "no", "off", ""):
        return 0
    if told.isascii() and told.isdigit() and int(told) <= 32:
        return int(told)
    if told in (*LISTS, *SINGLES):
        return told
    raise ValueError(
        f"write true, false, a number of proxies, or the header they write: {', '.join((*LISTS, *SINGLES))}"
    )


def client_address(headers: Headers, peer: str, trust: Trust) -> str:
    """The address of a client.

    Parameters
    ----------
    headers
        Names and values as they came, repeated ones in their order.
    peer
        The other end of the connection. It is the client when nothing is trusted, or no proxy tells anything.
    trust
        How many proxies add to the lists, or the one header that counts (with one proxy); see `trust_of`.

    Returns
    -------
    str
        "" when the proxies say that they do not know it (`unknown`, `_hidden`), when it is no address, or when several headers of
        unnamed trust contradict each other: then one of them is the client's own invention.

    Examples
    --------
    >>> client_address([(b"Forwarded", b'for=10.9.9.9, For="[2001:db8::17]:4711";proto=https')], "10.0.0.1", 1)
    '2001:db8::17'
    >>> client_address([(b"X-Forwarded-For", b"198.51.100.1"), (b"X-Forwarded-For", b"203.0.113.9:80, 10.0.0.7")], "10.0.0.1", 2)
    '203.0.113.9'
    """
    if not trust:
        return address_in(peer)
    lines: dict[str, list[str]] = {}
    for name, value in headers:
        key = name.decode("latin-1").lower()
        if key in LISTS or key in SINGLES:
            lines.setdefault(key, []).append(value.decode("latin-1"))
    if isinstance(trust, str):
        return _told(trust, lines[trust], 1) if trust in lines else address_in(peer)
    told = {_told(name, lines[name], trust) for name in LISTS if name in lines}
    if trust == 1 and "x-real-ip" in lines:  # of several proxies each writes the one before it
        told.add(_told("x-real-ip", lines["x-real-ip"], 1))
    if not told:
        return address_in(peer)
    return told.pop() if len(told) == 1 else ""


def address_in(node: str) -> str:
    """The address in one element of a list, without port, brackets, quotes and zone; "" when it holds none.

    Examples
    --------
    >>> [address_in(node) for node in ("192.0.2.1:80", " [2001:DB8::1]:443", "::ffff:192.0.2.1", "fe80::1%eth0", "unknown", "_x")]
    ['192.0.2.1', '2001:db8::1', '192.0.2.1', 'fe80::1', '', '']
    """
    text = node.strip().strip('"').strip()
    found = _NODE.fullmatch(text)
    if found is None:
        return ""
    try:
        address = ipaddress.ip_address((found[1] or found[2] or found[3] or "").partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _told(name: str, lines: list[str], proxies: int) -> str:
    """What the outermost trusted proxy wrote; of a list shorter than promised its first element."""
    if name in SINGLES:
        return address_in(lines[0]) if len(lines) == 1 else ""
    read = _forwarded if name == "forwarded" else _plain
    chain = [node for line in lines for node in read(line)]
    return address_in(chain[max(0, len(chain) - proxies)]) if chain else ""


def _plain(line: str) -> list[str]:
    return [node for node in (piece.strip() for piece in line.split(",")) if node]


def _forwarded(line: str) -> list[str]:
    """The `for` of each element of a `Forwarded` line, "" where an element has none.

    Of a line that is malformed nothing is known: a quotation mark that a client leaves open would swallow what the proxies add.
    """
    out, at, node, count = [], 0, "", 0
    while at < len(line):
        pair = _PAIR.match(line, at)
        if pair is not None:
            at, count = pair.end(), count + 1
            if pair[1].lower() == "for":
                if node:
                    return [""]
                node = re.sub(r"\\(.)", r"\1", pair[2]) if pair[2] is not None else pair[3]
        else:
            at += len(line[at:]) - len(line[at:].lstrip(" \t"))
        if at < len(line) and line[at] not in ",;":
            return [""]
        if at == len(line) or line[at] == ",":
            if count:
                out.append(node)
            node, count = "", 0
        at += 1
    if count:
        out.append(node)
    return out
