"""A spool on its way: what was read from it together, and how many of those records wait for their acknowledgement.

In: a spool, what was read, acknowledgements.
Out: up to where all is settled, and how much is not.
Never: a record that is told settled before it is acknowledged or given up, whatever thread asks meanwhile.
"""

from collections import Counter

from footlights.frames import Framed
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
        self.flights: list[Flight] = []
        self.read_to = spool.seen
        self.failed = 0
        self.headers: list[tuple[str, str | bytes | None]] = [
            ("producer_id", spool.producer_id.encode()),
            ("source", spool.source.encode()),
            ("tenant_id", spool.tenant_id.encode()),
        ]

    def next(self, generation: int) -> Flight | None:
        """What is to be handed to the producer now; None when there is nothing."""
        flights = self.flights
        if flights and flights[-1].sent < len(flights[-1].records):
            return flights[-1]
        while flights and not flights[0].left:
            del flights[0]
        records = self.spool.read(final=not self.own)
        if not records:
            return None
        # In this order: whoever asks meanwhile counts these records twice, and never not at all.
        flights.append(Flight(records, generation))
        self.read_to = records[-1].sequence
        return flights[-1]

    @property
    def in_flight(self) -> int:
        """Records that were read, and are neither acknowledged nor given up."""
        return sum(len(flight.left) for flight in self.flights[:])

    @property
    def unacknowledged(self) -> int:
        """Records that Kafka has not acknowledged."""
        read_to = self.read_to
        return self.in_flight + self.spool.sequence - read_to

    @property
    def settled(self) -> int:
        """All up to this sequence are acknowledged or given up."""
        read_to = self.read_to
        return next((flight.records[0].sequence - 1 for flight in self.flights[:] if flight.left), read_to)

    def again(self) -> None:
        """Everything that is not settled is sent again."""
        self.spool.acknowledge(self.settled)
        self.flights.clear()
        self.spool.rewind()
        self.read_to = self.spool.seen
