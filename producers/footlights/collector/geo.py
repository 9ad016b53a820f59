"""City and country of an address, from a local database; the address goes no further, and a rare city becomes its region.

In: an address, a database in MaxMind's format; who came.
Out: context columns.
Never: a request to anybody, coordinates, an address in what is returned, or a city in which a person would stand alone.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import maxminddb

REGION = "{} (region)"


class Places:
    """Looks places up; without a database nothing is found. `region` of what is found is no column: see `Cities`."""

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
            regions = found.get("subdivisions") or [{}]
            if region := regions[0].get("names", {}).get("en"):
                out["region"] = str(region)
            if city:
                out["city"] = str(city)
            if country:
                out["country"] = str(country)
        return out


class Cities:
    """Names a city once `least` people were seen there by this process, and its region until then."""

    def __init__(self, least: int) -> None:
        self._least = least
        #: (country, region, city) to hashes of at most `least` people.
        self._seen: dict[tuple[str | None, ...], set[int]] = {}

    def shown(self, around: Mapping[str, str], who: tuple[str | None, ...]) -> dict[str, str]:
        """The context columns of an event of this person."""
        out = dict(around)
        region, city = out.pop("region", None), out.get("city")
        if city is None:
            return out
        seen = self._seen.setdefault((out.get("country"), region, city), set())
        if len(seen) < self._least and any(who[1:]):
            seen.add(hash(who))
        if len(seen) < self._least:
            del out["city"]
            if region:
                out["city"] = REGION.format(region)
        return out
