"""From the text of a request to a JSON value, whose events are refused one by one where they can be told apart.

In: bytes.
Out: a value, with Unfit where an event of a list is no JSON; or Problem.
Never: a good event refused for its neighbour.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, NoReturn

import orjson

from footlights.collector.problems import Problem

MAX_BODY_BYTES = 1 << 20
MAX_EVENTS = 1_000
JSON_TYPES = ("application/json", "text/plain")
#: Fields of a body that hold its events.
LISTS: Final = ("batch", "events")
_WHITE: Final = b" \t\n\r"
_SPACE: Final = re.compile(r"[ \t\n\r]*")
#: What matters to whoever looks for the end of a value that cannot be read: texts, brackets, commas.
_MARK: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}",]', re.DOTALL)
#: Marks that are looked at in a body: a list that is nothing but brackets must not hold up others.
_MAX_MARKS: Final = 200_000


class Unfit(NamedTuple):
    """Stands for an event that cannot be read."""

    code: str
    detail: str


_STATUS: Final = {"INVALID_JSON": 400, "EVENT_TOO_LARGE": 413}
_NO_JSON: Final = Unfit("INVALID_JSON", "no JSON: UTF-8, each key once, no NaN or Infinity")
_TOO_DEEP: Final = Unfit("EVENT_TOO_LARGE", "nested beyond reason")


def json_of(body: bytes) -> Any:
    """The JSON value of a body.

    orjson is fast, but of a key that stands twice it takes the last. A body that is equal to its value written again, white space
    aside, has each key once; what is not (an escape, a number written in another way) is read by the standard library, and what
    that does not read is taken apart.

    Raises
    ------
    Problem
        400 INVALID_JSON: malformed, not UTF-8, a BOM, duplicate keys, NaN or Infinity, nested beyond reason; not for one event of
        several. 413 for too many of them.
    """
    try:
        value = orjson.loads(body)
        again = orjson.dumps(value)
        if again == body or again.replace(b" ", b"") == body.translate(None, _WHITE):
            return value
    except (ValueError, TypeError):  # malformed, or nested deeper than it writes
        pass
    try:
        text = body.decode()
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
        if "\\u" in text:  # an escaped half of a surrogate pair is no text
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except (ValueError, RecursionError):
        pass
    try:
        return _Apart(body.decode(errors="surrogateescape")).value()
    except (ValueError, IndexError, RecursionError) as problem:
        raise Problem(400, "INVALID_JSON", "the body is no JSON: UTF-8, each key once, no NaN or Infinity") from problem


class _Apart:
    """Reads a body event by event: a list, or an object that holds one. ValueError when it cannot be taken apart."""

    def __init__(self, text: str) -> None:
        self._text, self._marks = text, 0
        self._scan = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).raw_decode

    def value(self) -> Any:
        """The whole value."""
        at = self._white(0)
        value: Any
        value, end = self._list(at) if self._text[at] == "[" else self._object(at)
        if end != len(self._text):
            raise ValueError("something follows")
        return value

    def _white(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found else at

    def _list(self, at: int) -> tuple[list[Any], int]:
        events = list[Any]()
        at = self._white(at + 1)
        if self._text[at] == "]":
            return events, self._white(at + 1)
        while True:
            event, at = self._event(at)
            events.append(event)
            if len(events) > MAX_EVENTS:
                raise too_many()
            if self._text[at] == "]":
                if len(events) == 1 and isinstance(event, Unfit):  # it has no neighbours
                    raise Problem(_STATUS[event.code], event.code, event.detail)
                return events, self._white(at + 1)
            at = self._white(at + 1)

    def _event(self, start: int) -> tuple[Any, int]:
        """An event and where the comma or the bracket behind it stands."""
        if self._text[start] in ",]":
            raise ValueError("nothing between two commas")
        problem = _NO_JSON
        try:
            value, end = self._sound(start)
            if self._text[end] in ",]":
                return value, end
        except RecursionError:
            problem = _TOO_DEEP
        except ValueError:
            pass
        return problem, self._end(start)

    def _sound(self, start: int) -> tuple[Any, int]:
        """A value that is all text, and where the next thing begins."""
        value, end = self._scan(self._text, start)
        piece = self._text[start:end]
        if not piece.isascii() or "\\u" in piece:
            json.dumps(value, ensure_ascii=False).encode()
        return value, self._white(end)

    def _end(self, at: int) -> int:
        """Where the comma or the bracket behind a value stands that cannot be read."""
        depth = 0
        for found in self._marks_from(at):
            mark = found[0]
            if depth == 0 and mark in ",]":
                return found.start()
            if mark in "[{":
                depth += 1
            elif mark in "]}":
                depth -= 1
            if depth < 0 or mark == '"':
                break
        raise ValueError("its end cannot be found")

    def _marks_from(self, at: int) -> Iterator[re.Match[str]]:
        for found in _MARK.finditer(self._text, at):
            self._marks += 1
            if self._marks > _MAX_MARKS:
                return
            yield found

    def _object(self, at: int) -> tuple[dict[str, Any], int]:
        if self._text[at] != "{":
            raise ValueError("neither an object nor a list")
        pairs = list[tuple[str, Any]]()
        while True:
            at = self._white(at + 1)
            if self._text[at] != '"':
                raise ValueError("no name")
            name, at = self._scan(self._text, at)
            name.encode()
            at = self._white(at)
            if self._text[at] != ":":
                raise ValueError("no value")
            at = self._white(at + 1)
            if name in LISTS and self._text[at] == "[":
                value, at = self._list(at)
            else:
                value, at = self._sound(at)
            pairs.append((name, value))
            if self._text[at] == "}":
                return _object(pairs), self._white(at + 1)
            if self._text[at] != ",":
                raise ValueError("no comma")


def too_many() -> Problem:
    """A batch has a limit."""
    return Problem(413, "BATCH_TOO_LARGE", f"a batch has at most {MAX_EVENTS} events")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key stands twice")
    return out


def _constant(_: str) -> NoReturn:
    raise ValueError("no JSON number")
