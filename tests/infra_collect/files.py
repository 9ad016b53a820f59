"""A file that is parsed as `replay` does it, and what became of each of its lines.

In: bytes, a format, a mapping. Out: Parsed. Never: a line that is counted twice or nowhere.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from infra.replay.event import Event, Origin, Refused
from infra.replay.lines import LineReader
from infra.replay.run import ReplayConfig, parse_file

#: Orders of a ticket shop.
ORDERS = """
[event]
name = "ticket_purchased"
[time]
column = "when"
[ids]
user_id = "customer"
message_id = "order"
[fields]
order_id = "order"
quantity = "quantity"
amount_minor = { column = "amount", decimals = 2 }
currency = "currency"
[properties]
item = "item"
"""
HEADER = "order,when,customer,item,quantity,amount,currency"


def order(
    number: int, item: str = "Standing", quantity: str = "1", amount: str = "45.00", currency: str = "USD"
) -> str:
    """A row of the shop; the second of its time is its number."""
    return f"A{number},2026-07-10T10:00:{number:02d}Z,c{number},{item},{quantity},{amount},{currency}"


@dataclass(frozen=True)
class Parsed:
    """Events by the number of their line, reasons by that of theirs, and lines that are no row of their own."""

    events: dict[int, list[Event]]
    refused: dict[int, str]
    lines: int
    beside: Counter[str]
    problem: str | None
    charset: str | None

    @property
    def orders(self) -> list[object]:
        return [event.fields.get("order_id") for events in self.events.values() for event in events]


def parsed(
    folder: Path, content: bytes | str, form: str = "csv", mapping: str = ORDERS, name: str = "file", digest: str = "d"
) -> Parsed:
    """What becomes of a file; each of its lines must be in one place."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "mapping.toml").write_text(mapping)
    reader = LineReader(folder / name)
    config = ReplayConfig(folder / name, form, folder / "mapping.toml" if form == "csv" else None)
    events: dict[int, list[Event]] = {}
    refused: dict[int, str] = {}
    for number, found in parse_file(config, reader, Origin(digest, "default", "replay")):
        assert number not in events and number not in refused
        if isinstance(found, Refused):
            refused[number] = str(found)
        else:
            events[number] = found
    assert len(events) + len(refused) + sum(reader.beside.values()) == reader.lines
    return Parsed(events, refused, reader.lines, reader.beside, reader.problem, reader.charset)
