"""The engine's states and those that ClickHouse computes from the raw rows are the same to the bit, sketches included."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.aggregates import Quantile, Uniq
from schemas.catalogue import MEASURES
from schemas.families import BOOLEAN, DOUBLE, FAMILIES, FAMILY_NAMES, LONG, STRING
from schemas.identity import EXCLUDED_SQL
from schemas.measures import groups_of
from schemas.recompute import rows_query, state_query
from schemas.sentiment import SENTIMENT, score_milli
from schemas.windows import LEVELS
from stream_apps.compute.partition import Partition, Rules
from stream_apps.compute.records import Records
from tests.stream_apps.measures.reference import LATE, ROWS
from tests.stream_apps.measures.stored import said
from tests.stream_apps.measures.test_engine import DECLARED, PLANS, store, take
from tests.stream_apps.measures.traffic import rows

pytestmark = pytest.mark.clickhouse

TYPES = {STRING: "String", LONG: "Int64", DOUBLE: "Float64", BOOLEAN: "Bool"}
ZONE = "America/New_York"
COUNT = 3_000


def _table(family: str, log: list[dict[str, Any]], folder: Path) -> list[str]:
    columns = [
        f"{f.name} {f'Nullable({TYPES[f.kind]})' if f.nullable else TYPES[f.kind]}" for f in FAMILIES[family].fields
    ]
    columns.append(f"_excluded String DEFAULT {EXCLUDED_SQL}")
    distinct = {r["message_id"]: r for r in reversed(log)}
    names = ", ".join(f.name for f in FAMILIES[family].fields)
    if family == "feedback":
        columns.append(f"{SENTIMENT} Nullable(Int64)")
        names += f", {SENTIMENT}"
        distinct = {
            k: r | {SENTIMENT: None if r["text"] is None else score_milli(r["text"])} for k, r in distinct.items()
        }
    path = folder / f"{family}.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in distinct.values()))
    # The real table stores the reporting amount, which the recomputation leaves aside and derives again.
    if family == "commerce":
        columns.append("reporting_minor Nullable(Int64)")
    return [
        f"CREATE TABLE footlights.events_{family} ({', '.join(columns)}) ENGINE = Memory",
        f"INSERT INTO footlights.events_{family} ({names}) SELECT {names} FROM file('{path}', 'JSONEachRow')",
    ]


def _questions() -> list[tuple[Any, tuple[str, ...], int, str]]:
    """(name, by, level, SQL) of everything that can be asked."""
    out: list[tuple[Any, tuple[str, ...], int, str]] = []
    for family in FAMILY_NAMES:
        for level in LEVELS:
            for group in groups_of(family, DECLARED):
                out.append(((family, group.by), group.by, level, rows_query(group.by, family, level, ZONE)))
                out += [((family, m.name), m.by, level, state_query(m, family, level, ZONE)) for m in group.measures]
    return out


def _by_clickhouse(logs: dict[str, list[dict[str, Any]]], folder: Path) -> dict[str, dict[Any, Any]]:
    made = ["CREATE DATABASE footlights", *(s for f in logs for s in _table(f, logs[f], folder))]
    questions = _questions()
    done = subprocess.run(
        [sys.executable, "-m", "tests.stream_apps.measures.clickhouse", str(folder / "engine")],
        input=json.dumps([*made, *(q[-1] for q in questions)]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    out: dict[str, dict[Any, Any]] = {f: {} for f in logs}
    for ((family, name), by, level, _), found in zip(questions, json.loads(done.stdout)[len(made) :], strict=True):
        for row in found:
            place = (level, int(row[0]), tuple(row[1 : 2 + len(by)]))
            if isinstance(name, tuple):
                out[family] |= {((ROWS, name), *place): int(row[-2]), ((LATE, name), *place): int(row[-1])}
            elif isinstance(MEASURES[name].aggregate, Uniq | Quantile):
                out[family][(name, *place)] = {int(k): int(v) for k, v in row[-1].items()}
            else:
                out[family][(name, *place)] = int(row[-1])
    return {f: {k: v for k, v in cells.items() if v} for f, cells in out.items()}


def test_same_states_in_both_engines(tmp_path: Path) -> None:
    logs = {f: rows(f, COUNT, seed=31, per_second=0.5, users=400) for f in FAMILY_NAMES}
    want = _by_clickhouse(logs, tmp_path)
    for family, log in logs.items():
        partition = Partition(PLANS[family], Records(), Rules(zone=ZONE))
        for start in range(0, COUNT, 1_000):
            take(partition, family, log, start, start + 1_000)
            store(partition)
        got = said(partition.records)
        assert len(got) > 500
        different = {k for k in got.keys() | want[family].keys() if got.get(k) != want[family].get(k)}
        assert not different, (family, len(different), list(different)[:5])
