"""From the words of a call to an encoded record: names, ids, times, fields and properties checked and put into place.

In: arguments of `Client.track`.
Out: topic, key and the pieces of a framed Avro record, all but its sequence.
Never: a raw id, or a value that the platform would not accept.
"""

import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from footlights.checks import checked_field, checked_id, checked_message_id, checked_ms, checked_name, properties_text
from footlights.currencies import normalised
from footlights.encoding import Column, Shape, long, text
from footlights.ids import record_key, uuid7_head, uuid7_of_head
from footlights.names import family_of, topic_of
from footlights.outcome import Money, Refusal
from footlights.pseudonyms import Pseudonymiser
from footlights.scrubber import Found, scrub_properties
from footlights.written import SchemaUnavailable

if TYPE_CHECKING:
    from footlights.registry import Schemas

CONTEXT = ("device", "browser", "os", "city", "country", "app_version", "campaign")
#: Columns of a family whose values are ids, and leave as pseudonyms.
PSEUDONYMS = frozenset({"host_id"})
#: Columns of every family; a client's own properties fill the others.
_ENVELOPE = frozenset(
    {"tenant_id", "message_id", "original_id", "event_name", "occurred_at_ms", "sent_at_ms", "received_at_ms", "user_id",
     "anonymous_id", "pseudonym_version", "session_id", "source", "producer_id", "sequence", "automatic", "properties", *CONTEXT}
)  # fmt: skip
_RESERVED = frozenset(
    {"tenant_id", "event_name", "occurred_at_ms", "pseudonym_version", "source", "producer_id", "sequence"}
)
#: Set in every record here, or by whoever numbers it.
_FILLED = frozenset(
    {"event_name", "message_id", "occurred_at_ms", "sent_at_ms", "received_at_ms", "properties", "sequence"}
)
#: Arguments of `Client.track` but the event's name, and their types; the further ones follow by name.
ARGUMENTS = (
    "user_id", "anonymous_id", "session_id", "amount", "properties", "occurred_at",
    "context", "automatic", "message_id", "sent_at_ms", "received_at_ms", "original_id",
)  # fmt: skip
Told = tuple[
    str | int | None, str | int | None, str | int | None, Money | None, Mapping[str, Any] | None, datetime | int | None,
    Mapping[str, str | None] | None, bool, str | None, int | None, int | None, str | None, dict[str, Any],
]  # fmt: skip
NAMES_REMEMBERED, STAMPS_REMEMBERED, PEOPLE_REMEMBERED = 1_024, 1_024, 16_384


def put_amount(fields: dict[str, Any], amount: object) -> None:
    """Put an amount into its two columns."""
    if not isinstance(amount, Money):
        raise Refusal("INVALID_FIELD", 'amount must be Money, e.g. Money(5000, "USD")')
    if amount.problem:
        raise Refusal(amount.problem.reason, amount.problem.detail)
    fields["amount_minor"], fields["currency"] = amount.amount_minor, normalised(amount.currency)


def checked_context(context: Mapping[str, str | None]) -> dict[str, str]:
    """The columns of a context that have a value."""
    told: dict[str, str] = {}
    for name, value in context.items():
        if name not in CONTEXT:
            raise Refusal("INVALID_FIELD", f"context has {', '.join(CONTEXT)}, not this one")
        if value is not None:
            told[name] = checked_field(name, "string", value)
    return told


class Encoded(NamedTuple):
    """A record without its sequence, whose piece is `pieces[place]`."""

    topic: bytes
    key: bytes
    pieces: list[bytes]
    place: int
    message_id: str

    def numbered(self, number: int) -> list[bytes]:
        """The record's pieces with its sequence, behind one that is overwritten."""
        self.pieces[self.place] = long(number)
        return self.pieces


