"""Compares the store with what an independent reader makes of the log."""

from collections import Counter
from typing import Any

from tests.sinks.conftest import Bench
from tests.sinks.traffic import ends, truth

COMPARED = "message_id, event_name, occurred_at_ms, user_id, sequence, amount_minor, quantity"


def audit(bench: Bench) -> None:
    """Every row, every repeat, every refusal, and the ranges: all there, each once."""
    expected = truth(bench.config.bootstrap)
    names = COMPARED.split(", ")
    rows = bench.rows(f"SELECT _partition, _offset, {COMPARED} FROM footlights.events_commerce ORDER BY 1, 2")
    assert rows == [(p, o, *(r[n] for n in names)) for (p, o), r in sorted(expected.stored.items())]
    repeats = bench.rows("SELECT partition, offset, first_offset FROM footlights.duplicates ORDER BY 1, 2")
    assert repeats == [(p, o, f) for (p, o), f in sorted(expected.repeats.items())]
    told = bench.rows("SELECT partition, offset FROM footlights.duplicates WHERE notEmpty(differs)")
    assert sorted(told) == sorted(expected.collisions)
    books = "SELECT sum(arraySum(mapValues(collisions))) FROM footlights.batches"
    assert bench.rows(books) == [(len(expected.collisions),)]
    counted = bench.rows(
        "SELECT partition, sum(arraySum(mapValues(dead_lettered))) FROM footlights.batches GROUP BY 1 HAVING 2 > 0 ORDER BY 1"
    )
    assert {p: n for p, n in counted if n} == dict(expected.refused)
    for partition, end in ends(bench.config.bootstrap).items():
        ranges: list[tuple[Any, ...]] = bench.rows(
            f"SELECT first, last FROM footlights.batches WHERE partition = {partition} ORDER BY first"
        )
        covered = Counter(o for first, last in ranges for o in range(first, last + 1))
        assert covered == Counter(range(end))


def contents(bench: Bench) -> list[tuple[Any, ...]]:
    """The rows without what says how they were cut into batches."""
    return bench.rows(
        "SELECT * EXCEPT (_batch_first, _batch_last, _inserted_at), occurred_at, _shard, reporting_minor "
        "FROM footlights.events_commerce ORDER BY _partition, _offset"
    )
