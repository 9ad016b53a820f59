"""Dead letters back onto their topics.

In: decrypted letters.
Out: the same bytes on the topic that they came from, marked by a header.
Never: another id: the record inside keeps its own, so that a repeat counts once.
"""

import base64
from typing import Any

from confluent_kafka import Producer

from schemas.origin import ORIGIN_HEADER


def republish(bootstrap: str, letters: list[dict[str, Any]]) -> int:
    """Publish letters to the partitions that they came from; returns how many Kafka acknowledged."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "log_level": 2})
    sent: list[int] = []

    def delivered(error: object, message: object) -> None:
        if error is None:
            sent.append(1)

    for letter in letters:
        producer.produce(
            letter["topic"],
            base64.b64decode(letter["payload"]),
            partition=letter["partition"],
            headers=[("replayed_from", str(letter["offset"]).encode()), (ORIGIN_HEADER, b"deadletters")],
            on_delivery=delivered,
        )
        producer.poll(0)
    producer.flush(60)
    return len(sent)
