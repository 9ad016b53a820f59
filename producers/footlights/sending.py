"""A spool on its way: what was read from it together, and how many of those records wait for their acknowledgement.

In: a spool, what was read, acknowledgements.
Out: up to where all is settled, and how much is not.
Never: a record that is told settled before it is acknowledged or given up, whatever thread asks meanwhile.
"""

from collections import Counter

from footlights.frames import Framed
from footlights.ids import KEY_SEPARATOR
from footlights.spool import Spool


class Flight:
    """Records that were read together, and share a call back: one for each record would cost as much as sending it."""

    __slots__ = ("generation", "left", "records", "sent")

    def __init__(self, records: list[Framed], generation: int) -> None:
        self.records, self.generation = records, generation
        #: How many of them the producer has.
        self.sent = 0
        #: As many as are neither acknowledged nor given up. Threads take from it at once, which a number would not survive.
        self.left = [None] * len(records)

    def number_of(self, payload: bytes | None) -> int:
        """Sequence of the record with this payload; 0 when it is none of them."""
        return next((record.sequence for record in self.records if record.payload == payload), 0)


class Sending:
    """A spool on its way. Moved by one thread at a time; any thread may ask, and acknowledge."""

    def __init__(self, spool: Spool, refused: Counter[str] | None = None) -> None:
        #: `refused` counts what its process refused, by reason; None for the spool of a dead process.
        self.spool, self.own = spool, refused is not None
        self.refused: Counter[str] = Counter() if refused is None else refused
        #: Up to which sequence was read, and the reads that are not done with: one value, since whoever asks must not see halves.
        self._way: tuple[int, tuple[Flight, ...]] = (spool.seen, ())
        self.failed = 0
        #: What is told of each record besides it, for one that cannot be decoded: whose it is, before its sequence.
        self.origin = KEY_SEPARATOR.join((spool.source, spool.producer_id, ""))

    def next(self, generation: int) -> Flight | None:
        """What is to be handed to the producer now; None when there is nothing."""
        read_to, flights = self._way
        if flights and flights[-1].sent < len(flights[-1].records):
            return flights[-1]
        records = self.spool.read(final=not self.own)
        if flights and (records or not flights[0].left):
            flights = tuple(flight for flight in flights if flight.left)
        if not records:
            self._way = read_to, flights
            return None
        flight = Flight(records, generation)
        self._way = records[-1].sequence, (*flights, flight)
        return flight

    @property
    def in_flight(self) -> int:
        """Records that were read, and are neither acknowledged nor given up."""
        return sum(len(flight.left) for flight in self._way[1])

    @property
    def unacknowledged(self) -> int:
        """Records that Kafka has not acknowledged."""
        read_to, flights = self._way  # before the spool's sequence, which grows
        return sum(len(flight.left) for flight in flights) + self.spool.sequence - read_to

    @property
    def settled(self) -> int:
        """All up to this sequence are acknowledged or given up."""
        read_to, flights = self._way
        return next((flight.records[0].sequence - 1 for flight in flights if flight.left), read_to)

    def again(self) -> None:
        """Everything that is not settled is sent again."""
        self.spool.acknowledge(self.settled)
        self.spool.rewind()
        self._way = self.spool.seen, ()
