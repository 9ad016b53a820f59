"""The demo's course: start, publish with a live table, wait until idle, show the outage, verify, the ledger, stop.

In: how many records, a seed.
Out: what a person sees; exit code 1 when the ledger has a gap or a figure differs.
Never: a process left behind.
"""

import os
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import typer
from rich.live import Live

from infra.addresses import resolve
from infra.cli.data import bar, connection
from infra.cli.output import console, print_rows
from infra.cli.stack import down, start_detached
from infra.demo import shop
from infra.demo.screen import kpi_table, outage_lines, plain_line
from infra.idle import waiting_for
from infra.ledger import COLUMNS, settled
from infra.metrics import current
from infra.settings import Settings, load
from infra.simulate.config import SimulateConfig, SimulateResult
from infra.simulate.run import simulate
from infra.store import connect
from infra.verify.run import verify

SPAN_S = 4 * 3_600  # event time of the whole run
WALL_S = 30
IDLE_S = 60.0
REFRESH_S = 1.0


@dataclass
class Run:
    """The simulated platform, publishing on a thread of its own."""

    settings: Settings
    config: SimulateConfig
    done: int = 0
    result: SimulateResult | None = None
    problem: Exception | None = None
    thread: threading.Thread = field(init=False)

    def start(self) -> None:
        """Begin to publish."""
        self.thread = threading.Thread(target=self._publish, daemon=True)
        self.thread.start()

    def _publish(self) -> None:
        try:
            connect_ = connection(self.settings, self.config.source, self.config.tenant)
            self.result = simulate(self.config, connect_, self._progress)
        except Exception as problem:  # shown by the demo, which then stops
            self.problem = problem

    def _progress(self, progress: Any) -> None:
        self.done = progress.acked


def run(events: int, seed: int) -> int:
    """Run the demo; returns the exit code."""
    own = not os.environ.get("FOOTLIGHTS_DATA_DIR")
    if own:
        os.environ["FOOTLIGHTS_DATA_DIR"] = tempfile.mkdtemp(prefix="footlights-demo-")
    settings = load()
    try:
        return _course(settings, events, seed)
    except (typer.Exit, KeyboardInterrupt) as end:
        return end.exit_code if isinstance(end, typer.Exit) else 130
    finally:
        down()
        if own:
            shutil.rmtree(settings.data_dir, ignore_errors=True)


def _course(settings: Settings, events: int, seed: int) -> int:
    began = time.monotonic()
    console.print("starting Apache Kafka, a schema registry, ClickHouse, two stream workers and a sink", markup=False)
    start_detached(settings)
    console.print(f"ready after {time.monotonic() - began:.0f} s", markup=False)
    rate = max(1.0, events / WALL_S)
    speed = SPAN_S * rate / events
    config = SimulateConfig(events=events, seed=seed, rate=rate, speed=speed, incidents=True, repeat_share=0.001)
    console.print(f"a ticketing platform: {events:,} records, four hours of its life in {WALL_S} seconds", markup=False)
    published = Run(settings, config)
    published.start()
    _watch(settings, published)
    if published.problem or published.result is None:
        console.print(f"the simulation failed: {published.problem}", markup=False)
        return 1
    visited = _visits(settings)
    missing = waiting_for(settings, time.monotonic() + IDLE_S)
    if missing:
        console.print(f"not idle after {IDLE_S:.0f} s: {'; '.join(missing)}", markup=False)
        return 1
    return _account(settings, published.result, visited)


def _visits(settings: Settings) -> dict[str, dict[str, int]]:
    """Let visitors into the ticket shop of this repository."""
    if not shop.there():
        console.print("no examples/shop here: without the ticket shop", markup=False)
        return {}
    console.print("a ticket shop, in FastAPI and in Django: visitors come over HTTP and with a browser", markup=False)
    return shop.visit(settings)


def _watch(settings: Settings, published: Run) -> None:
    """Show KPIs while events are published: a live table, or plain lines without a terminal."""
    total = published.config.events
    if not console.is_terminal:
        while published.thread.is_alive():
            published.thread.join(2 * REFRESH_S)
            console.print(plain_line(published.done, total, _now(settings)), markup=False)
        return
    with bar() as progress, Live(console=console, refresh_per_second=4, transient=False) as live:
        task = progress.add_task("published", total=total)
        while published.thread.is_alive():
            published.thread.join(REFRESH_S)
            progress.update(task, completed=published.done)
            live.update(kpi_table(_now(settings)))


def _now(settings: Settings) -> list[dict[str, Any]]:
    return current(settings, None, window="5m", at_ms=None, by=[], tenant="default")


def _account(settings: Settings, result: SimulateResult, visited: dict[str, dict[str, int]]) -> int:
    addresses = resolve(settings)
    console.print()
    with connect(settings, addresses) as client:
        outage = next(i for i in result.truth["incidents"] if i["name"] == "payment_outage")  # type: ignore[attr-defined]
        for line in outage_lines(client, outage):
            console.print(line, markup=False)
        held = shop.stored(client)
        checked = verify(client)
        rows = settled(client, addresses.kafka, 15.0)
    wrong = shop.differences(visited, held)
    if visited:
        console.print(shop.table(visited, held))
    for line in wrong:
        console.print(line, markup=False)
    console.print(
        f"\nverify: {checked.equal:,} of {checked.compared:,} published figures equal their recomputation to the bit"
    )
    print_rows(rows, COLUMNS, title="ledger: what became of every record")
    gap, collisions = (sum(row[name] for row in rows) for name in ("gap", "collisions"))
    console.print(
        "no gap: published = stored + dead-lettered + dropped + duplicates" if not gap else f"gap of {gap} records"
    )
    return 1 if gap or collisions or checked.different or wrong else 0
