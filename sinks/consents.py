"""The sinks' reader of the topic of consents.

In: Kafka, the registry.
Out: a reader, and a wait for it.
Never: a batch that is judged by consents older than the rule allows.
"""

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient

from schemas.consent_reader import TOPIC, ConsentReader, consumer_config, parsed
from sinks.errors import Transient


def reader(bootstrap: str, schema_registry: str) -> ConsentReader:
    """A reader of the topic; not started."""
    registry = SchemaRegistryClient({"url": schema_registry, "timeout": 10})
    return ConsentReader(Consumer(consumer_config(bootstrap)), TopicPartition(TOPIC, 0, 0), parsed(registry))


#: A reader that has just started is fresh so soon; what takes longer is told.
WAIT_S = 1.0


def await_fresh(consents: ConsentReader) -> None:
    """Return when the reader is fresh.

    Raises
    ------
    Transient
        It is not, yet.
    """
    if not consents.await_fresh(WAIT_S):
        raise Transient("the topic of consents is not read to its end yet")
