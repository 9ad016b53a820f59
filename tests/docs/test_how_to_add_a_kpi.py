"""docs/how-to-add-a-kpi.md, done as it says on a copy of the code: one declaration, and the KPI is everywhere."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to-add-a-kpi.md").read_text()
KPI, MEASURE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
#: Looks for the new KPI at every stop; the golden log has three tickets in two orders.
LOOK = """
import json, random
from infra.alerts.files import all_rules
from infra.pages import kpis_page
from infra.verify.run import verify_store
from schemas.kpis import KPIS
from schemas.metric_catalogue import METRICS
from sinks.migrate import _definitions_sql
from tests.catalogue.golden import records
from tests.schemas.engine import Engine
from tests.stream_apps.kpis.pipeline import run
from tests.stream_apps.kpis.test_stream_equals_batch import EngineStore, load
import pathlib, tempfile
name = "tickets_per_order"
kpis = run(records(), random.Random(1), crashes=0.1)
engine = Engine(pathlib.Path(tempfile.mkdtemp()))
load(engine, records(), kpis)
result = verify_store(EngineStore(engine))
days = [p["value"] for p in kpis.history().values() if (p["kpi"], p["window"]) == (name, "1d")]
windows = {p["window"] for p in kpis.history().values() if p["kpi"] == name}
print(json.dumps({
    "declared": name in METRICS, "page": f"| `{name}` |" in kpis_page(), "definition": f"('{name}', 1," in _definitions_sql(),
    "rules": [r.expr for r in all_rules() if r.name == "TicketsPerOrderHigh"],
    "days": days, "windows": sorted(windows), "different": len(result.different),
}))
engine.close()
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code with the page's two declarations in it."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("schemas", "infra", "sinks", "stream_apps", "serving", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file, declaration in (("kpis.py", KPI), ("catalogue.py", MEASURE)):
        path = folder / "schemas" / file
        head, mark, rest = path.read_text().partition("\n)  # fmt: skip\n")
        assert mark
        path.write_text(f"{head}\n{declaration.rstrip()},{mark}{rest}")
    return folder


def test_one_declaration_reaches_every_stop(copy: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert json.loads(done.stdout) == {
        "declared": True, "page": True, "definition": True,
        "rules": ['footlights_kpi{kpi="tickets_per_order",window="1h",by=""} > 20'],
        "days": [1.5], "windows": ["1d", "1h", "1m", "24h", "5m"],
        "different": 0,
    }  # fmt: skip


def test_the_page_names_what_exists() -> None:
    for name in re.findall(r"`((?:schemas|tests)/[\w/.]+)`", PAGE):
        assert (ROOT / name).exists(), name
