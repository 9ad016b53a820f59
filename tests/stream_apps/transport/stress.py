"""Random kills of two workers while records keep coming: exact and finished, or not.

In: kills, seed, broker address on the command line. Out: one line. Never: a rate that is asserted.
"""

import argparse
import random
import signal
import tempfile
import threading
import time
from pathlib import Path

from tests.stream_apps.transport.cluster import CountingCluster


def run(cluster: CountingCluster, *, kills: int, seed: int, rate: int, limit_s: float) -> tuple[bool, bool]:
    """Return whether the counts are exact and whether all was counted within the limit after the last kill."""
    chance = random.Random(seed)
    stop = threading.Event()
    cluster.send(20_000)
    sender = cluster.send_on(rate, stop)
    cluster.start(), cluster.start()
    for _ in range(kills):
        time.sleep(chance.uniform(2, 8))
        victim = chance.choice([w for w in cluster.workers if w.poll() is None])
        victim.send_signal(chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        victim.wait()
        time.sleep(chance.uniform(0, 3))
        while sum(w.poll() is None for w in cluster.workers) < 2:
            cluster.start()
    stop.set()
    sender.join()
    deadline = time.monotonic() + limit_s
    while not cluster.reached_end() and time.monotonic() < deadline:
        time.sleep(0.5)
    return not cluster.wrong(), cluster.reached_end()


def main() -> None:
    """Run once and print the verdict."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bootstrap")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=int, default=4_000)
    parser.add_argument("--slow-s", type=float, default=0.05)
    parser.add_argument("--loglevel", default="INFO")
    parser.add_argument("--off", action="append", default=[], help="a cure to switch off: hold_sources, …")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="transport-stress-"))
    transport = dict.fromkeys(options.off, False)
    with CountingCluster(
        options.bootstrap, folder, transport=transport, slow_s=options.slow_s, loglevel=options.loglevel
    ) as cluster:
        began = time.monotonic()
        exact, finished = run(cluster, kills=options.kills, seed=options.seed, rate=options.rate, limit_s=60)
        codes = sorted({w.returncode for w in cluster.workers if w.returncode is not None})
        verdict = f"{'EXACT' if exact else 'WRONG'} {'FINISHED' if finished else 'STUCK'}"
        print(
            f"seed {options.seed} off {options.off} {verdict} records {sum(cluster.sent)} exit codes {codes}", end=" "
        )
        print(f"{time.monotonic() - began:.0f} s {cluster.wrong()} {folder}", flush=True)


if __name__ == "__main__":
    main()
