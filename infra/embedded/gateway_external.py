"""External tables: data that a client sends along with a statement that reads them.

In: parts of a form, each a file, with its structure and format beside it.
Out: temporary tables on the statement's handle.
Never: a name or a structure that runs as SQL.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.embedded.gateway_errors import GatewayError
from infra.embedded.gateway_native_types import split_types
from infra.embedded.gateway_statement import quote

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SUFFIXES = ("structure", "types", "format")


@dataclass(frozen=True)
class ExternalTable:
    """The data of a table that lives as long as its statement."""

    name: str
    path: Path
    structure: str
    format: str

    def create(self, handle: Any) -> None:
        """Make the table on the handle."""
        source = f"file({quote(str(self.path))}, {quote(self.format)}, {quote(self.structure)})"
        handle.query(f"CREATE TEMPORARY TABLE `{self.name}` ENGINE = Memory AS SELECT * FROM {source}")

    def drop(self, handle: Any) -> None:
        """Remove the table from the handle."""
        handle.query(f"DROP TEMPORARY TABLE IF EXISTS `{self.name}`")


def external_table(name: str, path: Path, options: Mapping[str, str]) -> ExternalTable:
    """Return the table of one file of a form.

    Raises
    ------
    GatewayError
        When the name is none for a table, or neither its structure nor its types are given.
    """
    if not _NAME.fullmatch(name):
        raise GatewayError(36, "BAD_ARGUMENTS", f"{name!r} cannot be the name of an external table.")
    structure = options.get(f"{name}_structure", "")
    if not structure and (types := options.get(f"{name}_types", "")):
        structure = ", ".join(f"_{index + 1} {kind}" for index, kind in enumerate(split_types(types)))
    if not structure:
        message = f"External table {name} needs {name}_structure or {name}_types."
        raise GatewayError(36, "BAD_ARGUMENTS", message)
    return ExternalTable(name, path, structure, options.get(f"{name}_format") or "TabSeparated")


def describes(option: str, tables: Mapping[str, Path]) -> bool:
    """Whether an option belongs to one of the tables, and so is no setting."""
    return any(option == f"{name}_{suffix}" for name in tables for suffix in _SUFFIXES)
