"""One line of an access log: who asked for what, when, and what was answered.

In: lines as Apache and nginx write them, in the variants of the common and the combined format.
Out: Access.
Never: a visitor who is no IP address: under the wrong format all visitors become one.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final, NamedTuple

from infra.replay.event import Refused

#: What stands before the time, the time, request, status; referrer and agent; all that a format has after them.
_LINE: Final = re.compile(
    r'((?:\[[0-9A-Fa-f:.]+\](?::\d{1,5})? )?[^\[]{5,2000}?) \[([^\]]{1,40})\] "((?:[^"\\]|\\.)*)" (\d{3}) (?:\d+|-)'
    r'(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")?((?: (?:"(?:[^"\\]|\\.)*"|[^\s"]+(?:"(?:[^"\\]|\\.)*")?))*)\s*'
)
_TAIL: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"]+)(?:"(?:[^"\\]|\\.)*")?')
_WHOLE: Final = re.compile(r"\d{1,12}")
_SECONDS: Final = re.compile(r"(?:(?:rt|request_time)=)?(\d{1,6}\.\d{1,9})")
#: Apache's `%T/%D`.
_BOTH: Final = re.compile(r"\d{1,6}/(\d{1,12})")
_PORT: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}|\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?")
_MAX_MS: Final = 86_400_000
#: Addresses of inner networks; in a list of them the visitor is the first that is none of these.
_INNER: Final = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip
NOT_A_LINE: Final = "not a combined log line"
NO_ADDRESS: Final = (
    "no IP address where combined and vhost_combined have it (host names are not taken: HostnameLookups Off)"
)


class Access(NamedTuple):
    """What a line says; how long it took is `number`, in the unit that the file has, or told in `milliseconds`."""

    address: str
    virtual_host: str | None
    time: str
    request: str
    status: int
    referrer: str | None
    agent: str | None
    number: int | None
    milliseconds: int | None


@dataclass(frozen=True)
class Form:
    """What the lines of a file have: an agent, a virtual host in front; None where a line may have it or not.

    `whole_seconds` says that a whole number at the end of a line is seconds (Apache's `%T`), else it is microseconds (`%D`).
    """

    agent: bool = True
    virtual_host: bool | None = None
    whole_seconds: bool = False


def read_access(line: bytes, form: Form) -> Access:
    """What a line says.

    Raises
    ------
    Refused
        When it is not in this form, or its visitor has no address.
    """
    match = _LINE.fullmatch(line.decode(errors="replace").removeprefix("\ufeff"))
    if match is None or (match[5] is not None) != form.agent:
        raise Refused(NOT_A_LINE)
    head, time, request, status, referrer, agent, tail = match.groups()
    host, address = _visitor(head)
    if form.virtual_host is not None and form.virtual_host != (host is not None):
        raise Refused("no virtual host in front" if form.virtual_host else NO_ADDRESS)
    number, milliseconds, forwarded = _tail(tail) if tail else (None, None, None)
    return Access(forwarded or address, host, time, request, int(status), referrer, agent, number, milliseconds)


def milliseconds(access: Access, form: Form) -> int | None:
    """How long the answer took; None where the line does not say."""
    if access.number is None:
        return access.milliseconds
    return min(access.number * 1_000 if form.whole_seconds else access.number // 1_000, _MAX_MS)


@lru_cache(maxsize=8_192)
def _visitor(head: str) -> tuple[str | None, str]:
    """(virtual host, address) of what stands before the time: `[HOST] ADDRESS IDENT USER`.

    The address may be a list, as X-Forwarded-For has it; a user may have spaces.
    """
    words = head.split(" ")
    host = None
    if len(words) > 3 and is_address(words[1].rstrip(",")) and not words[0].endswith(","):
        host = words.pop(0)
    entries = [words.pop(0)]
    while entries[-1].endswith(",") and words:
        entries.append(words.pop(0))
    address = client_of(",".join(entries))
    if len(words) < 2 and address is not None:
        raise Refused(NOT_A_LINE)
    if address is None:
        raise Refused(NO_ADDRESS)
    return host, address


@lru_cache(maxsize=8_192)
def is_address(text: str) -> bool:
    """Whether a text is an IP address.

    Examples
    --------
    >>> is_address("2001:db8::7"), is_address("tickets.example:443")
    (True, False)
    """
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=8_192)
def client_of(listed: str) -> str | None:
    """The visitor of a list of addresses, as proxies write X-Forwarded-For: the first that is of no inner network, else the first.

    Examples
    --------
    >>> client_of("10.1.2.3, 203.0.113.7:4711, 198.51.100.2"), client_of("unknown"), client_of("192.168.0.9")
    ('203.0.113.7', None, '192.168.0.9')
    """
    plain = (_PORT.sub(lambda m: m[1] or m[2], entry.strip()) for entry in listed.rstrip(",").split(","))
    known = [text for text in plain if is_address(text)]
    outer = (text for text in known if not any(ip_address(text) in network for network in _INNER))
    return next(outer, known[0] if known else None)


def _tail(text: str) -> tuple[int | None, int | None, str | None]:
    """(a whole number that is a duration, milliseconds, the client that a proxy names) of what follows the agent.

    Two whole numbers are bytes in and out (`%I %O`), not durations.
    """
    whole: list[int] = []
    ms: int | None = None
    forwarded: str | None = None
    for quoted, word in _TAIL.findall(text):
        if not word:
            forwarded = forwarded or client_of(quoted)
        elif _WHOLE.fullmatch(word):
            whole.append(int(word))
        elif ms is None and (seconds := _SECONDS.fullmatch(word)):
            ms = min(round(float(seconds[1]) * 1_000), _MAX_MS)
        elif ms is None and (both := _BOTH.fullmatch(word)):
            ms = min(int(both[1]) // 1_000, _MAX_MS)
    return (whole[0], None, forwarded) if ms is None and len(whole) == 1 else (None, ms, forwarded)
