"""A real Prometheus scrapes the running stack: a payment outage wakes somebody, and nothing else does.

In: the whole stack, its own rule files with every `for` shortened to seconds, so that the test does not last minutes.
Out: what fires before, during and after.
Never: a rule, a threshold or a metric that is not the shipped one.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from footlights import Client, Money

from infra.alerts.files import FOLDER, write
from infra.embedded.ports import free_port
from tests.infra_alerts.test_rules import tool, until
from tests.torture.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

SHORT = {
    "for: 30m": "for: 30s",
    "for: 10m": "for: 20s",
    "for: 5m": "for: 10s",
    "for: 2m": "for: 15s",
    "for: 1m": "for: 10s",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    settings = {
        "FOOTLIGHTS_WORKERS": "1",
        "FOOTLIGHTS_MONITOR": "true",
        "FOOTLIGHTS_MONITOR_S": "1",
        "FOOTLIGHTS_CANARY_S": "2",
    }
    platform = Platform(tmp_path_factory.mktemp("alerting"), settings)
    platform.up()
    yield platform
    platform.down()


class Alerting:
    """A Prometheus of its own beside a stack."""

    def __init__(self, stack: Platform, folder: Path) -> None:
        write(folder)
        for path in folder.glob("*_rules.yml"):
            path.write_text(re.sub(r"for: [1-9]\d*m", lambda m: SHORT[m[0]], path.read_text()))
        stack.run("rules", str(folder / "targets"))
        (folder / "targets.json").write_text((folder / "targets" / "targets.json").read_text())
        config = re.sub(
            r"(scrape|evaluation)_interval: 5s", r"\1_interval: 1s", (FOLDER / "prometheus.yml").read_text()
        )
        (folder / "prometheus.yml").write_text(re.sub(r"alerting:.*?\n\n", "", config, flags=re.DOTALL))
        self.port = free_port()
        words = [
            tool("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]  # fmt: skip
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log)

    def ask(self, path: str) -> Any:
        return requests.get(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=5).json()["data"]

    def firing(self) -> set[str]:
        return {a["labels"]["alertname"] for a in self.ask("alerts")["alerts"] if a["state"] == "firing"}

    def value(self, query: str) -> list[float]:
        return [float(r["value"][1]) for r in self.ask(f"query?query={requests.utils.quote(query)}")["result"]]


@pytest.fixture(scope="module")
def alerting(stack: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alerting]:
    held = Alerting(stack, tmp_path_factory.mktemp("prometheus"))
    deadline = time.monotonic() + 30
    while True:
        try:
            if {t["health"] for t in held.ask("targets")["activeTargets"]} == {"up"}:
                break
        except requests.RequestException:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.2)
    yield held
    held.process.terminate()
    held.process.wait(10)


def second_of_traffic(client: Client, failed: int) -> None:
    for number in range(20):
        user = f"user-{number}"
        client.page(user_id=user, path="/events")
        name = "payment_failed" if number < failed else "payment_authorised"
        client.track(name, user_id=user, order_id=f"o{number}", amount=Money(5_000, "USD"))
    client.flush(timeout=5)
    time.sleep(1)


def test_a_payment_outage_pages_and_nothing_else_does(stack: Platform, alerting: Alerting) -> None:
    addresses = stack.json("status")["addresses"]
    client = Client(
        bootstrap_servers=addresses["kafka"],
        schema_registry=addresses["schema_registry"],
        source="shop",
        pseudonym_key="k" * 32,
    )
    ratio = 'footlights_kpi{kpi="payment_failure_ratio",window="5m",by=""}'
    for _ in range(12):  # a healthy shop: one payment in twenty fails
        second_of_traffic(client, failed=1)
    assert alerting.value(ratio) == [pytest.approx(0.05, abs=0.02)]  # the newest second may be half counted
    assert alerting.firing() == {"Watchdog"}
    began, paged = time.monotonic(), 0.0
    while time.monotonic() - began < 45:
        second_of_traffic(client, failed=20)
        if "PaymentFailureRatioHigh" in alerting.firing():
            paged = time.monotonic() - began
            break
    client.close()
    assert paged, alerting.ask("alerts")
    print(f"paged {paged:.1f} s after the first failed payment, 10 s of them waited on purpose")
    assert alerting.firing() == {"Watchdog", "PaymentFailureRatioHigh"}
    [alert] = [a for a in alerting.ask("alerts")["alerts"] if a["labels"]["alertname"] == "PaymentFailureRatioHigh"]
    assert re.match(
        r"payment_failure_ratio is [\d.]+% in 5m for tenant default, above 10 %", alert["annotations"]["summary"]
    )
    until(lambda: alerting.value("sum(footlights_ledger_gap_records)") == [0])  # two reads may fall apart for a moment
    assert alerting.value('footlights_ledger_stored_records{source="shop"}')[0] > 480
    assert alerting.value('footlights_monitor_up{part="clickhouse"}') == [1]
    until(lambda: len(alerting.value("footlights_end_to_end_seconds")) == 2)
    print("canary seconds to stored and point:", json.dumps(alerting.value("footlights_end_to_end_seconds")))
