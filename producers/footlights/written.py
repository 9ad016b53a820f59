"""A schema that records are written with.

In: a subject's newest schema, as the registry has it.
Out: its id and columns.
Never: a connection; `registry` asks.
"""

import json
from dataclasses import dataclass


class SchemaUnavailable(RuntimeError):
    """The registry does not answer or does not know the subject, and no copy is on disk."""


@dataclass(frozen=True)
class Written:
    """A registered schema: its id, and its columns with their Avro kinds."""

    subject: str
    schema_id: int
    text: str

    @property
    def kinds(self) -> dict[str, str]:
        """Column name to "string", "long", "double" or "boolean"."""
        return {
            f["name"]: f["type"][1] if isinstance(f["type"], list) else f["type"]
            for f in json.loads(self.text)["fields"]
        }
