"""Every KPI of the stream: its value on a golden log, its recomputation in ClickHouse, and all the places that it must reach.

In: the declarations.
Out: a failure for each KPI that lacks one of them.
Never: a list of names of its own: a new declaration is tested, or the suite fails.
"""

import random
from pathlib import Path

import pytest

from infra.verify.run import verify_store
from schemas.kpis import KPIS
from schemas.metric import MILLISECONDS
from schemas.metric_catalogue import METRICS
from schemas.windows import WINDOWS
from sinks.migrate import _definitions_sql
from tests.catalogue.golden import EXPECTED, START_MS, records
from tests.schemas.engine import Engine
from tests.stream_apps.kpis.pipeline import Kpis, run
from tests.stream_apps.kpis.test_stream_equals_batch import EngineStore, load

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def streamed() -> Kpis:
    """The golden log through both stages, with crashes."""
    return run(records(), random.Random(7), crashes=0.2)


def test_each_kpi_has_a_golden_value() -> None:
    assert EXPECTED.keys() == KPIS.keys()


@pytest.mark.parametrize("name", KPIS)
def test_the_stream_says_what_was_worked_out_by_hand(streamed: Kpis, name: str) -> None:
    kpi = KPIS[name]
    newest: dict[str, tuple[int, float]] = {}
    for point in streamed.history().values():
        if point["kpi"] == name and point["by"] == "" and point["window_start_ms"] <= START_MS:
            newest[point["window"]] = max(
                newest.get(point["window"], (0, 0.0)), (point["window_end_ms"], point["value"])
            )
    wide = [w for w in kpi.windows if WINDOWS[w].level or WINDOWS[w].length == 60]  # hold the whole log
    assert wide
    off = 0.02 if kpi.unit == MILLISECONDS else 1e-12
    assert {w: newest[w][1] for w in wide} == dict.fromkeys(wide, pytest.approx(EXPECTED[name], rel=off))


def test_clickhouse_recomputes_every_window_to_the_bit(engine: Engine, streamed: Kpis) -> None:
    load(engine, records(), streamed)
    result = verify_store(EngineStore(engine))
    assert result.different == []
    assert result.compared == result.equal > 200


@pytest.mark.parametrize("name", METRICS)
def test_each_metric_reaches_every_stop(name: str) -> None:
    metric = METRICS[name]
    assert f"| `{name}` |" in (ROOT / "docs" / "kpis.md").read_text(), "run python -m infra.pages > docs/kpis.md"
    assert (
        f"('{name}', {metric.version}," in _definitions_sql()
    )  # the store's definitions, beside the views over its points
    assert metric.help.endswith(".")
    assert metric.owner
    assert metric.good in ("up", "down", "flat")
    if metric.alert is not None:
        assert (metric.alert.above is None) is not (metric.alert.below is None)
        assert metric.alert.window in metric.windows
        assert metric.alert.severity in ("page", "ticket")
