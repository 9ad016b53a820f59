"""The event families: one flat Avro record each, read from `avro/<name>.v<version>.avsc`.

In: the schema files of this package.
Out: FAMILIES, ENVELOPE and the internal records.
Never: a field that is declared twice.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

FAMILY_NAMES = ("interaction", "commerce", "listing", "attendance", "feedback", "performance", "account")
INTERNAL_NAMES = ("partial", "kpi_point", "dead_letter", "producer_report", "consent", "session")

#: Kinds of a column as the predicates, decoders and tables know them.
STRING, LONG, DOUBLE, BOOLEAN, BYTES = "string", "long", "double", "boolean", "bytes"


@dataclass(frozen=True)
class Field:
    """One column: its kind, whether it may be null, its privacy class and what it means."""

    name: str
    kind: str
    nullable: bool
    pii: str
    doc: str


@dataclass(frozen=True)
class Record:
    """One version of one Avro record."""

    name: str
    version: int
    text: str

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The Avro schema as parsed JSON."""
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The columns in schema order."""
        return tuple(_field(f) for f in self.schema["fields"])

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Column name to kind."""
        return {f.name: f.kind for f in self.fields}

    @property
    def doc(self) -> str:
        """What the record holds."""
        return str(self.schema["doc"])


@dataclass(frozen=True)
class Family(Record):
    """An event family: its record, its topic and its table."""

    @property
    def topic(self) -> str:
        """Kafka topic of the family's records."""
        return f"events.{self.name}"

    @property
    def table(self) -> str:
        """ClickHouse table of the family's accepted, distinct records."""
        return f"events_{self.name}"


def _field(declared: dict[str, Any]) -> Field:
    kind = declared["type"]
    nullable = isinstance(kind, list)
    return Field(declared["name"], kind[1] if nullable else kind, nullable, declared["pii"], declared["doc"])


def versions(name: str) -> list[tuple[int, str]]:
    """(version, text) of each schema file of a record, oldest first."""
    folder = files(__package__).joinpath("avro")
    found = [p.name for p in folder.iterdir() if p.name.startswith(f"{name}.v") and p.name.endswith(".avsc")]
    return sorted((int(n.split(".v")[1].split(".")[0]), folder.joinpath(n).read_text()) for n in found)


FAMILIES: dict[str, Family] = {name: Family(name, *versions(name)[-1]) for name in FAMILY_NAMES}
INTERNAL: dict[str, Record] = {name: Record(name, *versions(name)[-1]) for name in INTERNAL_NAMES}
BY_TOPIC: dict[str, Family] = {family.topic: family for family in FAMILIES.values()}

#: Columns that every family has, in the order of the schemas.
ENVELOPE: tuple[str, ...] = tuple(
    f.name for f in FAMILIES["interaction"].fields if all(f.name in other.kinds for other in FAMILIES.values())
)
