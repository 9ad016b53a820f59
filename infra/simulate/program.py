"""The hosted events of a run: who hosts them, what they cost, when they open, begin and end.

In: a script and its source of randomness.
Out: HostedEvent, Program.
Never: a hosted event that depends on the traffic; only what is sold of it does.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Final

from infra.simulate.config import Script
from infra.simulate.rhythm import Burst

CATEGORIES: Final = ("concert", "theatre", "sports", "comedy", "conference", "festival")
CITIES: Final = (
    ("Mumbai", "IN", "INR"),
    ("New York", "US", "USD"),
    ("London", "GB", "GBP"),
    ("Berlin", "DE", "EUR"),
    ("Chicago", "US", "USD"),
    ("Paris", "FR", "EUR"),
    ("Tokyo", "JP", "JPY"),
    ("Austin", "US", "USD"),
    ("Kuwait City", "KW", "KWD"),
    ("Zurich", "CH", "CHF"),
    ("Seattle", "US", "USD"),
    # No planning rate exists for this currency: its rows must be left out of revenue and counted.
    ("São Paulo", "BR", "BRL"),
)
#: Minor units of a currency that buy about one US cent's worth.
_PER_CENT: Final = {"USD": 1.0, "EUR": 0.92, "GBP": 0.78, "INR": 83.0, "JPY": 1.5, "KWD": 3.1, "CHF": 0.9, "BRL": 5.0}
_MAX_ORDERS: Final = 500


@dataclass(frozen=True)
class Order:
    """A purchase that can be refunded or used at the door."""

    order_id: str
    user_id: str
    quantity: int
    amount_minor: int


@dataclass
class HostedEvent:
    """A hosted event; times are shares of the span, and those beyond 1 do not come in this run."""

    hosted_event_id: str
    host_id: str
    category: str
    city: str
    country: str
    currency: str
    price_minor: int
    capacity: int
    opens: float
    begins: float
    ends: float
    cancelled: float | None
    sold: int = 0
    closed: bool = False
    orders: list[Order] = field(default_factory=list)

    def keep(self, order: Order) -> None:
        """Remember an order for the door; beyond a number of them further ones are forgotten, so that state is bounded."""
        if len(self.orders) < _MAX_ORDERS:
            self.orders.append(order)


class Program:
    """All hosted events of a run, by the moment at which they go on sale."""

    def __init__(self, script: Script, random: Random) -> None:
        count = max(12, min(400, script.events // 1_000))
        self.events = sorted((_draw(script, n, count, random) for n in range(count)), key=lambda e: e.opens)
        self._announced = 0
        self._on_sale: list[HostedEvent] = []

    def bursts(self) -> tuple[Burst, ...]:
        """The rushes that on-sales during the run bring: a few big ones."""
        late = [e for e in self.events if e.opens > 0.02]
        return tuple(Burst(e.opens, 0.8, 0.012) for e in late[:: max(1, len(late) // 6)])

    def choose(self, share: float, random: Random) -> HostedEvent:
        """A hosted event on sale at a share of the span; those that opened last are asked for most.

        There always is one: flagships open with the run and outlast it.
        """
        while self._announced < len(self.events) and self.events[self._announced].opens <= share:
            self._on_sale.append(self.events[self._announced])
            self._announced += 1
        while True:
            back = random.random()
            chosen = self._on_sale[int((1 - back * back) * len(self._on_sale)) - 1]
            if not chosen.closed:
                return chosen
            self._on_sale.remove(chosen)


def _draw(script: Script, number: int, count: int, random: Random) -> HostedEvent:
    city, country, currency = CITIES[number % len(CITIES)]
    flagship = number % 4 == 0
    opens = 0.0 if flagship or number < count // 3 else random.random() * 0.8
    begins = 1.5 if flagship else opens + 0.06 + random.random() * 0.3
    cents = 1_500 + int(random.random() ** 2 * 12_000)
    return HostedEvent(
        hosted_event_id=f"he-{script.seed}-{number}",
        host_id=f"host-{int(random.random() * max(3, count // 3))}",
        category=CATEGORIES[int(random.random() * len(CATEGORIES))],
        city=city,
        country=country,
        currency=currency,
        price_minor=max(1, round(cents * _PER_CENT[currency])),
        capacity=(10_000 + script.events if flagship else 40) + int(random.random() ** 3 * 600),
        opens=opens,
        begins=begins,
        ends=begins + 0.04,
        cancelled=opens + (begins - opens) * 0.8 if random.random() < 0.05 and not flagship else None,
    )
