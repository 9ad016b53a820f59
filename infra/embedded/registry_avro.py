"""Avro schemas as the registry sees them: valid or not, the same or not, compatible or not.

In: the text of schemas.
Out: a canonical text, and the reasons why a schema does not fit its predecessors.
Never: I/O, nor a verdict that depends on the order of attributes or on white space.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import avro.name
import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException
from avro.io import validate

# A checker remembers pairs of schemas by their addresses, so each comparison needs its own.
_new_checker = cast("Callable[[], Any]", ReaderWriterCompatibilityChecker)


class InvalidSchema(ValueError):
    """The text is no Avro schema; the message says why."""


class Level(StrEnum):
    """Compatibility levels by Confluent's names."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"

    @property
    def new_reads_old(self) -> bool:
        """Whether the new schema must read data of its predecessors."""
        return self.name.startswith(("BACKWARD", "FULL"))

    @property
    def old_reads_new(self) -> bool:
        """Whether predecessors must read data of the new schema."""
        return self.name.startswith(("FORWARD", "FULL"))

    @property
    def transitive(self) -> bool:
        """Whether all predecessors count, not only the last."""
        return self.name.endswith("_TRANSITIVE")


@dataclass(frozen=True)
class AvroSchema:
    """A valid schema: its text as given (white space removed) and the canonical text that decides sameness."""

    text: str
    canonical: str


def parse(text: str, *, new: bool = True, normalize: bool = False) -> AvroSchema:
    """Check the text and return the schema.

    Parameters
    ----------
    new
        Whether defaults are checked, too: what was registered before they were is read as it is.
    normalize
        Whether the text is written anew, with attributes in one order and types in their shortest form.

    Raises
    ------
    InvalidSchema
        With the reason, defaults that do not fit their types included.

    >>> parse('{"type": "string"}').canonical == parse('"string"').canonical
    True
    """
    try:
        tree = json.loads(text)
        schema = _read(tree)
        if new:
            _check_defaults(schema)
    except (ValueError, TypeError, AttributeError, RecursionError, AvroException) as error:
        raise InvalidSchema(str(error)) from error
    canonical = json.dumps(schema.to_json(), sort_keys=True, separators=(",", ":"))
    if normalize:
        tree = _normal(tree)
    return AvroSchema(text=json.dumps(tree, separators=(",", ":")), canonical=canonical)


def _normal(tree: Any) -> Any:
    if isinstance(tree, dict):
        if set(tree) == {"type"}:
            return _normal(tree["type"])
        return {key: _normal(tree[key]) if key != "default" else tree[key] for key in sorted(tree)}
    return [_normal(item) for item in tree] if isinstance(tree, list) else tree


def incompatibilities(new: str, predecessors: Sequence[str], level: Level) -> list[str]:
    """Return why the new schema breaks the level towards its predecessors, oldest first; empty when it fits."""
    if level is Level.NONE or not predecessors:
        return []
    reasons: list[str] = []
    for old in predecessors if level.transitive else predecessors[-1:]:
        if level.new_reads_old:
            reasons += [f"the new schema cannot read the old: {why}" for why in _cannot_read(reader=new, writer=old)]
        if level.old_reads_new:
            reasons += [f"the old schema cannot read the new: {why}" for why in _cannot_read(reader=old, writer=new)]
    return reasons


def _cannot_read(*, reader: str, writer: str) -> list[str]:
    result = _new_checker().get_compatibility(_read(json.loads(reader)), _read(json.loads(writer)))
    if result.compatibility is SchemaCompatibilityType.compatible:
        return []
    kinds = ", ".join(sorted({kind.value for kind in result.incompatibilities}))
    return [f"{kinds} at {', '.join(sorted(result.locations))}: {'; '.join(sorted(result.messages))}"]


def _read(tree: Any) -> avro.schema.Schema:
    return avro.schema.make_avsc_object(_without_logical_types(tree), avro.name.Names())


def _without_logical_types(tree: Any) -> Any:
    """Keep logical types as a plain attribute: they change no byte, and the parser warns of those it does not know."""
    if isinstance(tree, dict):
        return {
            "logical-type" if key == "logicalType" else key: _without_logical_types(value)
            for key, value in tree.items()
        }
    return [_without_logical_types(item) for item in tree] if isinstance(tree, list) else tree


def _check_defaults(schema: avro.schema.Schema) -> None:
    for field in _fields(schema, set()):
        if not field.has_default:
            continue
        # A union's default may be of any of its branches, as in Avro's own Java library, which Confluent's registry asks.
        branches = field.type.schemas if isinstance(field.type, avro.schema.UnionSchema) else [field.type]
        if not any(_fits(branch, field.default) for branch in branches):
            names = " or ".join(str(branch.type) for branch in branches)
            raise InvalidSchema(f"the default of field {field.name} does not fit its type {names}")


def _fits(expected: avro.schema.Schema, value: object) -> bool:
    if expected.type in {"bytes", "fixed"} and isinstance(value, str):
        value = value.encode("latin-1", "replace")
    return bool(validate(expected, value))


def _fields(schema: avro.schema.Schema, seen: set[int]) -> Iterator[avro.schema.Field]:
    if id(schema) in seen:
        return
    seen.add(id(schema))
    if isinstance(schema, avro.schema.RecordSchema):
        for field in schema.fields:
            yield field
            yield from _fields(field.type, seen)
    elif isinstance(schema, avro.schema.UnionSchema):
        for branch in schema.schemas:
            yield from _fields(branch, seen)
    elif isinstance(schema, avro.schema.ArraySchema):
        yield from _fields(schema.items, seen)
    elif isinstance(schema, avro.schema.MapSchema):
        yield from _fields(schema.values, seen)
