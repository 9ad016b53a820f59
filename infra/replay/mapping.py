"""The mapping file of a CSV: which column becomes what, in TOML.

In: a TOML file.
Out: Mapping, checked.
Never: a name in the file that nothing reads.
"""

import codecs
import tomllib
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from footlights.client import CONTEXT

from infra.replay.amounts import Numbers

IDS: Final = ("user_id", "anonymous_id", "session_id", "message_id")
#: Keys of each table of the file; None: free names.
_TABLES: Final[dict[str, frozenset[str] | None]] = {
    "csv": frozenset({"delimiter", "encoding", "decimal", "thousands"}),
    "event": frozenset({"name", "column", "names", "rules"}),
    "time": frozenset({"column", "format", "zone"}),
    "ids": frozenset(IDS),
    "fields": None,
    "context": frozenset(CONTEXT),
    "properties": None,
}
_SOURCE_KEYS: Final[dict[str, tuple[type, ...]]] = {
    "column": (str,), "value": (str, int, float, bool), "decimals": (int,), "times": (str,), "absolute": (bool,),
}  # fmt: skip
_MOST_DECIMALS: Final = 18


class BadMapping(ValueError):
    """The mapping file is wrong; the text says where."""


@dataclass(frozen=True)
class Source:
    """Where a value comes from: a column or a constant; for numbers what is done to it.

    `decimals` moves the decimal point (2: "12.5" is 1250), `times` multiplies with another column, `absolute` drops the sign. For
    money any `decimals` above 0 says that the column holds whole units (yen, dollars): the currency says how many decimals it has.
    """

    column: str | None = None
    value: str | int | float | bool | None = None
    decimals: int | None = None
    times: str | None = None
    absolute: bool = False


@dataclass(frozen=True)
class Rule:
    """A row whose column starts with a text has another event name."""

    column: str
    starts_with: str
    name: str


@dataclass(frozen=True)
class Mapping:
    """A checked mapping file."""

    time_column: str
    time_format: str = "iso8601"
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    event_name: str | None = None
    event_column: str | None = None
    event_names: MappingOf[str, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    ids: MappingOf[str, Source] = field(default_factory=dict)
    fields: MappingOf[str, Source] = field(default_factory=dict)
    context: MappingOf[str, Source] = field(default_factory=dict)
    properties: MappingOf[str, Source] = field(default_factory=dict)
    delimiter: str = ","
    encoding: str = "utf-8"
    numbers: Numbers = field(default_factory=Numbers)

    @property
    def columns(self) -> set[str]:
        """Every column that the mapping reads."""
        named = {self.time_column, *([self.event_column] if self.event_column else []), *(r.column for r in self.rules)}
        for table in (self.ids, self.fields, self.context, self.properties):
            for source in table.values():
                named |= {c for c in (source.column, source.times) if c}
        return named


def read_mapping(path: Path) -> Mapping:
    """The mapping of a file.

    Raises
    ------
    BadMapping
        When it is no TOML, lacks a needed name or has an unknown one.
    """
    try:
        return parse_mapping(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadMapping(f"{path.name} is no TOML: {error}") from error


def parse_mapping(tables: dict[str, Any]) -> Mapping:
    """The mapping of a parsed file; raises BadMapping as `read_mapping` does."""
    for table, content in tables.items():
        if table not in _TABLES:
            raise BadMapping(f"[{table}] is unknown; there are {', '.join(_TABLES)}")
        if not isinstance(content, dict):
            raise BadMapping(f"{table} must be a table")
        allowed = _TABLES[table]
        if allowed is not None and (unknown := set(content) - allowed):
            raise BadMapping(f"[{table}] {min(unknown)} is unknown; there are {', '.join(sorted(allowed))}")
    event, time, csv = tables.get("event", {}), tables.get("time", {}), tables.get("csv", {})
    if "column" not in time:
        raise BadMapping("[time] column is needed")
    if not isinstance(event.get("name"), str) and not isinstance(event.get("column"), str):
        raise BadMapping("[event] needs a name or a column")
    names, rules = event.get("names", {}), event.get("rules", [])
    if not isinstance(names, dict) or not isinstance(rules, list):
        raise BadMapping("[event] names must be a table, and [[event.rules]] tables")
    return Mapping(
        time_column=str(time["column"]),
        time_format=str(time.get("format", "iso8601")),
        zone=_zone(str(time.get("zone", "UTC"))),
        event_name=event.get("name"),
        event_column=event.get("column"),
        event_names={str(k): str(v) for k, v in names.items()},
        rules=tuple(_rule(r) for r in rules),
        delimiter=_delimiter(csv.get("delimiter", ",")),
        encoding=_encoding(csv.get("encoding", "utf-8")),
        numbers=_numbers(csv.get("decimal", "."), csv.get("thousands")),
        **{t: {k: _source(t, k, v) for k, v in tables.get(t, {}).items()} for t in _SOURCED},
    )


_SOURCED: Final = ("ids", "fields", "context", "properties")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise BadMapping(f"[time] zone {name!r} is unknown") from error


def _rule(content: object) -> Rule:
    if not isinstance(content, dict) or set(content) != {"column", "starts_with", "name"}:
        raise BadMapping("[[event.rules]] needs column, starts_with and name")
    return Rule(str(content["column"]), str(content["starts_with"]), str(content["name"]))


def _delimiter(told: object) -> str:
    if not isinstance(told, str) or len(told) != 1 or told in '"\r\n':
        raise BadMapping('[csv] delimiter must be one character and no quote, e.g. ";" or "\\t"')
    return told


def _encoding(told: object) -> str:
    try:
        b"".decode(str(told))
        name = codecs.lookup(str(told)).name
    except (LookupError, ValueError) as error:
        raise BadMapping(f"[csv] encoding {told!r} is unknown; write one such as utf-8, cp1252, utf-16") from error
    return "utf-8" if name == "utf-8-sig" else name


def _numbers(decimal: object, thousands: object) -> Numbers:
    if decimal not in (".", ","):
        raise BadMapping('[csv] decimal must be "." or ","')
    if thousands is not None and (thousands == decimal or thousands not in _THOUSANDS):
        raise BadMapping("[csv] thousands must be a comma, a point, an apostrophe or a space, and not the decimal sign")
    return Numbers(str(decimal), None if thousands is None else str(thousands))


_THOUSANDS: Final = (",", ".", "'", "\u2019", " ", "\u00a0", "\u202f")


def _source(table: str, key: str, content: object) -> Source:
    if isinstance(content, str):
        return Source(column=content)
    if (
        not isinstance(content, dict)
        or set(content) - set(_SOURCE_KEYS)
        or ("column" in content) == ("value" in content)
    ):
        raise BadMapping(
            f"[{table}] {key} must be a column, or a table with column or value, decimals, times, absolute"
        )
    for name, value in content.items():
        if not isinstance(value, _SOURCE_KEYS[name]) or (name == "decimals" and isinstance(value, bool)):
            raise BadMapping(f"[{table}] {key}: {name} must be {' or '.join(t.__name__ for t in _SOURCE_KEYS[name])}")
    if abs(content.get("decimals", 0)) > _MOST_DECIMALS:
        raise BadMapping(f"[{table}] {key}: decimals must lie between -{_MOST_DECIMALS} and {_MOST_DECIMALS}")
    return Source(**content)
