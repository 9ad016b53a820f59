"""The order lines of a real shop, a quarter of them by guests: what replay publishes equals a plain count.

In: `online-retail` of the shared data, when it is there. Out: lines, revenue, pieces, people. Never: a guest left out.
"""

import lzma
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from infra.replay.run import ReplayConfig, replay
from tests.infra_collect.memory_client import Connector

REAL = Path(__file__).parents[3] / "shared" / "data" / "online-retail" / "transactions.csv.xz"
MAPPING = """
[event]
name = "ticket_purchased"
[[event.rules]]
column = "invoice"
starts_with = "C"
name = "refund_issued"
[time]
column = "ts"
format = "%Y-%m-%d %H:%M"
zone = "Europe/London"
[ids]
user_id = "customer"
[fields]
order_id = "invoice"
quantity = { column = "quantity", absolute = true }
amount_minor = { column = "price", times = "quantity", decimals = 2, absolute = true }
currency = { value = "GBP" }
"""


@pytest.mark.slow
def test_a_real_shop_is_published_as_a_plain_count_finds_it(tmp_path: Path) -> None:
    if not REAL.exists():
        pytest.skip("the real orders are not here: they lie in ../shared/data/online-retail, beside the repository")
    content = lzma.decompress(REAL.read_bytes())
    (tmp_path / "orders.csv").write_bytes(content)
    (tmp_path / "orders.toml").write_text(MAPPING)
    connector = Connector()
    result = replay(ReplayConfig(tmp_path / "orders.csv", "csv", tmp_path / "orders.toml"), connector)
    sold, pieces, lines, guests = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    people: dict[str, set[str]] = {"ticket_purchased": set(), "refund_issued": set()}
    for call in connector.calls:
        name = call["event_name"]
        lines[name] += 1
        sold[name] += call["amount_minor"]
        pieces[name] += call["quantity"]
        if call["user_id"] is None:
            guests[name] += 1
        else:
            people[name].add(call["user_id"])
    assert (sold, pieces, lines, guests, people) == count_plainly(content.decode())
    assert result.lines + result.refused == result.read == 541_909 and result.refused == 4
    assert result.reasons == {"an amount of GBP has at most 2 decimals": 4}  # 0.001 pounds for a correction
    assert guests.total() == 135_080


def count_plainly(text: str) -> tuple[Counter[str], Counter[str], Counter[str], Counter[str], dict[str, set[str]]]:
    """The same figures by a few lines that share nothing with the parser; lines of parts of a penny are left out."""
    sold, pieces, lines, guests = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    people: dict[str, set[str]] = {"ticket_purchased": set(), "refund_issued": set()}
    for line in text.splitlines()[1:]:
        invoice, _, quantity, _, price, customer, _ = line.split(",")
        pence = abs(Decimal(price) * int(quantity) * 100)
        if pence != int(pence):
            continue
        name = "refund_issued" if invoice.startswith("C") else "ticket_purchased"
        lines[name] += 1
        sold[name] += int(pence)
        pieces[name] += abs(int(quantity))
        if customer:
            people[name].add(customer)
        else:
            guests[name] += 1
    return sold, pieces, lines, guests, people
