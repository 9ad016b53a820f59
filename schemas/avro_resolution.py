"""Avro's rules for reading what another schema wrote.

In: the schema that a record was written with, whatever it is; the schema that we read with.
Out: how to read it: as columns, one record at a time, or not at all.
Never: a value of a type that the reader's schema does not have, or a schema that keeps a decoder busy for ever.

The rules are those of "Schema Resolution" in Avro's specification: numbers widen, text and bytes change into each other, a field
that the writer lacks gets its default, one that the reader lacks is left out, logical types count as what they stand on.
"""

import io
import json
from typing import Any

import fastavro

Schema = dict[str, Any]

#: The types of our own schemas, and those of writers that are read as columns.
_SIMPLE = frozenset({"string", "bytes", "long", "double", "boolean", "float"})
#: What a column may have been written as, by the type that it is read as; beside that type itself.
_WIDENED = {"double": frozenset({"long", "float"})}
_DEEPEST = 16


class Unreadable(ValueError):
    """No record of the writer's schema can be read, or this one cannot."""


def schema_of(text: str | None, kind: str | None = "AVRO") -> Any:
    """A schema as the registry holds it; None when it is Protobuf's, JSON Schema's or broken: no record of it can be read."""
    if kind not in {None, "", "AVRO"}:
        return None
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None


def plain(schema: Any, depth: int = 0) -> Any:
    """A schema without logical types, `int` as the `long` that it is on the wire.

    Raises
    ------
    Unreadable
        It is nested deeper than any event's.
    """
    if depth > _DEEPEST:
        raise Unreadable("the schema is nested too deeply")
    if isinstance(schema, list):
        branches = [plain(branch, depth + 1) for branch in schema]
        return branches if _distinct(branches) else schema
    if schema == "int":
        return "long"
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    if isinstance(kind, dict | list) or (kind in _SIMPLE or kind in {"int", "null"}):
        return plain(kind, depth + 1)
    out = {name: value for name, value in schema.items() if name not in {"logicalType", "precision", "scale"}}
    for inner in ("items", "values"):
        if inner in out:
            out[inner] = plain(out[inner], depth + 1)
    if isinstance(out.get("fields"), list):
        out["fields"] = [{**field, "type": plain(field["type"], depth + 1)} for field in out["fields"]]
    return out


def _distinct(branches: list[Any]) -> bool:
    """Whether a union stays one: it has each unnamed type once, so an `int` beside a `long` keeps its name."""
    names = [branch for branch in branches if isinstance(branch, str)]
    return len(names) == len(set(names))


def as_columns(writer: Any, reader: Schema) -> list[dict[str, Any]] | None:
    """The writer's fields, where each is a column and each column of the reader follows from them; else None.

    The writer's schema is a `plain` one. A field that is optional where the reader needs a value is judged record by record.
    """
    if not isinstance(writer, dict) or writer.get("type") != "record" or not writer["fields"]:
        return None
    written: dict[str, tuple[str, bool]] = {}
    for field in writer["fields"]:
        if (kind := _column(field["type"])) is None:
            return None
        written[field["name"]] = kind
    for field in reader["fields"]:
        wanted = _column(field["type"])
        if field["name"] not in written:
            if "default" not in field:
                return None
        elif wanted is None or not _follows(written[field["name"]], wanted):
            return None
    return [{"name": field["name"], "type": field["type"]} for field in writer["fields"]]


def _column(kind: Any) -> tuple[str, bool] | None:
    """(type, whether a value may be absent) of a field that is a column."""
    branches = kind if isinstance(kind, list) else [kind]
    named = [branch for branch in branches if branch != "null"]
    if len(named) != 1 or not isinstance(named[0], str) or named[0] not in _SIMPLE or len(branches) > 2:
        return None
    return named[0], "null" in branches


def _follows(written: tuple[str, bool], wanted: tuple[str, bool]) -> bool:
    (kind, optional), (as_kind, may_be_absent) = written, wanted
    return (kind == as_kind or kind in _WIDENED.get(as_kind, ())) and (may_be_absent or not optional)


class Resolution:
    """Reads records of a writer's schema one at a time.

    Raises
    ------
    Unreadable
        Nothing of that schema could be read: it is none, refers to itself, or has lists whose items take no byte.

    Examples
    --------
    >>> wide = {"type": "record", "name": "r", "fields": [{"name": "n", "type": "double"}]}
    >>> slim = {"type": "record", "name": "r", "fields": [{"name": "n", "type": "int"}]}
    >>> Resolution(slim, wide)(b"\\x06")
    {'n': 3.0}
    """

    def __init__(self, writer: Any, reader: Schema) -> None:
        try:
            written = plain(writer)
            _least_bytes(written, ())
            self._writer = fastavro.parse_schema(written)
            self._reader = fastavro.parse_schema(reader)
        except Unreadable:
            raise
        except Exception as problem:  # whatever a foreign schema makes a parser raise
            raise Unreadable(f"no schema: {type(problem).__name__}") from problem

    def __call__(self, body: bytes) -> dict[str, Any]:
        """The record of a body without a header, with the reader's fields.

        Raises
        ------
        Unreadable
            It does not end where it should, or a value is none of the reader's type.
        """
        source = io.BytesIO(body)
        try:
            record: Any = fastavro.schemaless_reader(source, self._writer, self._reader)
        except Exception as problem:  # fastavro raises many kinds for bytes that it cannot read; all mean the same here
            raise Unreadable(type(problem).__name__) from problem
        if source.tell() != len(body) or not isinstance(record, dict):
            raise Unreadable("the record does not end where its schema says")
        return record


def _least_bytes(schema: Any, inside: tuple[str, ...]) -> int:
    """The fewest bytes that a value takes.

    Raises
    ------
    Unreadable
        The schema refers to itself, or a list's items may take none: a few bytes could then promise a list without an end.
    """
    if isinstance(schema, list):
        for branch in schema:
            _least_bytes(branch, inside)
        return 1
    if not isinstance(schema, dict):
        if schema in inside:
            raise Unreadable("the schema refers to itself")
        return 0 if schema == "null" else 1
    kind = schema["type"]
    if kind in {"record", "error"}:
        within = (*inside, schema["name"])
        return sum(_least_bytes(field["type"], within) for field in schema["fields"])
    if kind == "fixed":
        return int(schema["size"])
    for inner in ("items", "values"):
        if inner in schema and not _least_bytes(schema[inner], inside) and inner == "items":
            raise Unreadable("the items of a list take no byte")
    return 1
