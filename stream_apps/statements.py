"""The reader of the topic of consents, whose records tell who opted out.

In: addresses.
Out: a reader that the measures stage asks.
Never: one that has begun to read; whoever owns it starts it.
"""

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient

from schemas.consent_reader import TOPIC, ConsentReader, consumer_config, parsed


def reader(bootstrap: str, schema_registry: str) -> ConsentReader:
    """A reader of the topic; not started."""
    registry = SchemaRegistryClient({"url": schema_registry, "timeout": 10})
    return ConsentReader(Consumer(consumer_config(bootstrap)), TopicPartition(TOPIC, 0, 0), parsed(registry))
