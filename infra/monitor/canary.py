"""A record of our own through the whole path: SDK, Kafka, sink, store.

In: a client of the store.
Out: seconds from publishing to the row and to the point.
Never: a canary in a figure of the platform: it has a tenant of its own.
"""

import time
import uuid
from typing import Any

from footlights import Client

from infra.addresses import Addresses
from infra.query import json_rows
from infra.settings import Settings

TENANT = "canary"
#: Clocks of the store and of the KPI stage against the canary's own time, in milliseconds.
STORED = """
SELECT toUnixTimestamp64Milli(_inserted_at) - occurred_at_ms AS took_ms FROM footlights.events_interaction
WHERE tenant_id = '{tenant}' AND event_name = 'page_view' AND path = '{mark}'
"""
POINT = """
SELECT toUnixTimestamp64Milli(min(published_at)) - {sent_ms} AS took_ms FROM footlights.kpi_points
WHERE tenant_id = '{tenant}' AND kpi = 'page_views' AND window = '1m' AND published_at >= fromUnixTimestamp64Milli({sent_ms})
HAVING count() > 0
"""
#: A canary that was not seen for this long is given up, and the next one is sent.
GIVE_UP_S = 120.0


class Canary:
    """Sends one record at a time and looks for it and for the point that it changed."""

    def __init__(self, settings: Settings, addresses: Addresses) -> None:
        self._every_s: float = settings["FOOTLIGHTS_CANARY_S"]
        self._client = Client(
            bootstrap_servers=addresses.kafka,
            schema_registry=addresses.schema_registry,
            source="canary",
            tenant_id=TENANT,
            pseudonym_key=settings.pseudonym_key(),
        )
        self._mark, self._sent, self._sent_ms = "", -self._every_s, 0

    def look(self, client: Any) -> dict[str, float]:
        """Seconds that the newest canary took to be `stored` and to be in a `point`, once it is in both; sends the next in time."""
        took: dict[str, float] = {}
        now = time.monotonic()
        if self._mark:
            place = {"tenant": TENANT, "mark": self._mark, "sent_ms": self._sent_ms}
            found = {name: json_rows(client, sql.format(**place))[1] for name, sql in _STOPS.items()}
            if all(found.values()):
                took = {name: rows[0]["took_ms"] / 1000 for name, rows in found.items()}
                self._mark = ""
        if (not self._mark and now - self._sent >= self._every_s) or now - self._sent > GIVE_UP_S:
            self._mark, self._sent, self._sent_ms = uuid.uuid4().hex, now, int(time.time() * 1000)
            self._client.track("page_view", anonymous_id=self._mark, path=self._mark)
        return took

    def close(self) -> None:
        """Send what is left."""
        self._client.close()


_STOPS = {"stored": STORED, "point": POINT}
