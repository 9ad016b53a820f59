"""Totals stay exact through crashes anywhere, torn checkpoints, replays and zombies; each rule's absence shows."""

import random
from typing import Any

import numpy as np
import pytest

from schemas.catalogue import MEASURES
from stream_apps.compute.partition import Checkpoint, Partition, Rules
from stream_apps.compute.plan import Plan
from stream_apps.compute.records import Key, Record, Records
from tests.stream_apps.measures.reference import totals
from tests.stream_apps.measures.stored import said
from tests.stream_apps.measures.traffic import frame, rows

DECLARED = list(MEASURES.values())
FAMILIES = ("interaction", "commerce", "performance")
PLANS = {family: Plan(family, DECLARED) for family in FAMILIES}
LOGS = {f: rows(f, 1_500, seed=5, per_second=2, late=0.1, repeated=0.05, users=300) for f in FAMILIES}
WANT: dict[tuple[str, int, int], dict[Any, Any]] = {}
Write = tuple[tuple[Key, int], Record | None]


class Changelog:
    """A compacted topic: the last record of each (key, generation)."""

    def __init__(self) -> None:
        self.held: dict[tuple[Key, int], Record] = {}

    def apply(self, writes: list[Write]) -> None:
        for key, record in writes:
            if record is None:
                self.held.pop(key, None)
            else:
                self.held[key] = record

    def records(self) -> Records:
        out = Records()
        for (_, generation), record in self.held.items():
            out.put(generation, record)
        return out


class Worker:
    """One life of a partition: recovers, reads from the committed offset, writes checkpoints in two steps."""

    def __init__(self, log: Changelog, family: str, generation: int, rules: Rules) -> None:
        self.family, self.generation = family, generation
        self.partition = Partition(PLANS[family], log.records(), rules)

    def batch(self, chunk: list[dict[str, Any]], start: int, times: np.ndarray[Any, Any]) -> None:
        done = self.partition.offset + 1 - start  # a prefix that the stored head says is wholly included
        if done >= len(chunk):
            return
        done = max(done, 0)
        chunk, start, times = chunk[done:], start + done, times[done:]
        frames = PLANS[self.family](frame(self.family, chunk, start))
        self.partition.take(frames, times, last_offset=start + len(chunk) - 1, seen=len(chunk), bad=[])

    def writes(self, committed: int) -> tuple[list[Write], list[Write]]:
        """Records first; once they are safe, the head and the deletions."""
        done: Checkpoint = self.partition.flush(self.generation, committed, at_end=False, read_at_ms=0)
        first: list[Write] = []
        superseded: list[tuple[Key, int]] = []
        for record in [*done.records, *done.ids]:
            superseded += self.partition.records.put(self.generation, record)
            first.append(((record.key, self.generation), record))
        superseded += [(key, g) for key in done.drops for g in self.partition.records.generations(key)]
        superseded += self.partition.records.put(self.generation, done.stored_head)
        for key, generation in superseded:
            self.partition.records.drop(key, generation)
        last: list[Write] = [((done.stored_head.key, self.generation), done.stored_head)]
        return first, last + [(pair, None) for pair in superseded]


def run(seed: int, rules: Rules) -> tuple[int, int]:
    """(crashes, wrong cells) of one random history."""
    r = random.Random(seed)
    family = r.choice(FAMILIES)
    start = r.randrange(1_000)
    log = LOGS[family][start : start + r.randrange(100, 350)]
    times = np.maximum.accumulate([row["received_at_ms"] for row in log])
    changelog, committed, crashes, generation = Changelog(), 0, 0, 0
    zombie: tuple[Worker, int] | None = None
    while committed < len(log):
        generation += 1
        worker, at = Worker(changelog, family, generation, rules), committed
        while at < len(log):
            end = min(at + r.choice([1, 3, 20, 60, 150]), len(log))
            worker.batch(log[at:end], at, times[at:end])
            at = end
            if zombie and r.random() < 0.3:
                _haunt(zombie, log, times, changelog, r)
                zombie = None
            if r.random() < 0.35 or at == len(log):
                first, last = worker.writes(committed)
                r.shuffle(first)
                if crashes < 6 and r.random() < 0.4:
                    torn = r.randrange(len(first) + len(last) + 1)
                    changelog.apply([*first, *last][:torn])
                    crashes += 1
                    break
                changelog.apply([*first, *last])
                if crashes < 6 and r.random() < 0.15:
                    crashes += 1
                    break
                committed = at
            elif crashes < 6 and r.random() < 0.15:
                crashes += 1
                if r.random() < 0.5:
                    zombie = worker, at
                break
    got = said(changelog.records())
    want = totals(family, log, DECLARED)
    return crashes, sum(got.get(k) != want.get(k) for k in got.keys() | want.keys())


def _haunt(
    zombie: tuple[Worker, int], log: list[dict[str, Any]], times: Any, changelog: Changelog, r: random.Random
) -> None:
    """A worker that believes to own the partition still reads on a little and writes its checkpoint, whole or torn."""
    worker, at = zombie
    end = min(len(log), at + r.choice([0, 5, 40]))
    if end > at:
        worker.batch(log[at:end], at, times[at:end])
    first, last = worker.writes(0)
    writes = [*first, *last]
    changelog.apply(writes if r.random() < 0.5 else writes[: r.randrange(len(writes) + 1)])


def wrong_runs(count: int, rules: Rules) -> tuple[int, int]:
    """(runs with a wrong cell, crashes in all)."""
    results = [run(seed, rules) for seed in range(count)]
    return sum(wrong > 0 for _, wrong in results), sum(crashes for crashes, _ in results)


def test_every_history_is_exact() -> None:
    wrong, crashes = wrong_runs(60, Rules(hot_bytes=50_000))
    assert crashes > 120
    assert wrong == 0


@pytest.mark.parametrize(
    "rules",
    [
        Rules(offset_floor=lambda *_: -1),
        Rules(offset_floor=lambda records, *_: records.restored),
        Rules(verdicts=False),
    ],
    ids=["replayed rows not skipped", "one offset for all records", "deduplication without verdicts"],
)
def test_without_a_rule_histories_go_wrong(rules: Rules) -> None:
    wrong, _ = wrong_runs(25, rules)
    assert wrong > 3
