"""From what a foreign event says to a record: values that fit a column of its family fill it, all others stay properties.

In: calls of any client, the clocks of a request.
Out: records as the SDK writes them, and how much personal data was redacted.
Never: a refusal of a value for its kind, or personal data in a text but in ids, which become pseudonyms.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from footlights.checks import EARLIEST_MS, LATEST_MS, properties_text
from footlights.collector.segment import Call
from footlights.currencies import CURRENCY
from footlights.encoding import Column, text
from footlights.foreign import fitted
from footlights.ids import KEY_SEPARATOR, fresh_uuid7, record_key, uuid7_of_hash
from footlights.pseudonyms import Pseudonymiser
from footlights.records import PSEUDONYMS, Encoded, Form, Recorder, checked_context
from footlights.registry import Schemas
from footlights.scrubber import Found, scrub_properties, scrubbed


class Clocks(NamedTuple):
    """When a request came, and how much less its client's clock said when it was sent: times that it tells are wrong by that."""

    received_ms: int
    behind_ms: int
    received: bytes
    sent: bytes


class Fitter(Recorder):
    """Encodes the events that one key brings."""

    def __init__(
        self, schemas: Schemas, pseudonymise: Pseudonymiser, *, tenant_id: str, source: str, producer_id: str
    ) -> None:
        super().__init__(schemas, pseudonymise, tenant_id=tenant_id, source=source, producer_id=producer_id)
        #: What `uuid7_of` hashes of every foreign id here, before the id itself.
        self._before_id = hashlib.sha256(KEY_SEPARATOR.join((tenant_id, source, "")).encode())

    def clocks(self, received_ms: int, sent_ms: int) -> Clocks:
        """The clocks of a request, epoch milliseconds; what a client's says is kept where the platform has such times."""
        received = self._stamp("received_at_ms", received_ms)
        known = EARLIEST_MS <= sent_ms < LATEST_MS
        return Clocks(
            received_ms, received_ms - sent_ms, received, self._stamp("sent_at_ms", sent_ms) if known else received
        )

    def fit(self, call: Call, clocks: Clocks, found: Found) -> Encoded:
        """A record of a call; what was redacted is added to `found`.

        Raises
        ------
        Refusal
            When a value is not acceptable in its column, or nothing can be.
        SchemaUnavailable
            When the record's schema cannot be had.
        """
        (
            name, occurred_ms, original_ms, original_id, user_id, anonymous_id, session_id, automatic, context, properties,
            _, ago_ms,
        ) = call  # fmt: skip
        form = self._forms.get(name) or self._form(name)
        pieces = form.blank.copy()
        if original_id is None:
            message_id = fresh_uuid7(clocks.received_ms)
        else:
            # Of the time as it was first sent, before the correction, and of no time when the client tells none: a repeated request
            # gives the same id, and the platform then judges by the record's own time.
            named = self._before_id.copy()
            named.update(original_id.encode())
            message_id = uuid7_of_hash(original_ms or 0, named.hexdigest())
            pieces[form.original_id.index] = form.original_id.prefix + text(original_id)
        pieces[form.message_id.index] = b"\x48" + message_id.encode()  # 36 bytes follow
        pieces[form.sent], pieces[form.received] = clocks.sent, clocks.received
        if occurred_ms is not None:
            # The clock is corrected before it is judged.
            pieces[form.occurred] = self._stamp("occurred_at", occurred_ms + clocks.behind_ms)
        elif ago_ms is not None:
            pieces[form.occurred] = self._stamp("occurred_at", clocks.received_ms - ago_ms)
        else:
            pieces[form.occurred] = clocks.received
        key = b""
        if anonymous_id is not None:
            key = self._identify(pieces, form.columns["anonymous_id"], anonymous_id)
        if user_id is not None:  # nearly always: without a call of `_identify`
            person, key = self._people.get(user_id) or self._person("user_id", user_id)
            pieces[form.user_id.index] = form.user_id.prefix + person
        if session_id is not None:
            self._sit(pieces, form.columns["session_id"], session_id)
        if automatic:
            pieces[form.columns["automatic"].index] = b"\x01"
        rest = self._place(pieces, form, properties, found)
        if context:
            for told, value in checked_context(context).items():
                column = form.columns[told]
                if (known := column.known.get(value)) is None:
                    self._put(pieces, column, value, found)
                else:
                    pieces[column.index] = known
        if rest:
            rest, more = scrub_properties(rest)
            for kind, number in more.items():
                found[kind] = found.get(kind, 0) + number
            pieces[form.properties] = text(properties_text(rest))
        else:
            pieces[form.properties] = form.empty
        return tuple.__new__(
            Encoded, (form.topic, key or record_key(self._tenant_id, message_id), pieces, form.sequence, message_id)
        )

    def _place(self, pieces: list[bytes], form: Form, properties: Mapping[str, Any], found: Found) -> Mapping[str, Any]:
        """Put what fits into columns; returns the rest."""
        rest = {}
        for name, value in properties.items():
            column = form.own.get(name)
            if column is None:
                rest[name] = value
            elif type(value) is column.exact and (known := column.known.get(value)) is not None:
                pieces[column.index] = known  # and clean, or it would not have become known
            elif value is not None and name == CURRENCY:
                pieces[column.index] = column.learn(
                    value
                )  # a code, or refused: an amount without its currency is no amount
            elif (kept := fitted(value, column.kind)) is None:
                rest[name] = value
            elif name in PSEUDONYMS:
                self._identify(pieces, column, kept)
            else:
                self._put(pieces, column, kept, found)
        return rest

    @staticmethod
    def _put(pieces: list[bytes], column: Column, value: Any, found: Found) -> None:
        """Put a value without personal data into its column; one that had some does not become known."""
        if type(value) is str and (clean := scrubbed(value, found)) != value:
            pieces[column.index] = column.prefix + text(clean)
        else:
            pieces[column.index] = column.learn(value)
