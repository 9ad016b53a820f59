"""What a client is connected to, Kafka or a collector: how records are written, and what carries them.

In: addresses.
Out: recorders, carriers (librdkafka's producer, or one that posts), reports.
Never: one wire's records on the other: their spools are apart.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from confluent_kafka import KafkaException, Producer

from footlights.lines import LineRecorder
from footlights.pseudonyms import HmacPseudonymiser, Pseudonymiser, key_for
from footlights.records import Recorder
from footlights.refusals import Refusals, Told
from footlights.written import SchemaUnavailable

if TYPE_CHECKING:
    from footlights.posting import Poster

Record = dict[str, Any]


class Carrier(Protocol):
    """What the relay asks of a producer, in librdkafka's words; `on_delivery(error, message)` runs in `poll` and `flush`."""

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        partition: int,
        on_delivery: Callable[[Any, Any], None],
        instead: None,
        timestamp: int,
        headers: list[tuple[str, str | bytes | None]],
        /,
    ) -> None:
        """Take a record; BufferError when there is no room. By place: names take librdkafka's binding a fifth longer."""

    def poll(self, timeout: float) -> int:
        """Call back for what was delivered or refused; waits that many seconds for the first."""

    def flush(self, timeout: float) -> int:
        """Wait until all is delivered; returns how many records are not."""

    def purge(self) -> None:
        """Forget what was not sent."""


class Wire(Protocol):
    """A way out of a process."""

    #: Folder of its spools within one that a host names; "" for itself.
    folder: str
    #: Whether several threads may use a carrier at once.
    helpable: bool

    def connect(self) -> Carrier:
        """A new carrier."""

    def recorder(
        self, *, tenant_id: str, source: str, producer_id: str, redacted: Counter[str] | None = None
    ) -> Recorder | LineRecorder:
        """What writes the records of a process."""

    def refusals(self) -> Told:
        """What knows who opted out."""

    def read(self, topic: str, payload: bytes) -> Record:
        """A record as its host knows it."""

    def tell(self, carrier: Any, topic: str, record: Record, key: bytes) -> bool:
        """Hand a report or a consent to the carrier, if that can be done now; nothing waits for it."""

    def close(self) -> None:
        """Let connections go."""


def producer_config(bootstrap_servers: str, max_messages: int, overrides: dict[str, Any] | None) -> dict[str, Any]:
    """Settings of librdkafka.

    At 250 bytes a record, 10 ms of lingering at 20,000 records a second fill batches of 200 records, 50 kB; 100,000 queued
    records are 25 MB, five seconds of such a service. Records never time out: what finds no room stays in the spool.
    """
    return {
        "bootstrap.servers": bootstrap_servers,
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": "zstd",
        "linger.ms": 10,
        "batch.size": 262_144,
        "queue.buffering.max.messages": max_messages,
        "queue.buffering.max.kbytes": 262_144,
        "message.timeout.ms": 0,
        "partitioner": "murmur2_random",
        "log_level": 2,
        **(overrides or {}),
    }


class KafkaWire:
    """Framed Avro to Kafka, by the schemas of the registry. Ids leave as pseudonyms."""

    folder = ""
    helpable = True

    def __init__(
        self, config: dict[str, Any], schema_registry: str, cache: Path, timeout_s: float, pseudonymise: Pseudonymiser
    ) -> None:
        # Heavy, and for this wire alone. Not later: an import on a thread is held for ever in a child forked meanwhile.
        from footlights.registry import Schemas

        self._config, self._pseudonymise = config, pseudonymise
        self.schemas = Schemas(schema_registry, cache, timeout_s)

    def connect(self) -> Any:
        """A producer of librdkafka."""
        return Producer(self._config)

    def recorder(
        self, *, tenant_id: str, source: str, producer_id: str, redacted: Counter[str] | None = None
    ) -> Recorder:
        """What writes Avro."""
        return Recorder(
            self.schemas, self._pseudonymise,
            tenant_id=tenant_id, source=source, producer_id=producer_id, redacted=redacted,
        )  # fmt: skip

    def refusals(self) -> Refusals:
        """A reader of the topic of consents."""
        return Refusals(self._config, self.schemas)

    def read(self, topic: str, payload: bytes) -> Record:
        """A record as it is on the topic."""
        return self.schemas.read(topic, payload)

    def tell(self, carrier: Any, topic: str, record: Record, key: bytes) -> bool:
        """Send a record of another topic; when that fails a later one says more, and the stream says consents again."""
        with contextlib.suppress(BufferError, KafkaException, SchemaUnavailable):
            carrier.produce(topic, self.schemas.serializer(topic)(record), key)
            return True
        return False

    def close(self) -> None:
        """Let the registry's connection go."""
        self.schemas.close()


class HttpWire:
    """Lines of JSON to a collector, which makes the pseudonyms; needs neither Kafka nor the registry."""

    folder = "http"
    helpable = False

    def __init__(self, url: str, api_key: str) -> None:
        from footlights.posting import Poster  # as above: it brings the HTTP client

        self._url, self._api_key, self._poster = url, api_key, Poster

    def connect(self) -> "Poster":
        """A thread that posts."""
        return self._poster(self._url, self._api_key)

    def recorder(
        self, *, tenant_id: str, source: str, producer_id: str, redacted: Counter[str] | None = None
    ) -> LineRecorder:
        """What writes lines."""
        return LineRecorder(tenant_id=tenant_id, redacted=redacted)

    def refusals(self) -> Told:
        """What this process was told; the collector knows the others."""
        return Told()

    def read(self, topic: str, payload: bytes) -> Record:
        """An event as it was sent."""
        record: Record = json.loads(payload)
        return record

    def tell(self, carrier: Any, topic: str, record: Record, key: bytes) -> bool:
        """Nothing is left to tell: the collector reports, and tells consents, for itself."""
        return True

    def close(self) -> None:
        """Nothing is held."""


def wire_of(
    *,
    bootstrap_servers: str,
    schema_registry: str,
    collector: str,
    api_key: str,
    pseudonymiser: Pseudonymiser | None,
    pseudonym_key: str | bytes | None,
    kafka_config: dict[str, Any] | None,
    queue_max_messages: int,
    cache: Path,
    timeout_s: float,
) -> KafkaWire | HttpWire:
    """The wire that a client's arguments name.

    Raises
    ------
    ValueError
        When they name none, or both.
    """
    if not collector:
        if api_key:
            raise ValueError("api_key belongs to collector=, the URL of a collector")
        if not bootstrap_servers or not schema_registry:
            raise ValueError("a client needs bootstrap_servers= and schema_registry=, or collector= and api_key=")
        config = producer_config(bootstrap_servers, queue_max_messages, kafka_config)
        pseudonymise = pseudonymiser or HmacPseudonymiser(key_for(pseudonym_key, cache))
        return KafkaWire(config, schema_registry, cache, timeout_s, pseudonymise)
    if bootstrap_servers or schema_registry or kafka_config:
        raise ValueError("a client is connected to Kafka or to a collector, not to both")
    if pseudonymiser or pseudonym_key:
        raise ValueError("the collector makes the pseudonyms: a client of it takes no key for them")
    if not collector.startswith(("http://", "https://")):
        raise ValueError("collector must be a URL, https://…")
    if not api_key or not api_key.isascii() or not api_key.isprintable():
        raise ValueError("api_key must be a write key, as `footlights token --kind write` shows it")
    return HttpWire(collector.rstrip("/"), api_key)
