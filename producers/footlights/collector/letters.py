"""A copy of each event that the collector refused for its content, in the dead letters: what was sent can be looked at.

In: refused events, the key of the dead letters' payloads.
Out: records of the topic of dead letters, whose topic is `http` and whose offset is a number of our own.
Never: a payload in clear text, or a flood: a broken client must not fill a topic that is kept for 30 days.
"""

import json
import os
import secrets
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

#: Stands where a Kafka topic stands in other dead letters; these came over no topic.
HTTP = "http"
MAX_PER_SECOND, MAX_PAYLOAD_BYTES, _NONCE_BYTES, _NUMBER_BITS = 100, 64 << 10, 12, 20
#: Sends a record under a key.
Tell = Callable[[dict[str, Any], bytes], None]


class Letters:
    """Writes dead letters, at most `MAX_PER_SECOND`; best effort: the sender was told, and nothing waits for them."""

    def __init__(self, key: bytes, tell: Tell) -> None:
        self._cipher, self._tell = AESGCM(key), tell
        self._number, self._second, self._written = secrets.randbits(_NUMBER_BITS), 0, 0
        self.kept = self.left_out = 0

    def keep(self, source: str, path: str, event: Any, code: str, now_ms: int) -> None:
        """Keep a copy of what was refused on a path, a JSON value, unless too many were kept this second."""
        if now_ms // 1_000 != self._second:
            self._second, self._written = now_ms // 1_000, 0
        if self._written >= MAX_PER_SECOND:
            self.left_out += 1
            return
        try:
            payload = json.dumps(event, ensure_ascii=False).encode("utf-8", "backslashreplace")
        except (
            RecursionError,
            ValueError,
            TypeError,
        ):  # nested beyond what can be written, or a number of too many digits
            self.left_out += 1
            return
        self._written, self._number = self._written + 1, self._number + 1
        # Of two collectors in one millisecond the second may cover the first, once in a million.
        offset = now_ms << _NUMBER_BITS | self._number & (1 << _NUMBER_BITS) - 1
        place = f"{HTTP}|0|{offset}".encode()
        nonce = os.urandom(_NONCE_BYTES)
        cut = f", of which {MAX_PAYLOAD_BYTES} are kept" if len(payload) > MAX_PAYLOAD_BYTES else ""
        letter = {
            "topic": HTTP, "partition": 0, "offset": offset, "schema_id": None, "error_code": code,
            "detail": f"{len(payload)} bytes{cut}, refused by the collector on {path}", "source": source,
            "producer_id": None, "sequence": None, "stage": "validate", "first_seen_ms": now_ms,
            "payload": nonce + self._cipher.encrypt(nonce, payload[:MAX_PAYLOAD_BYTES], place),
        }  # fmt: skip
        self._tell(letter, place)
        self.kept += 1
