"""Records of a topic of our own, framed as Avro.

In: a topic with one partition, the id of its schema, the fields of its key.
Out: Kafka records.
Never: an id of a schema that is not registered; the caller asks for it.
"""

import io
from typing import Any

import fastavro

from schemas.avro_batch import frame_header
from schemas.topics import Topic
from stream_apps.publisher import Outgoing


class RecordWriter:
    """Writes records as dictionaries of their columns."""

    def __init__(self, topic: Topic, schema_id: int, *key: str) -> None:
        self._topic, self._key = topic.name, key
        self._schema = fastavro.parse_schema(topic.record.schema)
        self._header = frame_header(schema_id)

    def __call__(self, record: dict[str, Any]) -> Outgoing:
        """The Kafka record of one."""
        buffer = io.BytesIO()
        buffer.write(self._header)
        fastavro.schemaless_writer(buffer, self._schema, record)
        key = "\x1f".join(record[name] for name in self._key)
        return Outgoing(self._topic, 0, key.encode(), buffer.getvalue())
