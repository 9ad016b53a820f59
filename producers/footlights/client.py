"""What a service calls: two lines, and its events are on their way.

In: events as the service knows them.
Out: records on `events.<family>`: at least once, in order for each user, repeats recognisable by their id.
Never: an exception in the host unless `strict`, a call that blocks longer than `max_block_s`, or a raw id on the wire.
"""

import atexit
import os
import tempfile
import threading
import time
import weakref
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from footlights.checks import checked_field, checked_id, checked_message_id, checked_ms, checked_name, properties_text
from footlights.ids import fresh_uuid7, record_key
from footlights.names import FAMILIES, family_of, topic_of
from footlights.outcome import DISABLED, QUEUED, Money, Outcome, Refusal
from footlights.pseudonyms import HmacPseudonymiser, Pseudonymiser, key_for
from footlights.publisher import OnDelivery, Publisher, producer_config
from footlights.registry import Schemas, SchemaUnavailable

CONTEXT = ("device", "browser", "os", "city", "country", "app_version", "campaign")
_PSEUDONYMS = ("host_id",)
_RESERVED = frozenset(
    {"tenant_id", "event_name", "occurred_at_ms", "pseudonym_version", "source", "producer_id", "sequence"}
)  # fmt: skip
_CLIENTS: "weakref.WeakSet[Client]" = weakref.WeakSet()
_OPEN: "set[Client]" = set()  # clients with something to flush: they live until they are closed
_ABANDONED: list[object] = []  # producers of the parent process, which a child must neither use nor destroy


