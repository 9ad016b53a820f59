"""How records look to whoever receives them.

In: records of the event topics.
Out: path, body and headers of a request.
Never: a column of the privacy classes `text` and `drop`.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from schemas.families import BY_TOPIC

Record = Mapping[str, Any]


class Target(Protocol):
    """Somebody who receives batches of records."""

    @property
    def name(self) -> str:
        """Its name in groups, metrics and files."""

    @property
    def url(self) -> str:
        """Where requests go."""

    def body(self, records: Sequence[Record]) -> bytes:
        """The request's body."""

    def headers(self, body: bytes) -> dict[str, str]:
        """Its headers besides the content's type."""


def outward(topic: str, record: Record) -> dict[str, Any]:
    """What may leave of a record: no text, no nulls."""
    kept = {field.name for field in BY_TOPIC[topic].fields if field.pii in ("none", "pseudonym")}
    return {name: value for name, value in record.items() if name in kept and value is not None}


def iso(ms: int) -> str:
    """ISO 8601 of epoch milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class PostHog:
    """PostHog's batch API; it removes repeats by `uuid`, our message id."""

    host: str
    api_key: str
    name: str = "posthog"

    @property
    def url(self) -> str:
        """Address of the batch API."""
        return f"{self.host.rstrip('/')}/batch/"

    def body(self, records: Sequence[Record]) -> bytes:
        """The batch."""
        return json.dumps({"api_key": self.api_key, "batch": [self._event(r) for r in records]}).encode()

    def headers(self, body: bytes) -> dict[str, str]:
        """None."""
        return {}

    @staticmethod
    def _event(record: Record) -> dict[str, Any]:
        rest = dict(record)
        name, uuid, at = rest.pop("event_name"), rest.pop("message_id"), rest.pop("occurred_at_ms")
        who = rest.pop("user_id", None) or rest.get("anonymous_id") or uuid
        properties = {**json.loads(rest.pop("properties", "{}")), **rest, "$lib": "footlights"}
        known = {"page_view": ("$pageview", {"$current_url": record.get("url"), "$pathname": record.get("path")})}
        if name in known:
            name, more = known[name]
            properties |= {key: value for key, value in more.items() if value is not None}
        return {"event": name, "distinct_id": who, "uuid": uuid, "timestamp": iso(at), "properties": properties}


@dataclass(frozen=True)
class Webhook:
    """A JSON list of records, signed: `v1=` HMAC-SHA-256(secret, timestamp "." body)."""

    url: str
    secret: bytes
    clock: Callable[[], float] = time.time
    name: str = "webhook"

    def body(self, records: Sequence[Record]) -> bytes:
        """The list."""
        return json.dumps({"records": [dict(r) for r in records]}).encode()

    def headers(self, body: bytes) -> dict[str, str]:
        """Time and signature; a receiver refuses old times, so that a request cannot be played again."""
        at = str(int(self.clock()))
        signed = hmac.new(self.secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {"Footlights-Timestamp": at, "Footlights-Signature": f"v1={signed}"}
