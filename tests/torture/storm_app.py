"""A service in the storm: `… storm_app WAY CONFIG`, where WAY is kafka, http or raw.

In: JSON with addresses, keys by tenant, a folder for spools, files for notes and for the end.
Out: a line with the id of each event that was taken, written before the next call.
Never: an event noted that was not taken. It ends, and waits for its acknowledgements, when the file for the end is there.
"""

import http.client
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from footlights import Client, Money

EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("page_view", {"path": "/"}),
    ("ticket_purchased", {"amount": Money(5_000, "USD"), "quantity": 1}),
    ("payment_failed", {}),
    ("feedback_given", {"rating": 4}),
    ("operation_timed", {"component": "api", "operation": "get", "response_time_ms": 40, "status": 200}),
    ("search", {}),
)


class Service:
    """What the three ways have in common: notes, chance, the end."""

    def __init__(self, way: str, told: dict[str, Any]) -> None:
        self.way, self.told, self.chance = way, told, random.Random(os.getpid())
        self._end = Path(told["end"])
        self._notes = os.open(told["notes"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def ended(self) -> bool:
        """Whether it was told to end; rests a little."""
        time.sleep(self.chance.expovariate(self.told["rate"]))
        return self._end.exists()

    def note(self, *ids: str | None) -> None:
        """These were taken."""
        os.write(self._notes, "".join(f"{one}\n" for one in ids).encode())

    def track(self) -> None:
        """By the SDK: a client for each tenant; the ways to Kafka fork once."""
        told, forks_at, child = self.told, time.monotonic() + self.chance.uniform(1, 15), 0
        clients = [
            Client(spool_dir=Path(told["spools"]) / tenant, tenant_id=tenant, source=f"{self.way}-{tenant}", **where)
            for tenant, where in told["clients"].items()
        ]
        while not self.ended():
            name, fields = self.chance.choice(EVENTS)
            outcome = self.chance.choice(clients).track(name, user_id=f"u{self.chance.randrange(40)}", **fields)
            if outcome:
                self.note(outcome.message_id)
            if self.way == "kafka" and time.monotonic() > forks_at:
                forks_at = float("inf")
                child = os.fork()
                if not child:
                    self.chance.seed(os.getpid())
        for client in clients:
            client.close(20)
        if child:  # whoever waits for this process waits for both
            os.waitpid(child, 0)

    def post(self) -> None:
        """By HTTP, as a vendor's client: the same request again until it is answered with 202."""
        place, number = urlsplit(self.told["collector"]), 0
        while not self.ended():
            number += 1
            token = self.chance.choice(list(self.told["clients"].values()))["api_key"]
            names = [f"{os.getpid()}-{number}-{part}" for part in range(self.chance.choice((1, 3, 20)))]
            body = json.dumps(
                {"batch": [{"type": "track", "event": "search", "userId": "u", "messageId": name} for name in names]}
            )
            head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            while not self._end.exists():
                try:
                    line = http.client.HTTPConnection(place.hostname or "", place.port, timeout=15)
                    line.request("POST", "/v1/batch", body, head)
                    answer = line.getresponse()
                    answered = json.loads(answer.read())
                    line.close()
                except (OSError, http.client.HTTPException, ValueError):
                    answer = None
                if answer and answer.status == 202:
                    self.note(*(result["message_id"] for result in answered["data"]["results"]))
                    break
                time.sleep(0.2)


if __name__ == "__main__":
    service = Service(sys.argv[1], json.loads(sys.argv[2]))
    (service.post if service.way == "raw" else service.track)()