def default_folder() -> Path:
    """Where schemas and an installation's own pseudonym key are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "footlights-sdk"


class Client:
    """A connection of one service to the platform; one for the whole process, from any thread.

    Parameters
    ----------
    bootstrap_servers, schema_registry
        Addresses of Kafka (`host:port`) and of the schema registry (URL).
    source
        Name of the service, as the ledger shows it.
    tenant_id
        Tenant that the events belong to.
    pseudonymiser, pseudonym_key
        What makes pseudonyms, or the key of the default HMAC-SHA-256; all services of a platform share it.
    strict
        Raise Refusal instead of answering with it; for tests and development.
    max_block_s
        Longest wait of a call, seconds: for room in the queue, and for the registry when a schema is first needed.
    queue_max_messages
        Room of the queue in records.
    on_delivery
        Called with (record, None) after Kafka's acknowledgement, or (record, error name), on a thread of the client.
    enabled
        False makes every call do nothing; by default ANALYTICS_ENABLED decides.
    """

    def __init__(
        self,
        *,
        bootstrap_servers: str,
        schema_registry: str,
        source: str,
        tenant_id: str = "default",
        pseudonymiser: Pseudonymiser | None = None,
        pseudonym_key: str | bytes | None = None,
        strict: bool = False,
        max_block_s: float = 1.0,
        queue_max_messages: int = 100_000,
        on_delivery: OnDelivery | None = None,
        enabled: bool | None = None,
        cache_dir: str | Path | None = None,
        kafka_config: dict[str, Any] | None = None,
    ) -> None:
        self._source, self._tenant_id = checked_name("source", source), checked_name("tenant_id", tenant_id)
        self._strict, self._max_block_s, self._on_delivery = strict, max_block_s, on_delivery
        self.enabled = _enabled() if enabled is None else enabled
        self._config = producer_config(bootstrap_servers, queue_max_messages, kafka_config)
        folder = Path(cache_dir) if cache_dir else _usable(default_folder())
        self._schemas = Schemas(schema_registry, folder, max_block_s)
        self._pseudonym: Pseudonymiser = pseudonymiser or HmacPseudonymiser(key_for(pseudonym_key, folder))
        self._shapes: dict[str, tuple[dict[str, Any], dict[str, str]]] = {}
        self._begin()
        _CLIENTS.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._publisher: Publisher | None = None
        self._refused: Counter[str] = Counter()
        self._closed = False

    def track(
        self,
        event_name: str,
        *,
        user_id: str | int | None = None,
        anonymous_id: str | int | None = None,
        amount: Money | None = None,
        properties: Mapping[str, Any] | None = None,
        occurred_at: datetime | int | None = None,
        session_id: str | int | None = None,
        context: Mapping[str, str | None] | None = None,
        automatic: bool = False,
        message_id: str | None = None,
        original_id: str | None = None,
        sent_at_ms: int | None = None,
        received_at_ms: int | None = None,
        **fields: Any,
    ) -> Outcome:
        """Take an event: `queued` means it waits in memory for Kafka's acknowledgement.

        Fields of the event's family (see the table of event names) fill columns; all others become properties. Ids may be raw,
        they leave the process as pseudonyms only. `occurred_at` is an aware datetime or epoch milliseconds, by default now.
        `message_id` must be a UUIDv7; repeats of one id count once.

        Returns
        -------
        Outcome
            True when taken. Reasons of a refusal: INVALID_NAME, INVALID_ID, INVALID_TIME, NAIVE_DATETIME, INVALID_FIELD,
            INVALID_PROPERTY, RESERVED_NAME, EVENT_TOO_LARGE, QUEUE_FULL, UNAVAILABLE, CLOSED, INTERNAL.
        """
        if not self.enabled:
            return Outcome(DISABLED)
        try:
            now = int(time.time() * 1000)
            name = checked_name("event name", event_name)
            family = family_of(name)
            blank, kinds = self._shape(family)
            record = blank.copy()
            record["event_name"] = name
            record["occurred_at_ms"] = now if occurred_at is None else checked_ms("occurred_at", occurred_at)
            record["sent_at_ms"] = now if sent_at_ms is None else checked_ms("sent_at_ms", sent_at_ms)
            record["received_at_ms"] = now if received_at_ms is None else checked_ms("received_at_ms", received_at_ms)
            record["automatic"] = bool(automatic)
            record["message_id"] = fresh_uuid7(now) if message_id is None else checked_message_id(message_id)
            record["original_id"] = checked_field("original_id", "string", original_id)
            self._identify(record, user_id, anonymous_id, session_id)
            if amount is not None:
                if not isinstance(amount, Money):
                    raise Refusal("INVALID_FIELD", 'amount must be Money, e.g. Money(5000, "USD")')
                fields["amount_minor"], fields["currency"] = amount.amount_minor, amount.currency
            rest = self._fill(record, kinds, fields, context)
            record["properties"] = properties_text({**rest, **properties} if properties else rest)
            identity = record["user_id"] or record["anonymous_id"] or record["message_id"]
            self._publish(topic_of(family), record, record_key(self._tenant_id, identity))
        except Refusal as refusal:
            return self._refuse(refusal)
        except SchemaUnavailable as problem:
            return self._refuse(Refusal("UNAVAILABLE", str(problem)))
        except Exception as problem:  # the edge of the SDK: whatever it is, the host goes on
            return self._refuse(Refusal("INTERNAL", type(problem).__name__), problem)
        return Outcome(QUEUED, message_id=record["message_id"])

    def identify(self, user_id: str | int, traits: Mapping[str, Any] | None = None, **more: Any) -> Outcome:
        """Say what is known of a user: an account record `profile_updated` whose properties are the traits."""
        return self.track("profile_updated", user_id=user_id, properties=traits, **more)

    def page(
        self, path: str, *, url: str | None = None, title: str | None = None, referrer: str | None = None, **more: Any
    ) -> Outcome:
        """Take a page view."""
        return self.track("page_view", path=path, url=url, title=title, referrer=referrer, **more)

    def feedback(
        self, *, rating: int | None = None, text: str | None = None, nps: int | None = None, **more: Any
    ) -> Outcome:
        """Take a rating (1 to 5), a comment or an answer to "would you recommend" (0 to 10)."""
        return self.track("feedback_given", rating=rating, text=text, nps=nps, **more)

    def performance(self, component: str, operation: str, response_time_ms: int | None = None, **more: Any) -> Outcome:
        """Take a timed operation; `status`, `memory_mb` and `error` may follow."""
        return self.track(
            "operation_timed", component=component, operation=operation, response_time_ms=response_time_ms, **more
        )

    def flush(self, timeout: float = 10.0) -> int:
        """Wait for the acknowledgements; returns how many events still wait."""
        publisher = self._publisher
        return publisher.flush(timeout) if publisher else 0

    def close(self, timeout: float = 10.0) -> int:
        """Flush, report and end; returns how many events were left behind. Later calls answer CLOSED."""
        with self._lock:
            self._closed, publisher, self._publisher = True, self._publisher, None
        _OPEN.discard(self)
        left = publisher.close(timeout) if publisher else 0
        self._schemas.close()
        return left

    def __enter__(self) -> "Client":
        """Use the client in a `with` block."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close at the end of the block."""
        self.close()

    @property
    def producer_id(self) -> str | None:
        """Id of this process in the ledger, None before the first event."""
        return self._publisher.producer_id if self._publisher else None

    def _shape(self, family: str) -> tuple[dict[str, Any], dict[str, str]]:
        shape = self._shapes.get(family)
        if shape is None:
            kinds = self._schemas.written(f"{topic_of(family)}-value").kinds
            blank: dict[str, Any] = dict.fromkeys(kinds)
            blank |= {
                "tenant_id": self._tenant_id,
                "source": self._source,
                "pseudonym_version": self._pseudonym.version,
            }
            shape = self._shapes[family] = (blank, kinds)
        return shape

    def _identify(self, record: dict[str, Any], user_id: object, anonymous_id: object, session_id: object) -> None:
        for column, raw in (("user_id", user_id), ("anonymous_id", anonymous_id), ("session_id", session_id)):
            if raw is not None and (text := checked_id(column, raw)) is not None:
                record[column] = self._pseudonym(self._tenant_id, text)

    def _fill(
        self,
        record: dict[str, Any],
        kinds: dict[str, str],
        fields: dict[str, Any],
        context: Mapping[str, str | None] | None,
    ) -> dict[str, Any]:
        """Put fields and context into their columns; returns what has none."""
        rest: dict[str, Any] = {}
        for name, value in fields.items():
            if name in _RESERVED:
                raise Refusal("RESERVED_NAME", f"{name} is set by the client")
            kind = kinds.get(name)
            if kind is None:
                if value is not None:
                    rest[name] = value
            elif name in _PSEUDONYMS and value is not None:
                record[name] = self._pseudonym(self._tenant_id, checked_id(name, value) or "")
            else:
                record[name] = checked_field(name, kind, value)
        for name, value in (context or {}).items():
            if name not in CONTEXT:
                raise Refusal("INVALID_FIELD", f"context has {', '.join(CONTEXT)}, not this one")
            if value is not None:
                record[name] = checked_field(name, "string", value)
        return rest

    def _publish(self, topic: str, record: dict[str, Any], key: bytes) -> None:
        publisher = self._publisher
        if publisher is None:
            with self._lock:
                if self._closed:
                    raise Refusal("CLOSED", "the client is closed")
                if self._publisher is None:
                    self._publisher = Publisher(
                        self._schemas, self._config, tenant_id=self._tenant_id, source=self._source,
                        on_delivery=self._on_delivery, refused=self._refused,
                    )  # fmt: skip
                    _OPEN.add(self)
                publisher = self._publisher
        publisher.publish(topic, record, key, self._max_block_s)

    def _refuse(self, refusal: Refusal, cause: BaseException | None = None) -> Outcome:
        self._refused[refusal.reason] += 1
        if self._strict:
            raise refusal from cause
        return Outcome("refused", refusal.reason, refusal.detail)

    def _after_fork(self) -> None:
        _ABANDONED.append(self._publisher)
        _OPEN.discard(self)
        self._schemas.renew()
        self._begin()


def _enabled() -> bool:
    return os.environ.get("ANALYTICS_ENABLED", "true").strip().lower() not in ("false", "0", "no", "off")


def _usable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir()) / "footlights-sdk"
    return folder


def _after_fork_in_child() -> None:
    for client in list(_CLIENTS):
        client._after_fork()


def _close_all() -> None:
    for client in list(_CLIENTS):
        client.close()


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_close_all)

__all__ = ["FAMILIES", "Client", "default_folder"]
