"""`make bench`: every case in interleaved rounds, medians, ratios of one run; writes results.json and docs/benchmarks.md.

In: `python -m benchmarks [--quick]`.
Out: benchmarks/results.json, docs/benchmarks.md.
Never: a figure from another run beside one of this.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.broker import broker, create, load
from benchmarks.page import write_page
from benchmarks.sink import run_sink
from benchmarks.traffic import encoded
from benchmarks.worker import registry, run_worker

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
LIMIT_TOPIC, STOCK_TOPIC = "bench.commerce", "bench.stock"
FAMILIES = ("commerce", "interaction", "performance")


@dataclass
class Sizes:
    """How much is measured."""

    rounds: int
    events: int
    stock_events: int
    sink_events: int
    users: int


QUICK = Sizes(1, 60_000, 6_000, 100_000, 100_000)
FULL = Sizes(3, 300_000, 20_000, 400_000, 1_000_000)


@dataclass
class Case:
    """Microseconds of each round, and what else is worth telling."""

    rounds: list[float] = field(default_factory=list)
    more: dict[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The figure to quote."""
        return statistics.median(self.rounds)


def main() -> int:
    """Measure, write, print."""
    words = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    words.add_argument("--quick", action="store_true", help="one small round, for development; writes nothing")
    quick = words.parse_args().quick
    sizes = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="footlights-bench-") as folder, broker() as bootstrap:
        cases = measure(bootstrap, Path(folder), sizes)
    results = results_of(cases)
    print(json.dumps(results, indent=2))
    if not quick:
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        write_page()
    return 0


def measure(bootstrap: str, folder: Path, sizes: Sizes) -> dict[str, Case]:
    """All cases, interleaved."""
    cases: dict[str, Case] = {}
    create(bootstrap, LIMIT_TOPIC, 4)
    load(bootstrap, LIMIT_TOPIC, encoded("commerce", sizes.events, 1))
    create(bootstrap, STOCK_TOPIC, 4)
    load(bootstrap, STOCK_TOPIC, encoded("commerce", sizes.stock_events, 1))

    def worker(name: str, **options: Any) -> Callable[[], None]:
        def run() -> None:
            counts = options["counts"]
            rest = {key: value for key, value in options.items() if key != "counts"}
            with broker() as own, registry(own) as url:  # or a worker would read what earlier cases left
                spent = run_worker(own, url, folder, counts, **rest)
            case = cases.setdefault(name, Case())
            case.rounds.append(spent.us)
            case.more["rss_mib"] = round(max(case.more.get("rss_mib", 0), spent.rss_mib), 1)
            case.more["batch_rows"] = round(spent.batch_rows)

        return run

    third = dict.fromkeys(FAMILIES, sizes.events // 3)
    usual = {"stages": "measures", "min_rows": 2_000, "users": 100_000, "warm": sizes.events // 6}
    steps = [
        lambda: _limit(cases, "limit_a", bootstrap, sizes.events),
        lambda: _limit(cases, "limit_b", bootstrap, sizes.events),
        worker("footlights_chain", counts=third, **(usual | {"max_rows": 2_000})),
        worker("footlights_chain_backlog", counts=third, **usual),
        worker("light_8_measures", counts={"performance": sizes.events}, **(usual | {"measures": "light"})),
        worker("footlights_chain_500", counts=third, **(usual | {"min_rows": 500, "max_rows": 500})),
        worker("footlights_with_kpis", counts=third, **(usual | {"stages": "measures,kpis", "warm": 0})),
        lambda: _stock(cases, bootstrap, sizes.stock_events),
    ]
    for number in range(sizes.rounds):
        for step in steps:
            step()
            print(
                f"round {number + 1}: {', '.join(f'{n} {c.rounds[-1]:.2f}' for n, c in cases.items())}", file=sys.stderr
            )
    worker(
        "memory_1m_users",
        counts={"interaction": int(sizes.users * 1.2)},
        **(usual | {"users": sizes.users * 100, "warm": 0}),
    )()
    spent = []
    for number in range(2 * sizes.rounds - 1):
        place = folder / f"sink-{number}"
        place.mkdir()
        with broker() as own, registry(own) as url:
            spent.append(run_sink(own, url, place, sizes.sink_events, warm=sizes.sink_events // 4))
    cases["sink_fast"] = Case([whole.us for _, whole in spent])
    alone = statistics.median(sink.us for sink, _ in spent)
    cases["sink_fast"].more = {
        "sink_alone_us": round(alone, 3),
        "rows_per_core_s": round(1e6 / alone),
        "rows_per_core_s_with_engine": round(1e6 / cases["sink_fast"].median),
    }
    return cases


def _limit(cases: dict[str, Case], name: str, bootstrap: str, events: int) -> None:
    code = f"from benchmarks.limits import {name}; print({name}({bootstrap!r}, {LIMIT_TOPIC!r}, 4, {events}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    cases.setdefault(name, Case()).rounds.append(float(done.stdout.split()[-1]) / events * 1e6)


def _stock(cases: dict[str, Case], bootstrap: str, events: int) -> None:
    words = [sys.executable, "-m", "benchmarks.stock_faust", bootstrap, STOCK_TOPIC, "4", str(events), "commerce"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    found = next(json.loads(line[line.index("{") :]) for line in done.stdout.splitlines() if "cpu_s" in line)
    cases.setdefault("faust_table", Case()).rounds.append(found["cpu_s"] / events * 1e6)


def results_of(cases: dict[str, Case]) -> dict[str, Any]:
    """The committed file: figures and their ratios to the limits of the same run."""
    a, b = cases["limit_a"].median, cases["limit_b"].median
    return {
        name: {
            "cpu_us_per_event": round(case.median, 3),
            "per_limit_a": round(case.median / a, 3),
            "per_limit_b": round(case.median / b, 3),
            "rounds": [round(r, 3) for r in case.rounds],
            **case.more,
        }
        for name, case in sorted(cases.items())
    }


if __name__ == "__main__":
    sys.exit(main())
