"""`make bench-service`: how long things take in a whole stack under load, and what more users and measures cost.

In: `python -m benchmarks.service [--quick] [--only latency|growth|tenants|recovery]`.
Out: benchmarks/service.json; its section of docs/benchmarks.md.
Never: a percentile of fewer than a hundred canaries, but in --quick.

A canary is one page view of a tenant of its own, so that nothing but it can have caused its row and its point.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from footlights import Client
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.broker import broker
from benchmarks.page import write_page
from benchmarks.tenants import evaluation
from benchmarks.worker import registry, run_worker
from infra.embedded.ports import free_port
from infra.embedded.tether import tethered
from tests.torture.platform import COMMAND, Platform

KEY = "b" * 32
HERE = Path(__file__).resolve().parent
RESULTS = HERE / "service.json"
PARTS = ("latency", "growth", "tenants", "recovery")
RATE, CANARIES, CANARY_S = 2_000, 150, 0.8
#: Events of one day, published before in compressed time.
EARLIER, NOMINAL_RATE, DAY_S = 120_000, 100, 86_400
USERS, MEASURES, GROWTH_EVENTS = (10_000, 100_000, 1_000_000, 10_000_000), (10, 30, 60, 120), 150_000
TENANTS = (10, 100, 1_000)
SETTINGS = {
    "FOOTLIGHTS_WORKERS": "1", "FOOTLIGHTS_PSEUDONYM_KEY": KEY
}  # fmt: skip
#: What is told of checkpoints: the whole of one, and the stretches of it in which no batch is taken.
CHECKPOINTS = {
    "checkpoint_s": "footlights_stream_checkpoint_seconds",
    "checkpoint_pause_s": "footlights_stream_checkpoint_pause_seconds",
}
SPAN = """
SELECT dateDiff('second', min(occurred_at), max(occurred_at)) / 3600 AS hours FROM events_interaction WHERE source = 'earlier'
"""
TOOK = """
SELECT tenant_id, min(at) AS at_ms FROM (
    SELECT tenant_id, toUnixTimestamp64Milli({clock}) AS at FROM {table} WHERE startsWith(tenant_id, 'canary-') {more})
GROUP BY tenant_id
"""


def main() -> int:
    """Measure, write, print."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__)
    words.add_argument("--quick", action="store_true", help="small and short, for development; writes nothing")
    words.add_argument("--only", choices=PARTS, help="this part anew, the others as they stand")
    given = words.parse_args()
    quick = given.quick
    earlier = 20_000 if quick else EARLIER
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if given.only else {}
    for part in [given.only] if given.only else PARTS:
        if part == "latency":
            found |= stack(lambda held: measured(held, 20 if quick else CANARIES, earlier))
        elif part == "growth":
            found |= growth(
                USERS[:2] if quick else USERS, MEASURES[:2] if quick else MEASURES, 30_000 if quick else GROWTH_EVENTS
            )
        elif part == "tenants":
            found["by_tenants"] = {str(n): evaluation(n) for n in (TENANTS[:2] if quick else TENANTS)}
        else:
            found["recovery"] = stack(lambda held: recovered(held, earlier))
    print(json.dumps(found, indent=2))
    if not quick:
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")
        write_page()
    return 0


def stack(measure: Callable[[Platform], dict[str, Any]]) -> dict[str, Any]:
    """What a stack of its own shows."""
    with tempfile.TemporaryDirectory(prefix="footlights-bench-") as folder:
        held = Platform(Path(folder) / "data", SETTINGS)
        held.up()
        try:
            return measure(held)
        finally:
            held.down()


def a_day(held: Platform, events: int) -> None:
    """A day of state, in compressed time."""
    speed = DAY_S * NOMINAL_RATE / events
    held.run("simulate", "--events", str(events), "--speed", str(speed), "--seed", "5", "--source", "earlier")
    held.run("wait", "--idle", "--timeout", "600", timeout=660)


def recovered(held: Platform, events: int) -> dict[str, Any]:
    """Recovery with a day of state and nothing else."""
    a_day(held, events)
    return {"events": events, "hours_of_state": round(held.rows(SPAN)[0]["hours"], 1), **recovery(held)}


