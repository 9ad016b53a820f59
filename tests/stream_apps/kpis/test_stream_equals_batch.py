"""Whatever the order, the crashes, the late and the repeated: the stream's points equal their recomputation from raw rows."""

import json
import random
from collections.abc import Iterable
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from infra.verify.run import verify_store
from schemas.families import FAMILIES
from schemas.identity import EXCLUDED
from schemas.sentiment import SENTIMENT, with_sentiment
from tests.schemas.engine import Engine
from tests.schemas.rows import frame
from tests.stream_apps.kpis.pipeline import Kpis, distinct, run

USED = ("interaction", "commerce", "feedback", "performance")


class EngineStore:
    """The in-process engine as verify's store."""

    def __init__(self, held: Engine) -> None:
        self._engine = held

    def rows(self, sql: str) -> Iterable[tuple[Any, ...]]:
        """Rows, with whole numbers as such."""
        for row in self._engine.rows(sql + " SETTINGS output_format_json_quote_64bit_integers = 0"):
            yield tuple({int(k): v for k, v in c.items()} if isinstance(c, dict) else c for c in row)


def load(held: Engine, frames: dict[str, pl.DataFrame], kpis: Kpis) -> None:
    """Tables as the sinks would fill them."""
    held.run("DROP DATABASE IF EXISTS footlights")
    held.run("CREATE DATABASE footlights")
    for name, family in FAMILIES.items():
        columns = ", ".join(
            f"{f.name} {f'Nullable({t})' if f.nullable else t}"
            for f in family.fields
            for t in [{"string": "String", "long": "Int64", "double": "Float64", "boolean": "Bool"}[f.kind]]
        )
        derived = f", {SENTIMENT} Nullable(Int64)" if name == "feedback" else ""
        held.run(
            f"CREATE TABLE footlights.events_{name} ({columns}, _excluded String{derived}) ENGINE = MergeTree ORDER BY tuple()"
        )
        if name in frames:
            rows = distinct(frames[name]).with_columns(EXCLUDED)
            if name == "feedback":
                rows = with_sentiment(rows)
            table = held.load(rows, {SENTIMENT, *(f.name for f in family.fields if f.nullable)})
            held.run(f"INSERT INTO footlights.events_{name} SELECT * FROM {table}")
    points = [
        {k: p[k] for k in ("tenant_id", "kpi", "window", "by", "window_start_ms", "window_end_ms", "value", "rows")}
        for p in kpis.history().values()
    ]
    table = held.load(pl.DataFrame(points, schema_overrides={"value": pl.Float64}), {"value"})
    for name in ("kpi_history", "kpi_points"):
        held.run(
            f"CREATE TABLE footlights.{name} ENGINE = MergeTree ORDER BY tuple() AS SELECT tenant_id, kpi, window, by, value, "
            "rows, fromUnixTimestamp64Milli(window_start_ms, 'UTC') AS window_start, "
            f"fromUnixTimestamp64Milli(window_end_ms, 'UTC') AS window_end, now64(3) AS published_at FROM {table}"
        )


def frames_of(seed: int, count: int, span_ms: int) -> dict[str, pl.DataFrame]:
    """Rows of the used families in a random order, some of them twice."""
    rnd = random.Random(seed)
    out = {}
    for family in USED:
        held = frame(family, count, seed=rnd.randrange(1 << 30), span_ms=span_ms)
        again = held.sample(max(1, count // 20), seed=seed)
        out[family] = pl.concat([held, again])
    return out


@example(26747292, "UTC", 40)  # a second crash before the windows of the first were published
@example(5522, "America/New_York", 400)  # a second crash while the stage read again what it had read
@example(139, "America/New_York", 400)  # the same, after it had read an older sketch again
@settings(
    max_examples=6,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.integers(0, 1 << 30), st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York"]), st.sampled_from([40, 400])
)
def test_points_equal_their_recomputation(engine: Engine, seed: int, zone: str, count: int) -> None:
    frames = frames_of(seed, count, 3 * 3_600_000)
    kpis = run(frames, random.Random(seed), zone=zone)
    load(engine, frames, kpis)
    result = verify_store(EngineStore(engine), zone=zone)
    assert result.different == [], json.dumps([vars(d) for d in result.different[:5]])
    assert result.compared == result.equal > 100


def test_verify_sees_a_row_that_is_missing(engine: Engine) -> None:
    frames = frames_of(1, 60, 3_600_000)
    kpis = run(frames, random.Random(1), crashes=0)
    bought = (pl.col("event_name") == "ticket_purchased") & (pl.col("quantity") > 0)
    victim = frames["commerce"].filter(bought & (EXCLUDED == ""))["message_id"][0]
    frames["commerce"] = frames["commerce"].filter(pl.col("message_id") != victim)
    load(engine, frames, kpis)
    found = {d.kpi for d in verify_store(EngineStore(engine)).different}
    assert "tickets_sold" in found


@pytest.mark.parametrize("seed", range(3))
def test_no_revision_is_given_twice_for_different_values(seed: int) -> None:
    kpis = run(frames_of(seed, 200, 3_600_000), random.Random(seed), crashes=0.4)
    seen: dict[tuple[Any, ...], Any] = {}
    for point in kpis.published:
        if point["final"]:
            place = tuple(point[k] for k in ("tenant_id", "kpi", "window", "by", "window_start_ms", "revision"))
            assert seen.setdefault(place, point["value"]) == point["value"], place
    assert any(p["revision"] for p in kpis.published)
