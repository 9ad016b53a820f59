"""Combined access log lines: one page view or API call, and one timed operation each.

In: lines in the combined format of Apache and nginx and its variants, see `recognise`.
Out: two events a line.
Never: a line guessed at: a line that was cut is refused, since half an agent cannot be told a bot from a person.
"""

import calendar
import re
from functools import lru_cache
from typing import Final

from footlights.collector.agents import read_agent
from footlights.pages import names_page, page_address

from infra.replay.access import Form, milliseconds, read_access
from infra.replay.event import Event, Origin, Refused, in_range

_TIME: Final = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_MONTHS: Final = {name: n for n, name in enumerate(calendar.month_abbr) if name}
_SEGMENT: Final = re.compile(r"[A-Za-z][A-Za-z_.-]{0,39}")
_MAX_OPERATIONS: Final = 200
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,15}://[^/?#]*")


class CombinedParser:
    """Parses lines of one file; remembers only the operations that it has named."""

    def __init__(self, origin: Origin, form: Form = Form()) -> None:
        self._origin, self._form = origin, form
        self._operations: set[str] = set()

    def parse(self, line: bytes, number: int) -> list[Event]:
        """The two events of a line.

        Raises
        ------
        Refused
            When the line is not in the format, or its time is absent or unreadable.
        """
        access = read_access(line, self._form)
        ms, status = log_time_ms(access.time), access.status
        if not 100 <= status <= 599:
            raise Refused("status outside 100-599")
        method, target = _request(access.request)
        target = page_address(target)
        path = _path(target)
        agent = read_agent(access.agent or "")
        who = f"{access.address}|{access.agent or ''}"
        properties = {} if access.virtual_host is None else {"host": access.virtual_host}

        def event(name: str, part: int, fields: dict[str, object]) -> Event:
            return Event(
                name=name,
                message_id=self._origin.line_id(ms, number, part),
                occurred_at_ms=ms,
                received_at_ms=ms,
                anonymous_id=who,
                automatic=agent.automatic,
                context=agent.context,
                properties=properties,
                fields=fields,
            )

        seen: dict[str, object] = {"path": path or None, "url": target or None, "status": status}
        if access.referrer and access.referrer != "-":
            seen["referrer"] = page_address(access.referrer)
        timed = {
            "component": "web",
            "operation": self._operation(method, path),
            "status": status,
            "response_time_ms": milliseconds(access, self._form),
        }
        name = "page_view" if is_page(method, status, path) else "api_call"
        return [event(name, 0, seen), event("operation_timed", 1, timed)]

    def _operation(self, method: str, path: str) -> str:
        """Method and first path segment; anything that looks like an id, a file or a probe, or one too many, is `*`."""
        first, _, rest = path.lstrip("/").partition("/")
        if not first:
            name = f"{method} /"
        elif _SEGMENT.fullmatch(first) and (rest or "." not in first):
            name = f"{method} /{first}"
        else:
            name = f"{method} /*"
        if name not in self._operations:
            if len(self._operations) >= _MAX_OPERATIONS:
                return "OTHER /*"
            self._operations.add(name)
        return name


def is_page(method: str, status: int, path: str) -> bool:
    """Whether a request is a view of a page: GET, answered with 2xx or 3xx, no file and no health check.

    Examples
    --------
    >>> is_page("GET", 200, "/events/7"), is_page("GET", 304, "/logo.PNG"), is_page("GET", 404, "/")
    (True, False, False)
    """
    return method == "GET" and 200 <= status < 400 and names_page(path)


def _request(text: str) -> tuple[str, str]:
    """Method and target of a request line; a malformed one has the method OTHER."""
    parts = text.split(" ")
    if len(parts) < 2 or not (parts[0].isascii() and parts[0].isalpha() and parts[0].isupper() and len(parts[0]) < 16):
        return "OTHER", ""
    target = " ".join(parts[1:-1]) if len(parts) > 2 and parts[-1].startswith("HTTP/") else " ".join(parts[1:])
    return parts[0], target


def _path(target: str) -> str:
    """The path of a target, without the scheme and host that a request through a proxy has."""
    whole = _ABSOLUTE.match(target)
    path = target[whole.end() if whole else 0 :].split("?", 1)[0].split("#", 1)[0]
    return path or "/" if whole else path


@lru_cache(maxsize=4_096)
def log_time_ms(text: str) -> int:
    """Epoch milliseconds of `17/May/2015:10:05:03 +0000`.

    Raises
    ------
    Refused
        When it is no such time.

    Examples
    --------
    >>> log_time_ms("17/May/2015:10:05:03 +0200")
    1431849903000
    """
    match = _TIME.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        raise Refused("timestamp unreadable")
    day, year, hour, minute, second = (int(match[i]) for i in (1, 3, 4, 5, 6))
    month = _MONTHS[match[2]]
    if not (
        2000 <= year <= 2100
        and 1 <= day <= calendar.monthrange(year, month)[1]
        and hour < 24
        and minute < 60
        and second < 61
    ):
        raise Refused("timestamp unreadable")
    zone = (int(match[8]) * 60 + int(match[9])) * (-60 if match[7] == "-" else 60)
    return in_range((calendar.timegm((year, month, day, hour, minute, second)) - zone) * 1_000)
