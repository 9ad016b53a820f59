"""Combined access log lines: one page view or API call, and one timed operation each.

In: lines in the combined format of Apache and nginx, optionally with the duration in microseconds (`%D`) at the end.
Out: two events a line.
Never: a line guessed at: a line that was cut is refused, since half an agent cannot be told a bot from a person.
"""

import calendar
import re
from functools import lru_cache
from typing import Final

from footlights.collector.agents import read_agent
from footlights.pages import names_page, page_address

from infra.replay.event import Event, Origin, Refused, in_range

_LINE: Final = re.compile(
    r'(\S+) \S+ (?:\S+|[^\[]{1,200}) \[([^\]]{1,40})\] "((?:[^"\\]|\\.)*)" (\d{3}) (?:\d+|-)'
    r' "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"(?: (\d{1,12}))?\s*'
)
_TIME: Final = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_MONTHS: Final = {name: n for n, name in enumerate(calendar.month_abbr) if name}
_SEGMENT: Final = re.compile(r"[A-Za-z][A-Za-z_.-]{0,39}")
_MAX_OPERATIONS: Final = 200
_MAX_MS: Final = 86_400_000


class CombinedParser:
    """Parses lines of one file; remembers only the operations that it has named."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._operations: set[str] = set()

    def parse(self, line: bytes, number: int) -> list[Event]:
        """The two events of a line.

        Raises
        ------
        Refused
            When the line is not in the format, or its time is absent or unreadable.
        """
        match = _LINE.fullmatch(line.decode(errors="replace"))
        if match is None:
            raise Refused("not a combined log line")
        address, time, request, status_text, referrer, agent_text, micros = match.groups()
        ms, status = log_time_ms(time), int(status_text)
        if not 100 <= status <= 599:
            raise Refused("status outside 100-599")
        method, target = _request(request)
        target = page_address(target)
        path = target.split("?", 1)[0].split("#", 1)[0]
        agent = read_agent(agent_text)
        who = f"{address}|{agent_text}"
        duration = None if micros is None else min(int(micros) // 1_000, _MAX_MS)

        def event(name: str, part: int, fields: dict[str, object]) -> Event:
            return Event(
                name=name,
                message_id=self._origin.line_id(ms, number, part),
                occurred_at_ms=ms,
                received_at_ms=ms,
                anonymous_id=who,
                automatic=agent.automatic,
                context=agent.context,
                fields=fields,
            )

        seen: dict[str, object] = {"path": path or None, "url": target or None, "status": status}
        if referrer not in {"", "-"}:
            seen["referrer"] = page_address(referrer)
        timed = {
            "component": "web",
            "operation": self._operation(method, path),
            "status": status,
            "response_time_ms": duration,
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
