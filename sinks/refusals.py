"""Records that cannot be stored, counted by what their header says.

In: refused records of a batch in offset order.
Out: counts by source, the greatest sequence of each producer, a row for each number that was refused first here.
Never: a number that counts twice: what a producer sends again, after a crash before the acknowledgement, is a redelivery.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from schemas.origin import origin_of
from sinks.past import Number
from sinks.record_batches import Record

UNKNOWN = "unknown"


class Refusals:
    """What is to be told of refused records; `known` says which of some numbers were refused before the batch."""

    def __init__(self, records: Sequence[Record], known: Callable[[list[Number]], set[Number]]) -> None:
        numbers = [_number(record) for record in records]
        seen = known(sorted({number for _, number in numbers if number}))
        self.rows: list[dict[str, Any]] = []
        self.redelivered: Counter[str] = Counter()
        #: Greatest sequence by source/producer_id.
        self.sequences: dict[str, int] = {}
        dead: Counter[str] = Counter()
        unclaimed: Counter[str] = Counter()
        for record, (source, number) in zip(records, numbers, strict=True):
            if number in seen:
                self.redelivered[source] += 1
                continue
            dead[source] += 1
            if number is None:
                unclaimed[source] += 1
                continue
            seen.add(number)
            _, producer, sequence = number
            note_greatest(self.sequences, source, producer, sequence)
            self.rows.append({"offset": record.offset, "source": source, "producer_id": producer, "sequence": sequence})
        self.counts = {"dead_lettered": dict(dead), "unclaimed": dict(unclaimed)}


def note_greatest(sequences: dict[str, int], source: str, producer: str, sequence: int) -> None:
    """Note the sequence of a producer, by source/producer_id, when it is the greatest known.

    What comes behind the last slash is the id, so that one of its own is written as in a URL.
    """
    key = f"{source}/{producer.replace('%', '%25').replace('/', '%2F')}"
    sequences[key] = max(sequences.get(key, 0), sequence)


def _number(record: Record) -> tuple[str, Number | None]:
    """Source of a record and, where its producer numbered it, its number."""
    source, producer, sequence = origin_of(record.headers)
    source = source or UNKNOWN
    return source, None if producer is None or sequence is None else (source, producer, sequence)
