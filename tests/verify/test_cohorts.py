"""Final figures of cohort metrics are compared with what their definition says now."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from infra.verify import cohorts
from infra.verify.cohorts import verify_cohorts
from infra.verify.result import VerifyResult
from schemas.cohorts import COHORTS

DAY_MS = 86_400_000
NAME, DAY = "daily_active_users_exact", 20_000
Row = tuple[Any, ...]


class Books:
    """A store that holds figures, and says of each day what is counted."""

    def __init__(
        self, published: Callable[[int], list[Row]], counted: dict[int, list[Row]], oldest_ms: int = 0
    ) -> None:
        self._published, self._counted, self._oldest_ms, self.asked = published, counted, oldest_ms, 0
        self._days = {COHORTS[NAME].sql(day, "UTC"): day for day in counted}

    def rows(self, sql: str) -> Iterable[Row]:
        if sql == cohorts.OLDEST:
            return [(self._oldest_ms,)]
        if sql in self._days:
            return self._counted[self._days[sql]]
        assert "kpi_history" in sql and re.search("WHERE final AND kpi IN", sql)
        self.asked += 1
        return self._published(self.asked)


def point(day: int, value: float, by: str = "") -> Row:
    return "default", NAME, "1d", by, day * DAY_MS, value


def verified(books: Books, cutoff_ms: int = 0, patience_s: float = 0.0) -> VerifyResult:
    result = VerifyResult()
    verify_cohorts(
        books, result, from_ms=None, to_ms=None, zone="UTC", cutoff_ms=cutoff_ms, patience_s=patience_s
    )  # fmt: skip
    return result


def test_equal_different_and_missing_on_either_side() -> None:
    published = [point(DAY, 3.0), point(DAY + 1, 4.0), point(DAY + 2, 5.0), point(DAY + 2, 6.0, "city=Pune")]
    counted = {
        DAY: [("default", "", 3.0, 9)],
        DAY + 1: [("default", "", 4.0000000000000009, 9)],  # one bit
        DAY + 2: [("default", "", 5.0, 9), ("default", "city=Oslo", 1.0, 1)],
    }
    result = verified(Books(lambda _: published, counted))
    assert (result.compared, result.equal) == (5, 2)
    assert [(d.by, d.window_start_ms // DAY_MS - DAY, d.published, d.recomputed) for d in result.different] == [
        ("", 1, 4.0, 4.000000000000001), ("city=Oslo", 2, "missing", 1.0), ("city=Pune", 2, 6.0, "missing"),
    ]  # fmt: skip


def test_a_round_that_restates_a_figure_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohorts, "AGAIN_S", 0.01)
    counted = {DAY: [("default", "", 3.0, 9)], DAY + 1: [("default", "", 4.0, 9)]}
    books = Books(lambda asked: [point(DAY, 3.0 if asked > 2 else 2.0), point(DAY + 1, 4.0)], counted)
    result = verified(books, patience_s=5.0)
    assert (result.compared, result.equal, result.different, books.asked) == (2, 2, [], 3)
    books = Books(lambda _: [point(DAY, 2.0), point(DAY + 1, 4.0)], counted)
    result = verified(books, patience_s=0.05)
    assert (result.compared, result.equal, len(result.different)) == (2, 1, 1)


class Clock:
    """Time passes by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_patience_begins_anew_with_each_day_that_comes_to_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, days = Clock(), range(DAY, DAY + 10)
    monkeypatch.setattr(cohorts, "time", clock)
    counted = {day: [("default", "", 3.0, 9)] for day in days}
    # One day more is restated every ten seconds, the newest first, but the last one never.
    books = Books(
        lambda _: [point(day, 3.0 if day > DAY and days[-1] - day < clock.now // 10 else 2.0) for day in days], counted
    )
    result = verified(books, patience_s=15.0)
    assert (result.compared, result.equal, len(result.different)) == (10, 9, 1)
    assert 90 + 15 <= clock.now < 90 + 15 + 2 * cohorts.AGAIN_S


def test_days_whose_rows_the_retention_takes_are_left_out() -> None:
    counted = {DAY: [("default", "", 3.0, 9)], DAY + 1: [("default", "", 3.0, 9)]}
    books = Books(lambda _: [point(DAY, 9.0), point(DAY + 1, 3.0)], counted, oldest_ms=DAY * DAY_MS)
    assert verified(books, cutoff_ms=(DAY + 1) * DAY_MS).compared == 1
    assert verified(books, cutoff_ms=(DAY - 1) * DAY_MS).compared == 2  # a store younger than that has lost nothing
