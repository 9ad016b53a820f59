"""Which sessions of a person may have changed, and which have.

In: when a person's new records happened; the sessions that stand published; the sessions as the records tell them now.
Out: the span to look at; what to publish.
Never: a session outside that span, or one that is left standing after its records went into another.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schemas.sessions import IDLE_S

IDLE_MS = IDLE_S * 1000
Person = tuple[str, str]  # tenant, pseudonym


class Span(NamedTuple):
    """Epoch milliseconds, both ends included."""

    first_ms: int
    last_ms: int

    def joined(self, other: "Span") -> "Span":
        """Both, and what lies between."""
        return Span(min(self.first_ms, other.first_ms), max(self.last_ms, other.last_ms))


class Session(NamedTuple):
    """A session. Times are epoch milliseconds; `run_started_ms` is where the run of records begins that it is cut from."""

    tenant_id: str
    person: str
    started_ms: int
    ended_ms: int
    run_started_ms: int
    records: int
    page_views: int
    purchases: int
    crashes: int

    @property
    def of(self) -> Person:
        """Whose it is."""
        return self.tenant_id, self.person

    @property
    def gone(self) -> "Session":
        """What says that there is no such session any more."""
        return self._replace(records=0, page_views=0, purchases=0, crashes=0)


def span_of(touched: Span, stood: Iterable[Session]) -> Span:
    """Where sessions may have changed, given where a person's new records lie and which sessions stand.

    A new record joins the runs that are no more than 30 minutes away, before and behind, and their cuts move with it. Runs that are
    farther away keep theirs.
    """
    runs: dict[int, Span] = {}
    for one in stood:
        span = Span(one.run_started_ms, one.ended_ms)
        runs[one.run_started_ms] = span.joined(runs.get(one.run_started_ms, span))
    out = touched
    for run in runs.values():
        if run.last_ms >= touched.first_ms - IDLE_MS and run.first_ms <= touched.last_ms + IDLE_MS:
            out = out.joined(run)
    return out


def changes(spans: Mapping[Person, Span], stood: Iterable[Session], now: Iterable[Session]) -> list[Session]:
    """What to publish: sessions that are new or differ, and those that are gone. Those that begin outside their span are left."""

    def within(one: Session) -> bool:
        span = spans[one.of]
        return span.first_ms <= one.started_ms <= span.last_ms

    before = {(one.of, one.started_ms): one for one in stood if within(one)}
    after = {(one.of, one.started_ms): one for one in now if within(one)}
    changed = [one for place, one in after.items() if before.get(place) != one]
    return changed + [before[place].gone for place in before.keys() - after.keys()]
