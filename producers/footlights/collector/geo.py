"""City and country of an address, from a local database; the address goes no further.

In: an address, a database in MaxMind's format.
Out: context columns.
Never: a request to anybody, coordinates, or an address in what is returned.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import maxminddb


class Places:
    """Looks places up; without a database nothing is found."""

    def __init__(self, database: Path | None = None) -> None:
        self._reader = maxminddb.open_database(database) if database else None
        self.of = lru_cache(maxsize=10_000)(self._find)

    def _find(self, address: str) -> Mapping[str, str]:
        if self._reader is None:
            return {}
        try:
            found: Any = self._reader.get(address)
        except ValueError:  # no address
            return {}
        out = {}
        if isinstance(found, dict):
            city = found.get("city", {}).get("names", {}).get("en")
            country = found.get("country", {}).get("iso_code")
            if city:
                out["city"] = str(city)
            if country:
                out["country"] = str(country)
        return out
