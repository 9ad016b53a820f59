"""What the shop sells, and a bank that is as easily understood.

In: nothing.
Out: concerts; an answer to a card.
Never: a real card: the test numbers of a payment provider say what shall happen.
"""

from dataclasses import dataclass

CURRENCY = "USD"
#: The bank declines it, as the test card of a well-known payment provider.
DECLINED = "4000000000000002"


@dataclass(frozen=True)
class Concert:
    """A hosted event with one kind of ticket."""

    id: str
    title: str
    city: str
    category: str
    price_minor: int
    capacity: int


CONCERTS = {
    concert.id: concert
    for concert in (
        Concert("e1", "Night of the Violins", "Vienna", "classical", 6_500, 400),
        Concert("e2", "Basement Jazz", "Chicago", "jazz", 2_800, 120),
        Concert("e3", "Harbour Open Air", "Hamburg", "rock", 4_900, 5_000),
        Concert("e4", "Choir at Dawn", "Pune", "choral", 1_200, 250),
    )
}


def authorised(card: str) -> bool:
    """Whether the bank pays."""
    return card.isdigit() and len(card) == 16 and card != DECLINED
