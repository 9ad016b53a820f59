"""Whether two records under one id say the same: a repeat does, a collision is another event, and it is lost.

In: a family; what the first and the repeat say.
Out: the names of the fields that differ.
Never: a difference for what only the way here changed: clocks, producers, guesses of a collector, other keys of pseudonyms.
"""

import json
from collections.abc import Sequence
from typing import Any

from schemas.families import Family
from schemas.sentiment import SENTIMENT

_TIMES = ("occurred_at_ms", "sent_at_ms", "received_at_ms")
#: Of the way that a record took: who carried it, and under which number.
_CARRIED = frozenset({"message_id", "source", "producer_id", "sequence", "pseudonym_version"})
#: What a collector reads from the connection of each request, so that a request that comes again may have others.
_GUESSED = frozenset({"device", "browser", "os", "city", "country", "automatic"})


class Content:
    """What a record of a family says, for comparison.

    Parameters
    ----------
    store_text
        Whether the store holds what people wrote. If not, how it sounds is compared instead, whether or not the first is at hand: a
        verdict does not depend on how the log was cut into batches.

    Attributes
    ----------
    columns
        Columns whose values are compared, of the decoded records and of the events table alike.
    """

    def __init__(self, family: Family, *, store_text: bool) -> None:
        named = [f for f in family.fields if f.name not in {*_TIMES, *_CARRIED, *_GUESSED}]
        self._people = frozenset(f.name for f in named if f.pii == "pseudonym")
        written = [f.name for f in named if f.pii == "text"]
        said = [f.name for f in named if f.pii != "text"]
        self._texts = frozenset(written if store_text or not written else [SENTIMENT])
        self.columns = (*_TIMES, "pseudonym_version", *said, *sorted(self._texts))

    def differing(self, first: Sequence[Any], repeat: Sequence[Any]) -> list[str]:
        """Names of the fields in which the two differ; the values are those of `columns`."""
        if first == repeat:
            return []
        rekeyed = first[3] != repeat[3]
        out = [] if _same_time(first[:3], repeat[:3]) else [_TIMES[0].removesuffix("_ms")]
        for name, a, b in zip(self.columns[4:], first[4:], repeat[4:], strict=True):
            # The store's JSON shows a great double as a whole number, rounded to the digits that name it.
            if a == b or (rekeyed and name in self._people) or (a is not None and type(b) is float and float(a) == b):
                continue
            unknown = name in self._texts and not (a and b)  # of a time when texts were not stored
            if not unknown and not (name == "properties" and _same_json(a, b)):
                out.append(name)
        return out


def _same_time(first: Sequence[int], repeat: Sequence[int]) -> bool:
    """Whether both happened at one time, though a collector corrects it by the clocks of each request.

    A record without a time of its own has that of its arrival.
    """
    (a, a_sent, a_received), (b, b_sent, b_received) = first, repeat
    untold = a == a_received and b == b_received
    return a == b or untold or a - (a_received - a_sent) == b - (b_received - b_sent)


def _same_json(first: str, repeat: str) -> bool:
    """Whether two texts are one JSON value, in whatever order of keys."""
    try:
        one, other = (json.dumps(json.loads(text), sort_keys=True) for text in (first, repeat))
    except (ValueError, RecursionError):
        return False
    return one == other
