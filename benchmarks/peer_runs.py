"""`make bench-peers`: Kafka Streams and Flink beside our worker, on the same records in the same run; needs Maven and a JDK.

In: `python -m benchmarks.peer_runs [--events N] [--rounds N]`.
Out: benchmarks/peers.json; the rows of docs/benchmarks.md.
Never: warming up in a figure: what a process does with the first third of the records is left out.

Each decodes 29 columns, removes repeats, keeps eight measures by operation and minute (two of them sketches), and makes its state
safe each second, exactly once.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from benchmarks.broker import broker
from benchmarks.page import write_page
from benchmarks.worker import registry, run_worker
from infra.embedded.tether import tethered
from schemas.families import FAMILIES

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers.json"
MAINS = {"kafka_streams": ("kafka-streams", "peers.StreamsPeer"), "flink": ("flink", "peers.FlinkPeer")}
#: Flink's serialisers look into the JDK.
OPENS = [
    f"--add-opens=java.base/{p}=ALL-UNNAMED"
    for p in ("java.util", "java.lang", "java.time", "java.util.concurrent", "java.nio")
]
FAMILY = "performance"


def build() -> None:
    """Compile both programs and fetch what they need."""
    maven = shutil.which("mvn")
    if maven is None:
        raise SystemExit("bench-peers needs Maven and a JDK 17 or newer; install them (Debian: maven) and try again")
    for folder, _ in MAINS.values():
        words = [maven, "-q", "-B", "compile", "dependency:copy-dependencies", "-DoutputDirectory=target/jars"]
        subprocess.run(words, cwd=HERE / "peers" / folder, check=True)


def run_peer(name: str, bootstrap: str, folder: Path, events: int) -> tuple[float, float]:
    """(µs of CPU an event after the first third, resident MiB)."""
    room, main = MAINS[name]
    jars = HERE / "peers" / room / "target"
    words = [
        "java", "-Xmx1g", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
        "-Dorg.apache.avro.specific.use_custom_coders=true", *OPENS, "-cp", f"{jars / 'classes'}:{jars / 'jars'}/*", main,
    ]  # fmt: skip
    state = folder / f"{name}-state"
    environment = {
        **os.environ, "BOOTSTRAP": bootstrap, "TOPIC": FAMILIES[FAMILY].topic, "APP": f"peer-{name}-{os.getpid()}",
        "STATE": str(state), "LIMIT": str(events),
    }  # fmt: skip
    process = subprocess.Popen(tethered(words), env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    taken: list[tuple[int, float]] = []
    resident = 0.0
    for line in process.stdout:
        if found := re.match(r"METER (\d+) ([\d.]+)", line):
            taken.append((int(found[1]), float(found[2])))
            try:
                resident = max(resident, psutil.Process(process.pid).memory_info().rss / 2**20)
            except psutil.NoSuchProcess:
                continue
    if process.wait(60):
        raise RuntimeError(f"{name} ended with {process.returncode}")
    warm = next((count, cpu) for count, cpu in taken if count >= events // 3)
    last = taken[-1]
    shutil.rmtree(state, ignore_errors=True)
    return (last[1] - warm[1]) / (last[0] - warm[0]) * 1e6, resident


def main() -> int:
    """Build, measure in rounds, write."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.peer_runs", description=__doc__)
    words.add_argument("--events", type=int, default=1_500_000)
    words.add_argument("--rounds", type=int, default=3)
    given = words.parse_args()
    build()
    figures: dict[str, list[float]] = {}
    resident: dict[str, float] = {}
    for number in range(given.rounds):
        with (
            tempfile.TemporaryDirectory(prefix="footlights-peers-") as name,
            broker() as bootstrap,
            registry(bootstrap) as url,
        ):
            folder = Path(name)
            spent = run_worker(
                bootstrap,
                url,
                folder,
                {FAMILY: given.events * 2 // 3},
                stages="measures",
                min_rows=2_000,
                measures="light",
                users=100_000,
                warm=given.events // 3,
            )
            found = {"footlights": (spent.us, spent.rss_mib)}
            found |= {peer: run_peer(peer, bootstrap, folder, given.events) for peer in MAINS}
        for peer, (us, mib) in found.items():
            figures.setdefault(peer, []).append(us)
            resident[peer] = max(resident.get(peer, 0), mib)
        print(f"round {number + 1}: {', '.join(f'{p} {f[-1]:.2f}' for p, f in figures.items())}", file=sys.stderr)
    ours = statistics.median(figures["footlights"])
    results = {
        peer: {
            "cpu_us_per_event": round(statistics.median(rounds), 3),
            "per_footlights": round(statistics.median(rounds) / ours, 3),
            "rss_mib": round(resident[peer], 1),
            "rounds": [round(r, 3) for r in rounds],
        }
        for peer, rounds in figures.items()
    }
    PEERS.write_text(json.dumps(results, indent=2) + "\n")
    write_page()
    print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