class Form:
    """Everything about one event name that does not change from call to call."""

    def __init__(self, name: str, shape: Shape) -> None:
        columns = shape.columns
        self.topic = shape.topic.encode()
        self.blank = shape.blank.copy()
        self.blank[columns["event_name"].index] = columns["event_name"].encode(name)
        self.message_id, self.original_id, self.user_id = (
            columns["message_id"],
            columns["original_id"],
            columns["user_id"],
        )
        self.occurred = columns["occurred_at_ms"].index
        self.sent, self.received = columns["sent_at_ms"].index, columns["received_at_ms"].index
        self.sequence, self.properties = columns["sequence"].index, columns["properties"].index
        self.columns = columns
        self.plain = {n: c for n, c in columns.items() if n not in _RESERVED and n not in PSEUDONYMS}
        self.own = {n: c for n, c in columns.items() if n not in _ENVELOPE}
        self.empty = columns["properties"].encode("{}")


class Recorder:
    """Encodes the records of one process."""

    def __init__(
        self,
        schemas: "Schemas",
        pseudonymise: Pseudonymiser,
        *,
        tenant_id: str,
        source: str,
        producer_id: str,
        redacted: Counter[str] | None = None,
    ) -> None:
        #: Counts what the scrubber finds; None: it does not look.
        self._redacted = redacted
        self._schemas, self._pseudonymise, self._tenant_id = schemas, pseudonymise, tenant_id
        #: Ids of sessions do not outlive a day.
        self._passing = getattr(pseudonymise, "passing", pseudonymise)
        self._fixed = {
            "tenant_id": tenant_id,
            "source": source,
            "producer_id": producer_id,
            "pseudonym_version": pseudonymise.version,
            "automatic": False,
        }
        self._shapes: dict[str, Shape] = {}
        self._forms: dict[str, Form] = {}
        self._stamps: dict[int, bytes] = {}
        #: People of late, by raw id: the piece of the pseudonym and the record key. Only where a pseudonym never changes.
        self._people: dict[str, tuple[bytes, bytes]] = {}
        self._lasting: bool = getattr(pseudonymise, "lasting", False)
        self._moment = (0, b"", "")

    def encode(self, event_name: str, told: Told) -> Encoded:
        """A record of these values.

        Raises
        ------
        Refusal
            When a value is not acceptable.
        SchemaUnavailable
            When the record's schema cannot be had.
        """
        (
            user_id, anonymous_id, session_id, amount, properties, occurred_at, context, automatic, message_id, sent_at_ms,
            received_at_ms, original_id, fields,
        ) = told  # fmt: skip
        form = self._forms.get(event_name) if type(event_name) is str else None
        if form is None:
            form = self._form(event_name)
        pieces = form.blank.copy()
        now = int(time.time() * 1000)
        moment = self._moment
        if moment[0] != now:
            moment = self._moment = (now, long(checked_ms("occurred_at", now)), uuid7_head(now))
        _, stamp, head = moment
        if message_id is None:
            message_id = uuid7_of_head(head)
        else:
            checked_message_id(message_id)
        pieces[form.message_id.index] = b"\x48" + message_id.encode()  # 36 bytes follow
        pieces[form.occurred] = stamp if occurred_at is None else self._stamp("occurred_at", occurred_at)
        pieces[form.sent] = stamp if sent_at_ms is None else self._stamp("sent_at_ms", sent_at_ms)
        pieces[form.received] = stamp if received_at_ms is None else self._stamp("received_at_ms", received_at_ms)
        if automatic:
            pieces[form.columns["automatic"].index] = b"\x01"
        key = b""
        if anonymous_id is not None:
            key = self._identify(pieces, form.columns["anonymous_id"], anonymous_id)
        if user_id is not None:  # nearly always: without a call of `_identify`
            known = self._people.get(user_id) if type(user_id) is str else None
            person, key = known or self._person("user_id", user_id)
            pieces[form.user_id.index] = form.user_id.prefix + person
        if session_id is not None:
            self._sit(pieces, form.columns["session_id"], session_id)
        if amount is not None:
            put_amount(fields, amount)
        if original_id is not None:
            fields["original_id"] = original_id
        if self._redacted is not None:
            fields, found = self._scrubbed(fields)
            self._redacted.update(found)
        rest = self._fill(pieces, form, fields, context)
        if self._redacted is not None and properties:
            properties, found = scrub_properties(properties)
            self._redacted.update(found)
        if properties:
            properties = {**rest, **properties} if rest else properties
        else:
            properties = rest
        pieces[form.properties] = text(properties_text(properties)) if properties else form.empty
        # In half the time of its own constructor, which is written in Python.
        return tuple.__new__(
            Encoded, (form.topic, key or record_key(self._tenant_id, message_id), pieces, form.sequence, message_id)
        )

    @staticmethod
    def _scrubbed(fields: dict[str, Any]) -> tuple[dict[str, Any], Found]:
        """Fields and further arguments; a host's id becomes a pseudonym and is left alone."""
        clean, found = scrub_properties({n: v for n, v in fields.items() if n not in PSEUDONYMS})
        return {**fields, **clean}, found

    def _stamp(self, what: str, moment: datetime | int) -> bytes:
        """A time as it is written; events of a moment share it."""
        if type(moment) is not int:
            return long(checked_ms(what, moment))
        found = self._stamps.get(moment)
        if found is None:
            found = long(checked_ms(what, moment))
            if len(self._stamps) >= STAMPS_REMEMBERED:
                self._stamps.clear()
            self._stamps[moment] = found
        return found

    def _identify(self, pieces: list[bytes], column: Column, raw: str | int) -> bytes:
        """Put a pseudonym into its column; returns the record key of its person."""
        piece, key = (self._people.get(raw) if type(raw) is str else None) or self._person(column.name, raw)
        pieces[column.index] = column.prefix + piece
        return key

    def _person(self, what: str, raw: str | int) -> tuple[bytes, bytes]:
        """The piece of a pseudonym and its record key, remembered."""
        pseudonym = self._pseudonymise(self._tenant_id, checked_id(what, raw) or "")
        found = text(pseudonym), record_key(self._tenant_id, pseudonym)
        if self._lasting and type(raw) is str:
            if len(self._people) >= PEOPLE_REMEMBERED:
                self._people.clear()
            self._people[raw] = found
        return found

    def _sit(self, pieces: list[bytes], column: Column, raw: str | int) -> None:
        """Put a session's pseudonym into its column."""
        if self._passing is self._pseudonymise:
            self._identify(pieces, column, raw)
        else:
            pieces[column.index] = column.prefix + text(
                self._passing(self._tenant_id, checked_id(column.name, raw) or "")
            )

    def _fill(
        self, pieces: list[bytes], form: Form, fields: dict[str, Any], context: Mapping[str, str | None] | None
    ) -> dict[str, Any]:
        """Put fields and context into their columns; returns what has none."""
        rest: dict[str, Any] = {}
        plain = form.plain
        for name, value in fields.items():
            column = plain.get(name)
            if column is not None:
                known = column.known.get(value) if type(value) is column.exact else None
                if known is not None:
                    pieces[column.index] = known
                elif value is not None:
                    pieces[column.index] = column.learn(value)
            elif name in _RESERVED:
                raise Refusal("RESERVED_NAME", f"{name} is set by the client")
            elif value is None:
                continue
            elif name in PSEUDONYMS and name in form.columns:
                self._identify(pieces, form.columns[name], value)
            else:
                rest[name] = value
        if context:
            for name, value in checked_context(context).items():
                pieces[form.columns[name].index] = form.columns[name].encode(value)
        return rest

    def _form(self, event_name: str) -> Form:
        name = checked_name("event name", event_name)
        family = family_of(name)
        shape = self._shapes.get(family)
        if shape is None:
            topic = topic_of(family)
            written = self._schemas.written(f"{topic}-value")
            try:
                shape = self._shapes[family] = Shape(topic, written, self._fixed, _FILLED)
            except (ValueError, LookupError, TypeError) as problem:  # of the schema, not of the event
                raise SchemaUnavailable(f"the schema of {topic} cannot be read") from problem
        if len(self._forms) >= NAMES_REMEMBERED:
            self._forms.clear()
        form = self._forms[name] = Form(name, shape)
        return form
