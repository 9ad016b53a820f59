"""Where the parts of the platform listen, from the settings or from the stack that runs in the data folder.

In: settings; the state file that a supervisor keeps.
Out: `Addresses`.
Never: a guess; without either the error says how to start.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.settings import Settings

STATE_FILE = "state.json"


class NotRunning(RuntimeError):
    """No address is set and no stack runs in the data folder."""


@dataclass(frozen=True)
class Addresses:
    """`kafka` is host:port, all others are URLs; `clickhouse` is that of the user that writes, without credentials."""

    kafka: str
    schema_registry: str
    clickhouse: str
    reader: str = "reader"

    @property
    def analyst(self) -> str:
        """Read-only address for analysts, without a password when embedded."""
        scheme, rest = self.clickhouse.split("://", 1)
        return f"{scheme}://{self.reader}@{rest}"


def state_of(folder: Path) -> dict[str, Any] | None:
    """What the supervisor of a data folder last wrote, None when there never was one."""
    try:
        state: dict[str, Any] = json.loads((folder / STATE_FILE).read_text())
    except (OSError, ValueError):
        return None
    return state


def resolve(settings: Settings) -> Addresses:
    """Addresses of the parts.

    Raises
    ------
    NotRunning
        When one is neither set nor known from a stack.
    """
    held = (state_of(settings.data_dir) or {}).get("internal", {})
    found = {
        "kafka": settings["FOOTLIGHTS_KAFKA"] or held.get("kafka"),
        "schema_registry": settings["FOOTLIGHTS_SCHEMA_REGISTRY"] or held.get("schema_registry"),
        "clickhouse": settings["FOOTLIGHTS_CLICKHOUSE"] or held.get("clickhouse"),
    }
    for name, address in found.items():
        if not address:
            raise NotRunning(
                f"no address of {name}: start the stack with `footlights up --detach`, or set FOOTLIGHTS_{name.upper()}"
            )
    return Addresses(**found, reader=settings["FOOTLIGHTS_CLICKHOUSE_READER"])
