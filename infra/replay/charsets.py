"""Text of any Unicode encoding as UTF-8.

In: blocks of a file.
Out: the same text in UTF-8, without the mark at its beginning.
Never: a guess between code pages: bytes that are no UTF-16 or UTF-32 pass as they are.
"""

import codecs
from collections.abc import Iterator
from typing import Final

#: Marks at the beginning; those of UTF-32 begin with those of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: So much of the beginning is looked at where no mark stands.
_SAMPLE_BYTES: Final = 4_096
_LEAST_ZEROS: Final = 2
#: What is wrong in one place becomes half a surrogate pair, which is no UTF-8, so that its line alone is refused.
_WRONG: Final = "footlights.wrong"
codecs.register_error(_WRONG, lambda error: ("\udcff", error.end if isinstance(error, UnicodeDecodeError) else 0))


def charset_of(head: bytes) -> tuple[str | None, int]:
    """(encoding that the beginning of a file shows, length of its mark); None where it shows none.

    Examples
    --------
    >>> charset_of("a,b".encode("utf-8-sig")), charset_of("order,when".encode("utf-16-le")), charset_of(b"a,b")
    (('utf-8', 3), ('utf-16-le', 0), (None, 0))
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    return _by_zeros(head[:_SAMPLE_BYTES]), 0


def _by_zeros(head: bytes) -> str | None:
    """UTF-16 and UTF-32 without a mark, by where the zero bytes of its Latin letters, digits and commas lie.

    Such text has them in many places of one kind and in hardly any of the other; a few zeros, or a hole of them, are no such text.
    """
    first, second, third, fourth = (head[place::4].count(0) for place in range(4))
    enough = max(_LEAST_ZEROS, len(head) / 16)
    if min(first, second, third) > enough and fourth <= third / 20:
        return "utf-32-be"
    if min(second, third, fourth) > enough and first <= second / 20:
        return "utf-32-le"
    if second + fourth > 2 * enough and first + third <= (second + fourth) / 20:
        return "utf-16-le"
    if first + third > 2 * enough and second + fourth <= (first + third) / 20:
        return "utf-16-be"
    return None


def is_wide(encoding: str) -> bool:
    """Whether the bytes of a line's end may be parts of other letters, so that only the whole file can be decoded.

    Examples
    --------
    >>> is_wide("UTF-16"), is_wide("cp1252")
    (True, False)
    """
    return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))


class Utf8Blocks:
    """Iterates blocks of a text as UTF-8; `charset` is what its beginning shows, else a wide encoding that `told` names."""

    def __init__(self, blocks: Iterator[bytes], told: str | None = None) -> None:
        self._blocks, self._told = blocks, told
        self.charset: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        head, problem = self._head()
        self.charset, mark = charset_of(head)
        if self.charset is None and self._told is not None and is_wide(self._told):
            # Without a mark, the name alone says nothing of the order of bytes: the usual one is that of today's machines.
            name = codecs.lookup(self._told).name
            self.charset = name if name.endswith(("-le", "-be")) else f"{name}-le"
        decode = None
        if self.charset is not None and is_wide(self.charset):
            decode = codecs.getincrementaldecoder(self.charset)(_WRONG)
        if block := head[mark:]:
            yield block if decode is None else _utf8(decode.decode(block))
        if problem is not None:
            raise problem
        for block in self._blocks:
            yield block if decode is None else _utf8(decode.decode(block))
        if decode is not None and (end := decode.decode(b"", True)):
            yield _utf8(end)

    def _head(self) -> tuple[bytes, ValueError | None]:
        """Enough of the beginning to look at, and what stopped the reading before."""
        head = b""
        try:
            while len(head) < _SAMPLE_BYTES and (block := next(self._blocks, None)) is not None:
                head += block
        except ValueError as problem:
            return head, problem
        return head, None


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
