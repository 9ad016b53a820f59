"""A dead letter gives the original bytes back to who has the key, and to nobody who moves it."""

import io
from dataclasses import dataclass

import fastavro
import pytest
from cryptography.exceptions import InvalidTag

from schemas.families import INTERNAL
from stream_apps.dead_letters import DECODE, MAX_PAYLOAD_BYTES, DeadLetters, Refused, decrypt

KEY = bytes(range(32))


@dataclass(frozen=True)
class Raw:
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    offset: int = 7
    timestamp: int = 0
    key: bytes | None = None


def letter(value: bytes | None, *headers: tuple[str, bytes]) -> tuple[bytes, dict]:
    sent = DeadLetters(KEY, 9).outgoing(
        "events.commerce", 2, Refused(7, "NO_HEADER", DECODE, None, Raw(value, headers)), 5
    )
    assert sent.value is not None
    schema = fastavro.parse_schema(INTERNAL["dead_letter"].schema)
    assert sent.value[:5] == b"\x00\x00\x00\x00\x09"
    return sent.key, fastavro.schemaless_reader(io.BytesIO(sent.value[5:]), schema, None)


def test_round_trip() -> None:
    key, read = letter(b"secret text", ("trace", b"x"), ("origin", b"checkout\x1fp-1\x1f41"))
    assert key == b"events.commerce|2|7"
    assert decrypt(KEY, read) == b"secret text"
    assert b"secret" not in read["payload"]
    assert (read["source"], read["producer_id"], read["sequence"]) == ("checkout", "p-1", 41)


def test_a_moved_letter_does_not_open() -> None:
    _, read = letter(b"secret text")
    with pytest.raises(InvalidTag):
        decrypt(KEY, read | {"offset": 8})
    with pytest.raises(InvalidTag):
        decrypt(bytes(32), read)


def test_hostile_headers_and_sizes() -> None:
    _, read = letter(b"x" * 2_000_000, ("origin", b"\xff" * 900 + b"\x1fp\x1f-1"))
    assert len(decrypt(KEY, read)) == MAX_PAYLOAD_BYTES
    assert len(read["source"]) <= 128
    assert read["sequence"] is None
    _, empty = letter(None)
    assert decrypt(KEY, empty) == b""
