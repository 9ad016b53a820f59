"""Events into the SDK: nothing is dropped for a full queue, and every acknowledgement is counted.

In: events.
Out: calls of `Client.track`; counts of what was taken, acknowledged, refused and failed.
Never: an event that is neither taken nor reported.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from footlights.client import Client
from footlights.pseudonyms import Pseudonymiser

from infra.replay.event import Event

#: A full queue waits this long for Kafka before the run is given up; a broker that restarts takes seconds.
STALLED_S: Final = 120.0
_FULL: Final = "SPOOL_FULL"


class Answer(Protocol):
    """What `track` answers: true when taken, else with a reason and a sentence."""

    @property
    def reason(self) -> str:
        """Why it was refused."""

    @property
    def detail(self) -> str:
        """The same for people."""

    def __bool__(self) -> bool:
        """Whether it was taken."""


class Tracker(Protocol):
    """The part of the SDK's client that is used here."""

    def track(self, event_name: str, **values: Any) -> Answer:
        """Take an event."""

    def flush(self, timeout: float = ...) -> int:
        """Wait for acknowledgements."""

    def close(self) -> int:
        """Send what is queued, report, disconnect."""


#: Makes a client that calls back for each delivery: (record, error or None).
Connect = Callable[[Callable[[Any, str | None], None]], Tracker]


def connect_to(
    bootstrap_servers: str,
    schema_registry: str,
    *,
    source: str,
    tenant: str = "default",
    pseudonymiser: Pseudonymiser,
    cache_dir: str | Path | None = None,
) -> Connect:
    """A way to connect with the SDK's own client; it publishes even where ANALYTICS_ENABLED silences services."""

    def connect(delivered: Callable[[Any, str | None], None]) -> Tracker:
        return Client(
            bootstrap_servers=bootstrap_servers,
            schema_registry=schema_registry,
            source=source,
            tenant_id=tenant,
            pseudonymiser=pseudonymiser,
            cache_dir=cache_dir,
            # A refusal for want of room would stand in the ledger; waiting costs nothing here.
            max_block_s=STALLED_S,
            on_delivery=delivered,
            enabled=True,
        )

    return connect


class Stalled(RuntimeError):
    """Nothing was taken or acknowledged for long, or the SDK can publish nothing at all."""


class Publisher:
    """Sends events through one client. Use it as a context; leaving it closes the client."""

    def __init__(self, connect: Connect, *, stalled_s: float = STALLED_S) -> None:
        self.taken = self.acked = self.failed = 0
        self.errors: Counter[str] = Counter()
        self._stalled_s = stalled_s
        self._lock = threading.Lock()
        self._client = connect(self._delivered)

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _delivered(self, _record: Any, error: str | None) -> None:
        """Called by whichever thread polls."""
        with self._lock:
            if error is None:
                self.acked += 1
            else:
                self.failed += 1
                self.errors[error] += 1

    def send(self, event: Event) -> str | None:
        """Give an event to the client; why it was refused, or None.

        Raises
        ------
        Stalled
            When the queue stays full, or no schema can be had.
        """
        answer = self._client.track(event.name, **arguments(event))
        if answer:
            self.taken += 1
            return None
        if answer.reason == _FULL:
            raise Stalled(f"{answer.detail} Repeat the command then: nothing counts twice")
        if answer.reason == "UNAVAILABLE":
            raise Stalled(answer.detail)
        return answer.reason if not answer.detail else f"{answer.reason}: {answer.detail}"

    def finish(self) -> None:
        """Wait until every event taken is acknowledged or failed; raises Stalled when that does not come."""
        settled, since = -1, time.monotonic()
        while self.acked + self.failed < self.taken:
            self._client.flush(timeout=1.0)
            if self.acked + self.failed != settled:
                settled, since = self.acked + self.failed, time.monotonic()
            elif time.monotonic() - since > self._stalled_s:
                left = self.taken - settled
                raise Stalled(
                    f"{left} events stay unacknowledged; repeat the command once Kafka is up: nothing counts twice"
                )


def arguments(event: Event) -> dict[str, Any]:
    """The event as arguments of `track`. Columns that are named like an argument cannot occur: families are flat."""
    return {
        "user_id": event.user_id,
        "anonymous_id": event.anonymous_id,
        "session_id": event.session_id,
        "occurred_at": event.occurred_at_ms,
        "sent_at_ms": event.received_at_ms,
        "received_at_ms": event.received_at_ms,
        "message_id": event.message_id,
        "original_id": event.original_id,
        "automatic": event.automatic,
        "context": event.context,
        "properties": event.properties,
        **event.fields,
    }
