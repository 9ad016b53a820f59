"""Rows of cells from lines of a CSV, so that each line is accounted for.

In: numbered lines.
Out: (number of a row's first line, its cells or why there are none).
Never: a line that vanishes into a quoted cell: what an open quote has swallowed is read again, line by line.
"""

import csv
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from infra.replay import lines as limits
from infra.replay.event import Refused
from infra.replay.lines import Line

QUOTE: Final = '"'
#: A quoted cell may span so many lines.
MAX_ROW_LINES: Final = 1_000
_TRIED_QUOTES: Final = 64
Row = tuple[int, list[str] | Refused]


class _Broken(Exception):
    """A row of several lines cannot be one."""


class Rows:
    """Iterates rows; blank lines are none.

    A cell in quotes may span lines, and its row has the number of the first. The quotes are damaged when they never close, when one
    closes in the middle of a cell, and when a line within them is a row by itself. Then the row's first line is refused, and the
    reading goes on with the line after it. The header decides `width`, the number of cells, and `is_row`: whether cells are a row.
    """

    def __init__(
        self, lines: Iterable[Line], *, delimiter: str, encoding: Callable[[], str], beside: Counter[str]
    ) -> None:
        self._lines, self.delimiter, self._encoding = iter(lines), delimiter, encoding
        self._again: deque[Line] = deque()
        self.width: int | None = None
        self.is_row: Callable[[list[str]], bool] = lambda _: False
        #: Lines that are no row of their own, by what they are.
        self.beside = beside

    def __iter__(self) -> Iterator[Row]:
        # The limit of the module is that of a line here, and for the whole process; a cell is never longer than its row.
        csv.field_size_limit(max(csv.field_size_limit(), 2 * limits.MAX_LINE_BYTES))
        while (taken := self.take()) is not None:
            number, line = taken
            text = self.text_of(line)
            if isinstance(text, Refused):
                yield number, text
            elif not text or text.isspace():
                self.beside["blank"] += 1
            elif QUOTE not in text:
                yield number, text.split(self.delimiter)
            else:
                yield number, self._quoted(text)

    def take(self) -> Line | None:
        """The next line, one that was put back first."""
        return self._again.popleft() if self._again else next(self._lines, None)

    def text_of(self, line: bytes | ValueError) -> str | Refused:
        """A line as text."""
        if isinstance(line, ValueError):
            return Refused(str(line))
        encoding = self._encoding()
        try:
            return line.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError:
            return Refused(f"not {encoding}")

    def _quoted(self, text: str) -> list[str] | Refused:
        """The cells of a row that has quotes; the lines after it are taken or put back."""
        spanned = _Spanned(self, text)
        try:
            cells = next(csv.reader(spanned, delimiter=self.delimiter, strict=True))
            if spanned.followers:
                self._judge(cells, text, spanned.followers[-1][1])
        except _Broken as broken:
            self._again.extendleft(reversed(spanned.followers))
            return Refused(str(broken))
        except csv.Error:
            self._again.extendleft(reversed(spanned.followers))
            return Refused("a quote closes in the middle of a cell")
        if spanned.followers:
            self.beside["continued"] += len(spanned.followers)
        return cells

    def _judge(self, cells: list[str], first: str, last: bytes | ValueError) -> None:
        """Raise _Broken when a row of several lines does not fit, or a stray pair of quotes has made one row of two."""
        if self.width is not None and len(cells) != self.width:
            raise _Broken("a quoted cell spans lines that make no row with it")
        text = self.text_of(last)
        if isinstance(text, str) and self.is_row(self._alone(text)) and self._would_be_row(first):
            raise _Broken("a quote opens and swallows the row after it")

    def _alone(self, text: str) -> list[str]:
        """The cells of a line that is read by itself, whatever its quotes."""
        return next(csv.reader([text], delimiter=self.delimiter, strict=False), [])

    def _would_be_row(self, text: str) -> bool:
        """Whether a line that leaves a quote open would be a row, were one of its quotes no quote."""
        places = islice((place for place, letter in enumerate(text) if letter == QUOTE), _TRIED_QUOTES)
        return any(self.is_row(self._alone(text[:place] + text[place + 1 :])) for place in places)


class _Spanned(Iterator[str]):
    """The lines of one row for csv.reader, which asks for the next one while a quote is open."""

    def __init__(self, rows: Rows, text: str) -> None:
        self._rows, self._text, self._begun = rows, text, False
        self._length = len(text)
        self.followers: list[Line] = []

    def __next__(self) -> str:
        if not self._begun:
            self._begun = True
            return self._text + "\n"
        taken = self._rows.take()
        if taken is None:
            raise _Broken("a quote opens and never closes")
        self.followers.append(taken)
        text = self._rows.text_of(taken[1])
        if isinstance(text, Refused):
            raise _Broken("a quote is open where a line cannot be read")
        self._length += len(text)
        if len(self.followers) >= MAX_ROW_LINES or self._length > limits.MAX_LINE_BYTES:
            raise _Broken(f"a quote opens and does not close within {MAX_ROW_LINES} lines")
        if QUOTE not in text and self._rows.is_row(text.split(self._rows.delimiter)):
            raise _Broken("a quote opens and swallows the row after it")
        return text + "\n"
