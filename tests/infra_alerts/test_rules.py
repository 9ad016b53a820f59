"""Alert rules: current with their declarations, proven by promtool, routed and silenced by Alertmanager, each with a runbook."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from infra.alerts.files import FOLDER, RUNBOOKS, all_rules, files, runbook_index, write
from infra.alerts.kpi_rules import UnknownThreshold
from infra.alerts.operational import RULES
from infra.embedded.ports import free_port
from schemas.metric_catalogue import METRICS
from sinks.migrate import migrate


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed (Debian: prometheus, prometheus-alertmanager)"
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


def ran(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)


def test_the_files_are_current() -> None:
    for name, content in files().items():
        assert (FOLDER / name).read_text() == content, "run python -m infra.alerts.files"
    assert (RUNBOOKS / "README.md").read_text() == runbook_index()


def test_every_threshold_has_a_rule() -> None:
    wanted = {m.name for m in METRICS.values() if m.alert}
    ruled = {match for r in all_rules() for match in re.findall(r'footlights_kpi\{kpi="(\w+)"', r.expr)}
    assert wanted == ruled
    assert len({r.name for r in all_rules()}) == len(all_rules())


@pytest.mark.parametrize("rule", all_rules(), ids=lambda r: r.name)
def test_each_alert_has_a_runbook_that_helps(rule: Any) -> None:
    page = (RUNBOOKS / rule.page).read_text()
    assert f"`{rule.expr}`" in page, "the condition on the page is not the rule's"
    for heading in ("## What it means", "## Look first", "## Do", "## When it is over"):
        assert len(page.partition(heading)[2].partition("##")[0].strip()) > 9, heading
    for link in re.findall(r"\]\(([\w-]+\.md)\)", page):
        assert (RUNBOOKS / link).exists(), link


@pytest.mark.clickhouse
def test_the_sql_of_the_runbooks_runs(clickhouse_url: str) -> None:
    import clickhouse_connect

    client = clickhouse_connect.get_client(dsn=f"{clickhouse_url}/default")
    migrate(client)
    pages = "\n".join(p.read_text() for p in RUNBOOKS.glob("*.md"))
    queries = [q for q in re.findall(r'footlights query "([^"]+)"', pages) if "…" not in q]
    assert len(queries) >= 5
    for query in queries:
        client.query(f"EXPLAIN {query}", settings={"database": "footlights"})
    client.close()


def test_promtool_accepts_the_rules_and_their_proofs() -> None:
    promtool = tool("promtool")
    assert ran(promtool, "check", "rules", *FOLDER.glob("*_rules.yml")).returncode == 0
    done = ran(promtool, "test", "rules", *(FOLDER / "tests").glob("*.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert ran(promtool, "check", "config", "--syntax-only", FOLDER / "prometheus.yml").returncode == 0


def test_proofs_can_fail(tmp_path: Path) -> None:
    promtool = tool("promtool")
    shutil.copytree(FOLDER, tmp_path / "rules")
    rules = tmp_path / "rules" / "kpi_rules.yml"
    proofs = tmp_path / "rules" / "tests" / "kpi_rules_test.yml"
    for spoilt in (rules.read_text().replace("> 0.1", "> 0.9"), rules.read_text().replace("> 0.1", "> 0.001")):
        held = rules.read_text()
        rules.write_text(spoilt)
        assert ran(promtool, "test", "rules", proofs).returncode == 1
        rules.write_text(held)
    assert ran(promtool, "test", "rules", proofs).returncode == 0


def test_thresholds_come_from_the_settings(tmp_path: Path) -> None:
    write(tmp_path, {"payment_failure_ratio": 0.25})
    assert (
        'kpi=\\"payment_failure_ratio\\",window=\\"5m\\",by=\\"\\"} > 0.25' in (tmp_path / "kpi_rules.yml").read_text()
    )
    assert ran(tool("promtool"), "test", "rules", tmp_path / "tests" / "kpi_rules_test.yml").returncode == 0
    with pytest.raises(UnknownThreshold, match="page_views is no metric with an alert"):
        write(tmp_path, {"page_views": 1})


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=Watchdog severity=none", "dead-mans-switch"),
        ("alertname=LedgerGap severity=page", "pager"),
        ("alertname=RefundRatioHigh severity=ticket", "tickets"),
    ],
)
def test_alerts_are_routed_by_severity(labels: str, receiver: str) -> None:
    config = f"--config.file={FOLDER / 'alertmanager.yml'}"
    assert ran(tool("amtool"), "check-config", FOLDER / "alertmanager.yml").returncode == 0
    assert ran(tool("amtool"), "config", "routes", "test", config, *labels.split()).stdout.strip() == receiver


def test_a_cause_silences_its_symptoms_and_no_business_figure(tmp_path: Path) -> None:
    binary, port = tool("prometheus-alertmanager"), free_port()
    words = [
        binary, f"--config.file={FOLDER / 'alertmanager.yml'}", f"--storage.path={tmp_path}", "--cluster.listen-address=",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/api/v2/alerts"
    rules = {r.name: r for r in all_rules()}
    named = ("ClickHouseDown", "ConsumerLagHigh", "PaymentFailureRatioHigh")
    alerts = [
        {"labels": {"alertname": n, "severity": rules[n].severity, "role": rules[n].role, "app": "sink"}} for n in named
    ]
    try:
        until(lambda: requests.post(url, json=alerts, timeout=5).ok)
        until(lambda: _silenced(url).keys() == set(named) and _silenced(url)["ConsumerLagHigh"])
        assert _silenced(url) == {"ClickHouseDown": False, "ConsumerLagHigh": True, "PaymentFailureRatioHigh": False}
    finally:
        process.terminate()
        process.wait(10)


def _silenced(url: str) -> dict[str, bool]:
    found = requests.get(url, timeout=5).json()
    return {a["labels"]["alertname"]: bool(a["status"]["inhibitedBy"]) for a in found}


def until(holds: Any, limit_s: float = 20) -> None:
    deadline = time.monotonic() + limit_s
    while True:
        try:
            if holds():
                return
        except requests.RequestException:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_every_metric_of_the_rules_is_exported_by_somebody() -> None:
    """A rule over a metric that nobody exports never fires."""
    sources = "\n".join(
        p.read_text()
        for room in ("stream_apps", "sinks", "infra/monitor", "producers/footlights/collector")
        for p in Path(FOLDER.parents[1] / room).rglob("*.py")
    )
    books = [f"footlights_ledger_{n}_records" for n in ("gap", "unconfirmed", "dropped")]
    for rule in RULES:
        for name in re.findall(r"\bfootlights_\w+", rule.expr):
            stem = (
                name.removesuffix("_bucket").removesuffix("_total").removesuffix("_count").removeprefix("footlights_")
            )
            known = name in books or stem in sources or stem.removeprefix("sink_") in sources
            assert known, json.dumps([rule.name, name])
