"""What people said about analytics, on its way to the topic of consents; and the reader of that topic.

In: statements found in account events.
Out: framed `Consent` records, keyed by tenant and person; a reader that the measures stage asks.
Never: a statement that leads to another record's loss: it is written before its batch is acked.
"""

import io
from typing import Any

import fastavro
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient

from schemas.avro_batch import frame_header
from schemas.consent_reader import TOPIC, ConsentReader, consumer_config, parsed
from schemas.consents import key_of
from schemas.families import INTERNAL
from stream_apps.publisher import Outgoing


class Statements:
    """Writes statements; the same one again changes nothing."""

    def __init__(self, schema_id: int) -> None:
        self._schema = fastavro.parse_schema(INTERNAL["consent"].schema)
        self._header = frame_header(schema_id)

    def outgoing(self, said: dict[str, Any]) -> Outgoing:
        """The record of one statement."""
        buffer = io.BytesIO(self._header)
        buffer.seek(len(self._header))
        fastavro.schemaless_writer(buffer, self._schema, said)
        return Outgoing(TOPIC, 0, key_of(said["tenant_id"], said["subject"]), buffer.getvalue())


def reader(bootstrap: str, schema_registry: str) -> ConsentReader:
    """A reader of the topic; not started."""
    registry = SchemaRegistryClient({"url": schema_registry, "timeout": 10})
    return ConsentReader(Consumer(consumer_config(bootstrap)), TopicPartition(TOPIC, 0, 0), parsed(registry))