def measured(held: Platform, canaries: int, earlier: int) -> dict[str, Any]:
    """Latencies under load, the pause of checkpoints, the way to an alert."""
    a_day(held, earlier)
    before = {name: histogram(held, metric) for name, metric in CHECKPOINTS.items()}
    # Before the load begins, which they must not outlast.
    at = addresses(held)
    clients = [connected(held, at, f"canary-{n}") for n in range(canaries)]
    load = subprocess.Popen(
        tethered([*COMMAND, "simulate", "--rate", str(RATE), "--seed", "6",
                  "--events", str(int(RATE * (canaries + 20) * CANARY_S))]),
        env=held.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(5)
    sent = send_canaries(clients)
    if load.poll() is not None:
        raise RuntimeError("the load ended before the last canary was sent")
    for client in clients:
        client.close()
    load.wait()
    held.run("wait", "--idle", "--timeout", "240", timeout=260)
    out: dict[str, Any] = {"load_events_per_s": RATE, "canaries": len(sent), "latency_s": latencies(held, sent)}
    for name, metric in CHECKPOINTS.items():
        out[name] = percentiles({le: n - before[name].get(le, 0.0) for le, n in histogram(held, metric).items()})
    if alert := alert_after(held):
        out["alert_s"] = alert
    return out


def addresses(held: Platform) -> dict[str, Any]:
    """Where the stack's parts are. Asks in a process of its own, so once for many clients."""
    found: dict[str, Any] = held.json("status")["addresses"]
    return found


def connected(held: Platform, at: dict[str, Any], tenant: str) -> Client:
    """A service of the stack."""
    return Client(
        bootstrap_servers=at["kafka"], schema_registry=at["schema_registry"], source="canary", tenant_id=tenant,
        pseudonym_key=KEY, cache_dir=held.folder / "canary", spool_dir=held.folder / "canary" / tenant, obey_consents=False,
    )  # fmt: skip


def send_canaries(clients: list[Client]) -> dict[str, int]:
    """When each was sent, epoch milliseconds, by its tenant."""
    sent = {}
    for n, client in enumerate(clients):
        began = time.monotonic()
        sent[f"canary-{n}"] = int(time.time() * 1000)
        client.page("/canary", user_id="canary")
        client.flush(5)
        time.sleep(max(0.0, CANARY_S - (time.monotonic() - began)))
    return sent


def latencies(held: Platform, sent: dict[str, int]) -> dict[str, dict[str, float]]:
    """Seconds from the moment of a canary to its stored row, its point, and its point in the store."""
    of_kpi = "AND kpi = 'page_views' AND window = '1m'"
    asked = {
        "event stored": ("_inserted_at", "footlights.events_interaction", ""),
        "point published": ("published_at", "footlights.kpi_points", of_kpi),
        "point queryable": ("_inserted_at", "footlights.kpi_points", of_kpi),
    }
    out = {}
    for what, (clock, table, more) in asked.items():
        rows = held.rows(TOOK.format(clock=clock, table=table, more=more))
        took = sorted((row["at_ms"] - sent[row["tenant_id"]]) / 1000 for row in rows)
        if len(took) != len(sent):
            raise RuntimeError(f"{len(sent) - len(took)} canaries were lost on the way to: {what}")
        out[what] = {"p50": statistics.median(took), "p95": took[int(len(took) * 0.95)], "max": took[-1]}
    return out


def histogram(held: Platform, metric: str) -> dict[float, float]:
    """How often something took at most so many seconds since the worker's start."""
    buckets: dict[float, float] = {}
    for url in addresses(held)["metrics"]:
        for family in text_string_to_metric_families(_get(url)):
            for sample in family.samples:
                if sample.name == f"{metric}_bucket":
                    buckets[float(sample.labels["le"])] = sample.value
    return buckets


def percentiles(buckets: dict[float, float]) -> dict[str, float]:
    """The bounds of the buckets in which the percentiles lie."""
    total = max(buckets.values())
    bounds = {f"p{p}_at_most": min(le for le, n in buckets.items() if n >= total * p / 100) for p in (50, 99)}
    return {"times": total, **bounds}


def alert_after(held: Platform) -> dict[str, float] | None:
    """Seconds from the first failed payment until Prometheus, as it is shipped, holds the alert to be true; None without one.

    How long it must stay true before somebody is woken is each rule's own `for`.
    """
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        return None
    folder, port = held.folder / "prometheus", free_port()
    held.run("rules", str(folder))
    url = f"http://127.0.0.1:{port}/api/v1/alerts"
    words = [prometheus, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
             f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
    shutil.copy(HERE.parent / "infra" / "prometheus" / "prometheus.yml", folder)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(tethered(words), stdout=log, stderr=log)
    try:
        took, at = [], addresses(held)
        time.sleep(15)
        for number in range(5):
            with connected(held, at, f"outage-{number}") as client:
                for n in range(50):
                    client.track("payment_failed", user_id=f"u{n}", order_id=f"o{n}")
                began = time.monotonic()
                while not _told(url, f"outage-{number}") and time.monotonic() - began < 120:
                    time.sleep(0.2)
                took.append(time.monotonic() - began)
        return {"median": statistics.median(took), "max": max(took)}
    finally:
        process.terminate()
        process.wait(20)


def _told(url: str, tenant: str) -> bool:
    try:
        alerts = json.loads(_get(url))["data"]["alerts"]
    except OSError:
        return False
    return any(
        a["labels"]["alertname"] == "PaymentFailureRatioHigh" and a["labels"].get("tenant") == tenant for a in alerts
    )


def _get(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    text: str = opener.open(url, timeout=5).read().decode()
    return text


def recovery(held: Platform) -> dict[str, float]:
    """Seconds from SIGKILL of the only worker to the first point after it, and of its successor from start to recovered state."""
    with connected(held, addresses(held), "canary-after") as client:
        killed = time.time()
        os.kill(held.processes()["worker-1"]["pid"], signal.SIGKILL)
        client.page("/canary", user_id="canary")
        sql = TOOK.format(clock="published_at", table="footlights.kpi_points", more="AND tenant_id = 'canary-after'")
        deadline = time.monotonic() + 120
        while not (rows := held.rows(sql)):
            if time.monotonic() > deadline:
                raise RuntimeError("no point after the worker was killed")
            time.sleep(0.2)
        log = (held.folder / "logs" / "worker-1.log").read_text()
    starts, assigned, ready = (
        [datetime.fromisoformat(t) for t in re.findall(rf"timestamp='([^']+)'.*event='{event}'", log)]
        for event in ("worker_starts", "partitions_assigned", "kpi_stage_ready")
    )
    out = {
        "from_kill_s": rows[0]["at_ms"] / 1000 - killed,
        "from_start_s": (ready[-1] - starts[-1]).total_seconds(),
        "from_assigned_s": (ready[-1] - assigned[-1]).total_seconds(),
    }
    return {name: round(value, 2) for name, value in out.items()}


def growth(users: tuple[int, ...], measures: tuple[int, ...], events: int) -> dict[str, Any]:
    """Microseconds of CPU an event, with more and more people who each come once, and with more and more measures."""
    usual: dict[str, Any] = {"stages": "measures", "min_rows": 2_000}
    by_users, by_measures = {}, {}
    with tempfile.TemporaryDirectory(prefix="footlights-bench-") as folder:
        for number in users:
            count = max(events, number)
            with broker() as own, registry(own) as url:
                spent = run_worker(own, url, Path(folder), {"interaction": count}, users=number, in_turn=True, **usual)
            by_users[str(number)] = {"events": count, "us": round(spent.us, 2), "rss_mib": round(spent.rss_mib, 1)}
        for number in measures:
            with broker() as own, registry(own) as url:
                spent = run_worker(
                    own, url, Path(folder), {"performance": events}, measures=str(number), users=100_000, **usual
                )
            by_measures[str(number)] = {"us": round(spent.us, 2), "rss_mib": round(spent.rss_mib, 1)}
    return {"by_users": by_users, "by_measures": by_measures}


if __name__ == "__main__":
    sys.exit(main())
