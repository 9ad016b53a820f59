"""The schemas that records are written with, from the schema registry, kept on disk for the day it is away.

In: the registry's address, a folder.
Out: per subject the newest schema and its id, and a serializer of confluent-kafka for it.
Never: a schema of our own making; a service publishes only what is registered.

confluent-kafka's client of the registry makes up half of the SDK's import: whoever needs only the types takes them from `written`,
and a service that posts to a collector never imports this.
"""

import hashlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from os import getpid
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka.schema_registry import RegisteredSchema, Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from footlights.native import patched, waited
from footlights.processes import ProcessLock, keep
from footlights.written import SchemaUnavailable, Written

Serialize = Callable[[dict[str, Any]], bytes]


def copies_of(folder: Path, url: str) -> Path:
    """Where the copies of one registry's schemas lie: what another one calls by the same id may be another schema."""
    return folder / "schemas" / hashlib.sha256(url.encode()).hexdigest()[:16]


class _Known:
    """The part of a registry client that a serializer asks: the id of one schema that is already known."""

    def __init__(self, written: Written) -> None:
        self._registered = RegisteredSchema(
            schema_id=written.schema_id,
            guid=None,
            schema=Schema(written.text, "AVRO"),
            subject=written.subject,
            version=None,
        )

    def config(self) -> dict[str, Any]:
        return {}

    def lookup_schema(self, subject: str, schema: Schema, **options: Any) -> RegisteredSchema:
        return self._registered


class Schemas:
    """Newest schemas by subject; asks the registry once a process and falls back to the copy on disk. Thread-safe.

    A registry that did not answer is left alone for as long as it was waited for: calls wait half of the time at most.
    """

    def __init__(self, url: str, folder: Path, timeout_s: float) -> None:
        self._url, self._timeout_s = url, timeout_s
        #: The connection, and the process whose it is.
        self._client: tuple[int, SchemaRegistryClient] | None = None
        self._folder = copies_of(folder, url)
        self._lock = ProcessLock()
        self._held: dict[str, Written] = {}
        self._serializers: dict[str, Serialize] = {}
        self._parsed: dict[str, Any] = {}
        self._again_at, self._silence = 0.0, ""

    def written(self, subject: str) -> Written:
        """The newest schema of a subject.

        Raises
        ------
        SchemaUnavailable
            When neither the registry nor the disk has it.
        """
        return self._held.get(subject) or waited(partial(self._written, subject))

    def _written(self, subject: str) -> Written:
        with self._lock.held():
            if subject not in self._held:
                self._held[subject] = self._ask(subject)
            return self._held[subject]

    def close(self) -> None:
        """Let the connection go; a later question makes another."""
        with self._lock.held():
            held, self._client = self._client, None
        if held and held[0] == getpid():
            with held[1]:
                return
        keep(held)

    @contextmanager
    def _connection(self) -> Iterator[SchemaRegistryClient]:
        """The connection of this process; a new one where sockets are gevent's or eventlet's, which belong to their thread."""
        # No retries: the caller waits for this, and the copy on the disk is as good.
        made = partial(SchemaRegistryClient, {"url": self._url, "timeout": self._timeout_s, "max.retries": 0})
        if patched():
            with made() as client:
                yield client
            return
        if self._client is None or self._client[0] != getpid():
            keep(self._client)
            self._client = getpid(), made()
        yield self._client[1]

    def serializer(self, topic: str) -> Serialize:
        """A function from a record of the topic to its framed Avro bytes."""
        if topic not in self._serializers:
            self._serializers[topic] = self._serializer(topic)
        return self._serializers[topic]

    def _serializer(self, topic: str) -> Serialize:
        written = self.written(f"{topic}-value")
        avro = AvroSerializer(
            _Known(written), written.text, conf={"auto.register.schemas": False, "subject.name.strategy.type": "TOPIC"}
        )
        context = SerializationContext(topic, MessageField.VALUE)

        def serialize(record: dict[str, Any]) -> bytes:
            payload: bytes = avro(record, context)
            return payload

        return serialize

    def read(self, topic: str, payload: bytes) -> dict[str, Any]:
        """A record of the topic from its framed Avro bytes, as this process wrote them."""
        if topic not in self._parsed:
            self._parsed[topic] = fastavro.parse_schema(json.loads(self.written(f"{topic}-value").text))
        record: Any = fastavro.schemaless_reader(io.BytesIO(payload[5:]), self._parsed[topic], None)
        return dict(record)

    def by_id(self, schema_id: int) -> Any:
        """A parsed schema by its id; whatever the registry's client raises passes."""
        key = f"#{schema_id}"
        if key not in self._parsed:
            with self._lock.held(), self._connection() as registry:
                found = registry.get_schema(schema_id)
            self._parsed[key] = fastavro.parse_schema(json.loads(found.schema_str or "null"))
        return self._parsed[key]

    def _ask(self, subject: str) -> Written:
        kept = self._folder / f"{subject}.json"
        try:
            newest = self._newest(subject)
        except Exception as problem:
            with suppress(OSError, ValueError, TypeError):  # no copy, or none that a power loss left whole
                return Written(**json.loads(kept.read_text()))
            raise SchemaUnavailable(
                f"no schema for {subject}: {problem}; is the schema registry up and migrated?"
            ) from problem
        if newest.schema_id is None or newest.schema.schema_str is None:
            raise SchemaUnavailable(f"the schema registry's answer for {subject} has no schema")
        written = Written(subject, newest.schema_id, newest.schema.schema_str)
        self._keep(kept, written)
        return written

    def _newest(self, subject: str) -> RegisteredSchema:
        began = time.monotonic()
        if began < self._again_at:
            raise SchemaUnavailable(self._silence)
        try:
            with self._connection() as registry:
                return registry.get_latest_version(subject)
        except Exception as problem:
            self._again_at, self._silence = 2 * time.monotonic() - began, str(problem)
            raise

    def _keep(self, kept: Path, written: Written) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor, fresh = tempfile.mkstemp(dir=self._folder)
            with os.fdopen(descriptor, "w") as out:
                json.dump({"subject": written.subject, "schema_id": written.schema_id, "text": written.text}, out)
            Path(fresh).replace(kept)
        except OSError:
            return  # a read-only disk costs the copy, not the event
