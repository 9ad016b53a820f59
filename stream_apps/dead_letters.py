"""Records that could not be decoded or are not valid, as they are kept: encrypted, with their coordinates and the reason.

In: refused records.
Out: framed `DeadLetter` records for the topic of the same name.
Never: a value of the record in clear text, or two dead letters of one record under two keys.
"""

import io
import os
from dataclasses import dataclass
from typing import Any

import fastavro
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.avro_batch import frame_header
from schemas.families import INTERNAL
from schemas.origin import origin_of
from schemas.topics import TOPICS
from stream_apps.publisher import Outgoing
from stream_apps.transport.batch import Record

TOPIC = TOPICS["dead-letters"]
DECODE, VALIDATE = "decode", "validate"
#: Kafka takes records of 1 MB; a longer payload is cut and says so.
MAX_PAYLOAD_BYTES = 900_000
_NONCE_BYTES = 12


@dataclass(frozen=True)
class Refused:
    """A refused record of a partition and why."""

    offset: int
    error_code: str
    stage: str
    schema_id: int | None
    record: Record


class DeadLetters:
    """Writes dead letters; the key is the record's place, so a replay writes the same again."""

    def __init__(self, key: bytes, schema_id: int) -> None:
        self._cipher = AESGCM(key)
        self._schema = fastavro.parse_schema(INTERNAL["dead_letter"].schema)
        self._header = frame_header(schema_id)

    def outgoing(self, topic: str, partition: int, refused: Refused, now_ms: int) -> Outgoing:
        """The dead letter of one record. The place is authenticated with the payload, so neither moves alone."""
        place = f"{topic}|{partition}|{refused.offset}".encode()
        payload = refused.record.value or b""
        origin = origin_of(refused.record.headers)
        letter = {
            "topic": topic,
            "partition": partition,
            "offset": refused.offset,
            "schema_id": refused.schema_id,
            "error_code": refused.error_code,
            "detail": _detail(refused, payload),
            "source": origin.source or "unknown",
            "producer_id": origin.producer_id,
            "sequence": origin.sequence,
            "stage": refused.stage,
            "first_seen_ms": now_ms,
            "payload": encrypt(self._cipher, payload[:MAX_PAYLOAD_BYTES], place),
        }
        buffer = io.BytesIO(self._header)
        buffer.seek(len(self._header))
        fastavro.schemaless_writer(buffer, self._schema, letter)
        return Outgoing(TOPIC.name, 0, place, buffer.getvalue())


def encrypt(cipher: AESGCM, payload: bytes, place: bytes) -> bytes:
    """Nonce, then ciphertext and tag."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, payload, place)


def decrypt(key: bytes, letter: dict[str, Any]) -> bytes:
    """Original bytes of a dead letter; cryptography.exceptions.InvalidTag with a wrong key or place."""
    place = f"{letter['topic']}|{letter['partition']}|{letter['offset']}".encode()
    sealed = letter["payload"]
    return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)


def _detail(refused: Refused, payload: bytes) -> str:
    cut = "" if len(payload) <= MAX_PAYLOAD_BYTES else f", of which {MAX_PAYLOAD_BYTES} are kept"
    return f"{len(payload)} bytes{cut}, schema {refused.schema_id if refused.schema_id is not None else 'unknown'}"
