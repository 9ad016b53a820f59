"""Finds records that surely do not end where their schema says, without decoding them.

In: a flat Avro schema, payloads with Confluent's header.
Out: a verdict that spares the batch decoder most of what it would only fail at: it panics at such a record, which costs half a
millisecond and two lines of a log.
Never: a verdict about what another decoder may read otherwise (a union's unknown branch, a negative length, an overlong number): it
is left to the one that counts.
"""

from typing import Any

_TEXT, _LONG, _BOOLEAN, _DOUBLE = range(4)
_KINDS = {"string": _TEXT, "bytes": _TEXT, "long": _LONG, "boolean": _BOOLEAN, "double": _DOUBLE}
#: Bytes of the longest number.
_LONGEST = 10


class Walk:
    """The columns of a schema, to be walked through; of one that is not flat nothing is said."""

    def __init__(self, schema: dict[str, Any], start: int) -> None:
        self._start = start
        self._columns: list[tuple[int, int]] | None = []
        for field in schema["fields"]:
            branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
            kinds = [_KINDS[b] for b in branches if isinstance(b, str) and b in _KINDS]
            if len(kinds) != 1 or (len(branches) == 2) != ("null" in branches) or len(branches) > 2:
                self._columns = None
                return
            # The byte that says "no value": a branch of a union is written as twice its number.
            self._columns.append((branches.index("null") * 2 if len(branches) == 2 else -1, kinds[0]))

    def surely_broken(self, payload: bytes) -> bool:
        """Whether a record cannot end at the payload's end.

        Examples
        --------
        >>> walk = Walk({"fields": [{"type": "long"}, {"type": ["null", "string"]}]}, start=0)
        >>> [walk.surely_broken(p) for p in (b"\\x02\\x00", b"\\x02\\x02\\x02a", b"\\x02\\x02\\x04a", b"\\x02", b"\\x02\\x00\\x00")]
        [False, False, True, True, True]
        """
        if self._columns is None:
            return False
        at = self._start
        try:
            for none, kind in self._columns:
                if none >= 0:
                    branch = payload[at]
                    at += 1
                    if branch == none:
                        continue
                    if branch != 2 - none:
                        return False
                if kind == _BOOLEAN:
                    at += 1
                elif kind == _DOUBLE:
                    at += 8
                else:
                    first, number, shift = at, 0, 0
                    while (byte := payload[at]) & 0x80:
                        number |= (byte & 0x7F) << shift
                        shift += 7
                        at += 1
                    at += 1
                    if at - first > _LONGEST:
                        return False
                    if kind == _TEXT:
                        number |= byte << shift
                        if number & 1:  # negative
                            return False
                        at += number >> 1
        except IndexError:
            return True
        return at != len(payload)
