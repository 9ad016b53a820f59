"""Random kills, stops and joins while a simulated platform publishes; then the books are checked.

In: a platform, a seed, how many kills. Out: a verdict with figures. Never: a verdict before all is finished.
"""

from __future__ import annotations

import random
import signal
import time
from dataclasses import asdict, dataclass
from typing import Any

from schemas.families import FAMILIES
from tests.torture.platform import Platform


@dataclass(frozen=True)
class Plan:
    """What is done to the platform; kills are per role (each worker and the sink), gaps in seconds."""

    seed: int
    events: int
    kills: int
    broker_kills: int = 2
    rate: int = 4_000
    speed: int = 60  # event time that passes in a second, so that many windows open and close
    gap: tuple[float, float] = (1.5, 4.0)


@dataclass(frozen=True)
class Verdict:
    """What was found once everything was finished."""

    published: int
    lost: int
    duplicates: int
    gap: int
    compared: int
    different: int
    actions: int
    seconds: float

    @property
    def exact(self) -> bool:
        """Nothing lost, nothing twice, every point equal to its recomputation."""
        return not (self.lost or self.duplicates or self.gap or self.different) and self.compared > 0


def torture(platform: Platform, plan: Plan, *, idle_timeout: float = 180) -> Verdict:
    """Publish while processes die; wait until all is finished; compare.

    Raises
    ------
    AssertionError
        When the platform does not become idle in time: a worker that waits for ever is as wrong as a lost event.
    """
    began, rnd = time.monotonic(), random.Random(plan.seed)
    words = ("--events", plan.events, "--seed", plan.seed, "--rate", plan.rate, "--speed", plan.speed)
    publisher = platform.spawn("simulate", *map(str, words))
    acts = _schedule(plan, rnd)
    for act in acts:
        time.sleep(rnd.uniform(*plan.gap))
        _do(platform, act, rnd)
    assert publisher.wait(timeout=600) == 0, "simulate failed; see its log"
    platform.run("wait", "--idle", "--timeout", str(idle_timeout), timeout=idle_timeout + 60)
    return verdict(platform, len(acts), time.monotonic() - began)


def _schedule(plan: Plan, rnd: random.Random) -> list[str]:
    acts = [role for role in ("worker-1", "worker-2", "sink-1") for _ in range(plan.kills)]
    acts += ["join"] * max(1, plan.kills // 3)
    rnd.shuffle(acts)
    for i in range(plan.broker_kills):
        acts.insert((i + 1) * len(acts) // (plan.broker_kills + 1), "kafka")
    return acts


def _do(platform: Platform, act: str, rnd: random.Random) -> None:
    """Do one act, after waiting a while for its target to be running."""
    if act == "join":
        for process in platform.extra:
            if process.poll() is None:
                process.send_signal(rnd.choice([signal.SIGKILL, signal.SIGTERM]))
        platform.join_worker()
        return
    number = signal.SIGKILL if act == "kafka" else rnd.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
    platform.kill(act, number)


def verdict(platform: Platform, actions: int = 0, seconds: float = 0) -> Verdict:
    """What the platform's own commands say of its books just now."""
    union = " UNION ALL ".join(f"SELECT message_id FROM {f.table}" for f in FAMILIES.values())
    held = platform.rows(f"SELECT count() AS n, uniqExact(message_id) AS d FROM ({union})")[0]
    ledger: dict[str, Any] = platform.json("ledger", check=False)
    sources = ledger["sources"]
    # Bytes of no known producer are stored as well, though nobody reported them.
    published = sum(s["published"] + s["unconfirmed"] for s in sources)
    repeats = sum(s["duplicates"] for s in sources)
    dead = sum(s["dead_lettered"] for s in sources)
    verified = platform.json("verify", timeout=600, check=False)
    return Verdict(
        published=published,
        lost=published - repeats - dead - held["d"],
        duplicates=held["n"] - held["d"],
        gap=ledger["gap"],
        compared=verified["compared"],
        different=len(verified["different"]),
        actions=actions,
        seconds=round(seconds, 1),
    )


def report(verdict: Verdict) -> dict[str, Any]:
    """The verdict as a JSON object."""
    return {**asdict(verdict), "exact": verdict.exact}
