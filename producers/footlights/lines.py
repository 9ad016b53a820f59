"""From the words of a call to a line of JSON, as the collector's own route takes it.

In: arguments of `Client.track`.
Out: the line and the key that keeps a person's events together.
Never: a value that could not be told in JSON. Ids are as they were given: the collector makes the pseudonyms.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from footlights.checks import (
    RANGES,
    checked_field,
    checked_id,
    checked_message_id,
    checked_ms,
    checked_name,
    properties_text,
)
from footlights.currencies import CURRENCY, normalised
from footlights.ids import fresh_uuid7, record_key
from footlights.names import FAMILIES_WITH_MONEY, family_of
from footlights.outcome import Refusal
from footlights.records import Told, checked_context, put_amount
from footlights.scrubber import scrub_properties

TOPIC: Final = b"collector"


class Line(NamedTuple):
    """An event as JSON text; the number that it gets in the spool is not part of it."""

    topic: bytes
    key: bytes
    text: bytes
    message_id: str

    def numbered(self, number: int) -> list[bytes]:
        """The bytes to keep and send, behind a piece that is overwritten."""
        return [b"", self.text]


class LineRecorder:
    """Writes the events of one process."""

    def __init__(self, *, tenant_id: str, redacted: Counter[str] | None = None) -> None:
        self._tenant_id, self._redacted = tenant_id, redacted

    def encode(self, event_name: str, told: Told) -> Line:
        """A line of these values; when it is sent and received is the collector's to say.

        Raises
        ------
        Refusal
            When a value is not acceptable. What only the schema tells is left to the collector.
        """
        (
            user_id, anonymous_id, session_id, amount, properties, occurred_at, context, automatic, message_id, _,
            _, original_id, fields,
        ) = told  # fmt: skip
        now = int(time.time() * 1000)
        own_id = fresh_uuid7(now) if message_id is None else checked_message_id(message_id)
        event: dict[str, Any] = {
            "event_name": checked_name("event name", event_name),
            # The collector makes its own id of this one, the same for each repeat.
            "message_id": original_id if original_id is not None and message_id is None else own_id,
            "occurred_at_ms": now if occurred_at is None else checked_ms("occurred_at", occurred_at),
        }
        ids = (("user_id", user_id), ("anonymous_id", anonymous_id), ("session_id", session_id))
        event.update({name: text for name, raw in ids if (text := checked_id(name, raw)) is not None})
        if automatic:
            event["automatic"] = True
        if original_id is not None:
            checked_field("original_id", "string", original_id)
        if amount is not None:
            put_amount(fields, amount)
        for name, value in fields.items():
            if name in RANGES:
                checked_field(name, "long", value)
        if fields.get(CURRENCY) is not None and family_of(event["event_name"]) in FAMILIES_WITH_MONEY:
            fields[CURRENCY] = normalised(fields[CURRENCY])
        if context and (columns := checked_context(context)):
            event["context"] = columns
        inner: Mapping[str, Any] = {
            **(properties or {}),
            **{name: value for name, value in fields.items() if value is not None},
        }
        if self._redacted is not None:
            inner, found = scrub_properties(inner)
            self._redacted.update(found)
        text = f'{json.dumps(event, ensure_ascii=False)[:-1]}, "properties": {properties_text(inner)}}}'
        identity = event.get("user_id") or event.get("anonymous_id") or own_id
        try:
            return Line(TOPIC, record_key(self._tenant_id, identity), text.encode(), own_id)
        except UnicodeEncodeError:
            raise Refusal("INVALID_FIELD", "a text holds half of a surrogate pair") from None
