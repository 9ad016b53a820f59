"""Sessions worked out again where records came are those that all records tell, in whatever order they came."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from schemas.sessions import CAP_S, IDLE_S
from stream_apps.compute.sessions import IDLE_MS, Person, Session, Span, changes, span_of

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
ANNA, BERT = ("t", "anna"), ("t", "bert")


def cut(person: Person, times: Iterable[int]) -> list[Session]:
    """The sessions of all records, by a loop over them."""
    runs: list[list[int]] = []
    for at in sorted(times):
        if runs and at - runs[-1][-1] <= IDLE_S * 1000:
            runs[-1].append(at)
        else:
            runs.append([at])
    out = []
    for run in runs:
        pieces: dict[int, list[int]] = {}
        for at in run:
            pieces.setdefault((at - run[0]) // (CAP_S * 1000), []).append(at)
        out += [Session(*person, p[0], p[-1], run[0], len(p), len(p), 0, 0) for p in pieces.values()]
    return out


class Store:
    """Records and published sessions, asked as the stage asks."""

    def __init__(self) -> None:
        self.records: dict[Person, list[int]] = {}
        self.sessions: dict[tuple[Person, int], Session] = {}

    def round(self, fresh: dict[Person, list[int]]) -> list[Session]:
        """Records come, and one round passes over all of them in one statement."""
        for person, times in fresh.items():
            self.records.setdefault(person, []).extend(times)
        touched = {person: Span(min(times), max(times)) for person, times in fresh.items()}
        first, last = min(s.first_ms for s in touched.values()), max(s.last_ms for s in touched.values())
        stood = [
            s for s in self.sessions.values()
            if s.of in touched and s.run_started_ms <= last + IDLE_MS and s.ended_ms >= first - IDLE_MS
        ]  # fmt: skip
        spans = {p: span_of(span, [s for s in stood if s.of == p]) for p, span in touched.items()}
        first, last = min(s.first_ms for s in spans.values()), max(s.last_ms for s in spans.values())
        now = [s for p in spans for s in cut(p, [at for at in self.records[p] if first <= at <= last])]
        published = changes(spans, stood, now)
        for one in published:
            self.sessions[one.of, one.started_ms] = one
            if not one.records:
                del self.sessions[one.of, one.started_ms]
        return published


minutes = st.integers(0, 4 * 24 * 60).map(lambda m: m * MINUTE_MS)
# Records close together, so that runs of days come about.
trains = st.tuples(minutes, st.integers(1, 150), st.integers(5, 30)).map(
    lambda t: [t[0] + i * t[2] * MINUTE_MS for i in range(t[1])]
)
times = st.one_of(st.lists(minutes, min_size=1, max_size=5), trains)
rounds = st.lists(st.dictionaries(st.sampled_from([ANNA, BERT]), times, min_size=1), min_size=1, max_size=8)


@given(rounds)
def test_round_by_round_is_all_at_once(came: list[dict[Person, list[int]]]) -> None:
    store = Store()
    for fresh in came:
        store.round(fresh)
    want = [one for person, held in store.records.items() for one in cut(person, held)]
    assert sorted(store.sessions.values()) == sorted(want)


def test_a_late_record_joins_two_sessions() -> None:
    store = Store()
    store.round({ANNA: [0, 10 * MINUTE_MS]})
    store.round({ANNA: [55 * MINUTE_MS]})
    assert len(store.sessions) == 2
    published = store.round({ANNA: [35 * MINUTE_MS]})
    assert sorted((s.started_ms, s.records) for s in published) == [(0, 4), (55 * MINUTE_MS, 0)]


def test_a_day_without_a_break_is_cut_where_the_run_says() -> None:
    store = Store()
    store.round({ANNA: [i * 20 * MINUTE_MS for i in range(3 * 24 * 3)]})
    assert [s.started_ms for s in sorted(store.sessions.values())] == [0, 24 * HOUR_MS, 48 * HOUR_MS]
    store.round({ANNA: [-10 * MINUTE_MS]})
    assert [s.started_ms for s in sorted(store.sessions.values())] == [
        -10 * MINUTE_MS, 24 * HOUR_MS, 48 * HOUR_MS
    ]  # fmt: skip


def test_what_says_the_same_is_not_published() -> None:
    store = Store()
    store.round({ANNA: [0], BERT: [HOUR_MS]})
    assert store.round({ANNA: [10 * HOUR_MS], BERT: [5 * HOUR_MS]}) == [
        Session(*ANNA, 10 * HOUR_MS, 10 * HOUR_MS, 10 * HOUR_MS, 1, 1, 0, 0),
        Session(*BERT, 5 * HOUR_MS, 5 * HOUR_MS, 5 * HOUR_MS, 1, 1, 0, 0),
    ]
