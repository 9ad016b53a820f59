"""Which variant of an access log a file is, told by its first lines.

In: the first lines of a file.
Out: a Form.
Never: a file read in the wrong form to its end: one of which no line is known is refused at once, with a hint.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

from infra.replay.access import NO_ADDRESS, Access, Form, read_access
from infra.replay.event import Refused
from infra.replay.lines import Line

_LINES, _BYTES = 200, 1 << 20
#: A request takes longer than so many microseconds: smaller whole numbers are seconds.
_LEAST_MICROSECONDS: Final = 100
_COMMON: Final = Form(agent=False)
#: Forms that a name alone decides; `combined` looks for itself.
_NAMED: Final = {"combined": Form(), "vhost_combined": Form(virtual_host=True), "common": _COMMON}
NAMES: Final = tuple(_NAMED)
_EXPECTED: Final = (
    'ADDRESS IDENT USER [TIME] "REQUEST" STATUS BYTES "REFERRER" "AGENT", also with the virtual host in front'
)


class UnknownFormat(ValueError):
    """No line of the beginning is in the format; the text has a hint."""


def recognised(lines: Iterable[Line], name: str) -> tuple[Form, Iterator[Line]]:
    """(the form of a file, all of its lines).

    Raises
    ------
    UnknownFormat
        When there are lines, and none of the first ones is in the format of this name.
    """
    rest = iter(lines)
    first = list(_first(rest))
    texts = [line for _, line in first if isinstance(line, bytes) and line.strip()]
    form = _NAMED[name]
    known = _known(texts, form)
    if not known and name == "combined":
        known = _known(texts, form := _COMMON)
    if texts and not known:
        raise UnknownFormat(_hint(texts, name))
    numbers = [access.number for access in known if access.number is not None]
    if numbers and max(numbers) < _LEAST_MICROSECONDS:
        form = Form(form.agent, form.virtual_host, whole_seconds=True)
    return form, chain(first, rest)


def _first(lines: Iterator[Line]) -> Iterator[Line]:
    """Lines of the beginning, so many that the format shows and so few that they fit into memory."""
    length = 0
    for line in islice(lines, _LINES):
        yield line
        length += len(line[1]) if isinstance(line[1], bytes) else 0
        if length >= _BYTES:
            return


def _known(texts: list[bytes], form: Form) -> list[Access]:
    known = []
    for text in texts:
        try:
            known.append(read_access(text, form))
        except Refused:
            continue
    return known


def _hint(texts: list[bytes], name: str) -> str:
    """What the file may be instead."""
    start = texts[0].lstrip()
    if start.startswith((b"{", b"[{")):
        return "these lines are JSON: --format segment reads calls of Segment; an access log is needed in the combined format"
    if start.startswith((b"#Version", b"#Software", b"#Fields")):
        return f"this is a W3C extended log (IIS, CloudFront); --format {name} needs {_EXPECTED}"
    for text in texts:
        try:
            read_access(text, _NAMED[name])
        except Refused as refusal:
            if str(refusal) == NO_ADDRESS:
                return f"none of the first lines is a visit: {NO_ADDRESS}"
    return f"none of the first {len(texts)} lines is in the format {name}: {_EXPECTED}"
