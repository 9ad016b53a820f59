"""How long a column of ClickHouse's Native format is.

In: a type's name, and the bytes from where its column begins.
Out: the place where the column ends.
Never: a guess: a type whose length cannot be told is an error.
"""

import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from infra.embedded.gateway_errors import GatewayError

_WIDTHS = {
    **dict.fromkeys(("Int8", "UInt8", "Bool", "Enum8", "Nothing"), 1),
    **dict.fromkeys(("Int16", "UInt16", "Date", "Enum16", "BFloat16"), 2),
    **dict.fromkeys(("Int32", "UInt32", "Float32", "Date32", "DateTime", "Time", "IPv4", "Decimal32"), 4),
    **dict.fromkeys(("Int64", "UInt64", "Float64", "DateTime64", "Time64", "Decimal64"), 8),
    **dict.fromkeys(("Int128", "UInt128", "UUID", "IPv6", "Decimal128", "Point"), 16),
    **dict.fromkeys(("Int256", "UInt256", "Decimal256"), 32),
}
_ALIASES = {
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
    "Geometry": "Variant(LineString, MultiLineString, MultiPolygon, Point, Polygon, Ring)",
}
# Digits that a width holds.
_DECIMALS = ((9, 4), (18, 8), (38, 16), (76, 32))
# The version of Dynamic and JSON in which every path and type stands for itself.
_FLAT = 3
_HEAD = re.compile(r"\s*(\w+)\s*(?:\((.*)\))?\s*", re.DOTALL)
_NAMED = re.compile(r"(?:`(?:[^`\\]|\\.)*`|\w+)\s+(?=\S)")


@dataclass
class Cursor:
    """A place in the bytes of a block."""

    data: bytes
    at: int = 0

    def skip(self, size: int) -> int:
        """Pass over `size` bytes and return where they began."""
        start, self.at = self.at, self.at + size
        if self.at > len(self.data):
            raise GatewayError(33, "CANNOT_READ_ALL_DATA", "A block of format Native ends too early.")
        return start

    def unsigned(self, width: int = 8) -> int:
        """Read a little-endian number of `width` bytes."""
        start = self.skip(width)
        return int.from_bytes(self.data[start : self.at], "little")

    def varint(self) -> int:
        """Read a number of variable length."""
        value = shift = 0
        while True:
            byte = self.data[self.skip(1)]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def text(self) -> bytes:
        """Read a string and its length before it."""
        size = self.varint()
        start = self.skip(size)
        return self.data[start : self.at]


@dataclass(frozen=True)
class _Layout:
    """How the rows of a column lie, after its prefix has been read."""

    skip: Callable[[Cursor, int], None]


def pass_column(cursor: Cursor, type_name: str, rows: int) -> None:
    """Move the cursor behind a column.

    Raises
    ------
    GatewayError
        When the block ends within the column, or the type's length cannot be told.
    """
    if rows:
        _layout(cursor, type_name).skip(cursor, rows)


def _layout(cursor: Cursor, type_name: str) -> _Layout:
    """Read the prefix of a type's column and return how its rows lie."""
    found = _HEAD.fullmatch(type_name)
    if not found:
        raise _unknown(type_name)
    name, inside = found.group(1), found.group(2) or ""
    if name in _ALIASES:
        return _layout(cursor, _ALIASES[name])
    if width := _width(name, inside):
        return _Layout(lambda cursor, rows: _fixed(cursor, rows * width))
    composite = _COMPOSITES.get(name)
    if composite is None:
        raise _unknown(type_name)
    return composite(cursor, inside)


