"""Whose events are withheld, and the one rule that says so for stream, sink and forwarder alike.

In: what people said, with the time at which Kafka's log took it.
Out: the rows of a frame that nobody may count, store or forward.
Never: an answer that depends on who asks or when: a record is withheld by the log's times alone, today and in a replay.

A record is withheld when its log-append time is `GRACE_MS` or more after that of a refusal by one of its ids, and no permission
stands between them. What was said `GRACE_MS` before a record was appended can be read before the record is, so whoever reads the
topic of consents to its end at most `GRACE_MS` before it decides has all that the rule needs (`schemas.consent_reader`).
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

#: Event that says so; it is never withheld, since it proves what was said.
CONSENT_CHANGED = "consent_changed"
GRACE_MS = 2_000
OPTED_OUT = "opted_out"


class Consents:
    """All that was said. One thread says, any thread asks."""

    def __init__(self) -> None:
        #: Ids that ever refused, of any tenant: the cheap first question.
        self._refusers: set[str] = set()
        #: (tenant, id) to ascending append times and what held from each on.
        self._said: dict[tuple[str, str], tuple[tuple[int, ...], tuple[bool, ...]]] = {}
        self._heard: dict[tuple[str, str], frozenset[str]] = {}

    def say(self, tenant_id: str, subject: str, *, allowed: bool, message_id: str, appended_ms: int) -> None:
        """Note a statement; a repeat of one says nothing new."""
        who = tenant_id, subject
        if self.heard(tenant_id, subject, message_id):
            return
        times, answers = self._said.get(who, ((), ()))
        # The log's clock may step back; the order of the log counts.
        self._said[who] = ((*times, max(appended_ms, times[-1] if times else 0)), (*answers, allowed))
        self._heard[who] = self._heard.get(who, frozenset()) | {message_id}
        if not allowed:
            self._refusers.add(subject)

    def heard(self, tenant_id: str, subject: str, message_id: str) -> bool:
        """Whether this statement is known."""
        return message_id in self._heard.get((tenant_id, subject), ())

    def refuses(self, tenant_id: str, ids: Sequence[str | None], appended_ms: int) -> bool:
        """Whether one of the ids had refused when the log took a record."""
        return any(self._refuses(tenant_id, i, appended_ms - GRACE_MS) for i in ids if i in self._refusers)

    def _refuses(self, tenant_id: str, subject: str | None, at_ms: int) -> bool:
        times, answers = self._said.get((tenant_id, subject or ""), ((), ()))
        number = bisect_right(times, at_ms)
        return number > 0 and not answers[number - 1]

    def withheld(self, frame: pl.DataFrame, appended_ms: Callable[[], Sequence[int]]) -> list[int]:
        """Rows of a family's decoded frame that are withheld, ascending; `appended_ms` gives a time for each row."""
        refusers = self._refusers
        if not refusers or not frame.height:
            return []
        ids = list(zip(frame["user_id"].to_list(), frame["anonymous_id"].to_list(), strict=True))
        suspects = [row for row, (user, visitor) in enumerate(ids) if user in refusers or visitor in refusers]
        if not suspects:
            return []
        times, names, tenants = appended_ms(), frame["event_name"], frame["tenant_id"]
        return [
            row
            for row in suspects
            if names[row] != CONSENT_CHANGED and self.refuses(tenants[row], ids[row], int(times[row]))
        ]


def statements(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """The records for the topic of consents that a frame of account events calls for, in order: one for each id."""
    said = frame.filter((pl.col("event_name") == CONSENT_CHANGED) & pl.col("analytics_allowed").is_not_null())
    columns = ("tenant_id", "user_id", "anonymous_id", "analytics_allowed", "message_id", "occurred_at_ms")
    return [
        {
            "tenant_id": tenant, "subject": subject, "analytics_allowed": allowed, "message_id": message_id,
            "said_at_ms": occurred,
        }
        for tenant, user, visitor, allowed, message_id, occurred in said.select(columns).iter_rows()
        for subject in dict.fromkeys((user, visitor))
        if subject is not None
    ]  # fmt: skip


def key_of(tenant_id: str, subject: str) -> bytes:
    """Key in the compacted topic; events of the person have the same."""
    return f"{tenant_id}\x1f{subject}".encode()