def _width(name: str, inside: str) -> int:
    if name == "FixedString":
        return int(inside)
    if name == "Decimal":
        digits = int(inside.split(",", maxsplit=1)[0])
        return next(width for most, width in _DECIMALS if digits <= most)
    if name.startswith("Interval"):
        return 8
    if name == "QBit":
        # Each bit of the elements lies apart, as a text of one bit for each element.
        element, elements = list(split_types(inside))[:2]
        return _WIDTHS[element] * 8 * ((int(elements) + 7) // 8)
    return _WIDTHS.get(name, 0)


def _fixed(cursor: Cursor, size: int) -> None:
    cursor.skip(size)


def _strings(cursor: Cursor, rows: int) -> None:
    # The one loop per value: written out, because blocks have tens of thousands.
    data, at, end = cursor.data, cursor.at, len(cursor.data)
    try:
        for _ in range(rows):
            size = data[at]
            at += 1
            if size >= 0x80:
                cursor.at = at - 1
                size = cursor.varint()
                at = cursor.at
            at += size
    except IndexError:
        at = end + 1
    cursor.at = end
    cursor.skip(at - end)
    cursor.at = at


def _string(_: Cursor, __: str) -> _Layout:
    return _Layout(_strings)


def _nullable(cursor: Cursor, inside: str) -> _Layout:
    layout = _layout(cursor, inside)

    def skip(cursor: Cursor, rows: int) -> None:
        cursor.skip(rows)
        layout.skip(cursor, rows)

    return _Layout(skip)


def _array(cursor: Cursor, inside: str) -> _Layout:
    layout = _layout(cursor, inside)

    def skip(cursor: Cursor, rows: int) -> None:
        cursor.skip((rows - 1) * 8)
        if total := cursor.unsigned():
            layout.skip(cursor, total)

    return _Layout(skip)


def _tuple(cursor: Cursor, inside: str) -> _Layout:
    return _together([_layout(cursor, _unnamed(part)) for part in split_types(inside)])


def _together(layouts: list[_Layout]) -> _Layout:
    def skip(cursor: Cursor, rows: int) -> None:
        for layout in layouts:
            layout.skip(cursor, rows)

    # An empty tuple has a byte for each row.
    return _Layout(skip if layouts else _fixed)


def _low_cardinality(cursor: Cursor, inside: str) -> _Layout:
    cursor.unsigned()
    bare = _HEAD.fullmatch(inside)
    keys = bare.group(2) if bare and bare.group(1) == "Nullable" else inside

    def skip(cursor: Cursor, rows: int) -> None:
        while rows > 0:
            flags = cursor.unsigned()
            if flags & 0x200 and (count := cursor.unsigned()):
                _layout(cursor, keys).skip(cursor, count)
            here = cursor.unsigned()
            cursor.skip(here << (flags & 0xFF))
            rows -= here or rows

    return _Layout(skip)


def _variant(cursor: Cursor, inside: str) -> _Layout:
    return _variants(cursor, sorted(split_types(inside)))


def _variants(cursor: Cursor, types: list[str]) -> _Layout:
    if cursor.unsigned() != 0:
        raise GatewayError(48, "NOT_IMPLEMENTED", "Compact discriminators of Variant have no form in Native.")
    layouts = [_layout(cursor, "String" if name == "SharedVariant" else name) for name in types]

    def skip(cursor: Cursor, rows: int) -> None:
        start = cursor.skip(rows)
        discriminators = cursor.data[start : cursor.at]
        for index, layout in enumerate(layouts):
            if count := discriminators.count(index):
                layout.skip(cursor, count)

    return _Layout(skip)


def _dynamic(cursor: Cursor, _: str) -> _Layout:
    version = cursor.unsigned()
    if version == 1:
        cursor.varint()
    elif version not in {2, _FLAT}:
        raise GatewayError(48, "NOT_IMPLEMENTED", f"Version {version} of type Dynamic is not supported.")
    names = [cursor.text().decode() for _ in range(cursor.varint())]
    if version == _FLAT:
        return _indexed([_layout(cursor, name) for name in names])
    return _variants(cursor, sorted([*names, "SharedVariant"]))


def _indexed(layouts: list[_Layout]) -> _Layout:
    """Types by number: as many bytes for each row as the count of types needs, which itself stands for NULL."""
    code = next(code for code, most in (("B", 0xFF), ("H", 0xFFFF), ("I", 0xFFFFFFFF)) if len(layouts) <= most)

    def skip(cursor: Cursor, rows: int) -> None:
        start = cursor.skip(rows * struct.calcsize(f"<{code}"))
        counts = Counter(struct.unpack(f"<{rows}{code}", cursor.data[start : cursor.at]))
        for index, layout in enumerate(layouts):
            if counts[index]:
                layout.skip(cursor, counts[index])

    return _Layout(skip)


def _json(cursor: Cursor, inside: str) -> _Layout:
    version = cursor.unsigned()
    if version == 1:
        return _string(cursor, "")
    if version == 0:
        cursor.varint()
    elif version not in {2, _FLAT}:
        raise GatewayError(48, "NOT_IMPLEMENTED", f"Version {version} of type JSON is not supported.")
    paths = [cursor.text() for _ in range(cursor.varint())]
    typed = sorted((path, kind) for path, kind in map(_path, split_types(inside)) if kind)
    layouts = [_layout(cursor, kind) for _, kind in typed] + [_dynamic(cursor, "") for _ in paths]
    if version != _FLAT:
        layouts.append(_layout(cursor, "Array(Tuple(String, String))"))
    return _together(layouts)


def _path(part: str) -> tuple[str, str]:
    """Return path and type of one argument of JSON; no type for its options."""
    if "=" in part or part.startswith("SKIP "):
        return part, ""
    path, _, kind = part.partition(" ")
    return path.replace("`", ""), kind


_COMPOSITES: dict[str, Callable[[Cursor, str], _Layout]] = {
    "String": _string,
    "Nullable": _nullable,
    "Array": _array,
    "Tuple": _tuple,
    "Map": lambda cursor, inside: _array(cursor, f"Tuple({inside})"),
    "Nested": lambda cursor, inside: _array(cursor, f"Tuple({inside})"),
    "LowCardinality": _low_cardinality,
    "SimpleAggregateFunction": lambda cursor, inside: _layout(cursor, list(split_types(inside))[-1]),
    "Variant": _variant,
    "Dynamic": _dynamic,
    "JSON": _json,
}


def split_types(inside: str) -> Iterator[str]:
    """Split at the commas that stand in no brackets and no quotes.

    >>> list(split_types("a Decimal(9, 2), b Enum8('x, (' = 1)"))
    ['a Decimal(9, 2)', "b Enum8('x, (' = 1)"]
    """
    depth, start, at = 0, 0, 0
    for token in re.finditer(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[(),]", inside):
        at = token.start()
        match token.group():
            case "(":
                depth += 1
            case ")":
                depth -= 1
            case "," if depth == 0:
                yield inside[start:at].strip()
                start = at + 1
    if last := inside[start:].strip():
        yield last


def _unnamed(part: str) -> str:
    """Return the type of a tuple's element, which may have a name before it."""
    found = _NAMED.match(part)
    return part[found.end() :] if found else part


def _unknown(type_name: str) -> GatewayError:
    return GatewayError(48, "NOT_IMPLEMENTED", f"Type {type_name} cannot be sent in this version of format Native.")
