"""A storm over the whole stack: services, collector, broker, store, registry, workers and sink are killed, stopped and suspended.

In: a platform with a collector, a seed, how long.
Out: a verdict: what services were told is taken, against what is stored, and the books.
Never: a verdict before what dead services left in their spools is sent and counted.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from footlights.__main__ import KEY

from schemas.families import FAMILIES
from tests.torture.crash import Verdict, verdict
from tests.torture.platform import Platform

SETTINGS = {"FOOTLIGHTS_COLLECTOR": "true"}
ROLES = ("worker-1", "worker-2", "sink-1", "kafka", "clickhouse", "registry", "collector")
TENANTS = [f"tenant-{number}" for number in range(12)]
#: Way of each service, and its tenants: two processes to Kafka, one over HTTP, one that posts by itself.
SERVICES = {
    "kafka-0": ("kafka", TENANTS[:4]),
    "kafka-1": ("kafka", TENANTS[4:8]),
    "http-0": ("http", TENANTS[8:10]),
    "raw-0": ("raw", TENANTS[10:]),
}
BLOWS = (*[signal.SIGKILL] * 4, signal.SIGTERM, signal.SIGSTOP)


@dataclass(frozen=True)
class Storm:
    """`gap`: seconds between two blows; `rate`: events a second of each service."""

    seed: int
    seconds: float
    gap: tuple[float, float] = (0.5, 5.0)
    rate: int = 100


@dataclass(frozen=True)
class Aftermath:
    """Events that were accepted; how many of them are not stored; sequences that nobody confirmed; the books; the blows."""

    accepted: int
    lost: int
    unconfirmed: int
    books: Verdict
    blows: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """All that was accepted is stored, once, confirmed, and in every figure."""
        return not self.lost and not self.unconfirmed and self.books.exact


class Services:
    """The services of the storm; each takes over what its predecessor left."""

    def __init__(self, platform: Platform, storm: Storm) -> None:
        self.folder, self._rate = platform.folder.parent / "services", storm.rate
        self.folder.mkdir()
        self.end = self.folder / "end"
        at = platform.json("status")["addresses"]
        self.collector = at["collector"]
        self.kafka = {"bootstrap_servers": at["kafka"], "schema_registry": at["schema_registry"]}
        self.keys = {
            tenant: platform.json("token", "--name", tenant, "--tenant", tenant, "--rate", "100000")["token"]
            for way, tenants in SERVICES.values()
            for tenant in tenants
            if way != "kafka"
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start a service."""
        way, tenants = SERVICES[name]
        # A cache of this platform's own: an earlier one may have had the same address, and other ids.
        to_kafka = {**self.kafka, "pseudonym_key": "k" * 32, "cache_dir": str(self.folder / "cache")}
        told = {
            "end": str(self.end), "notes": str(self.folder / f"{name}.notes"), "spools": str(self.folder / name),
            "rate": self._rate, "collector": self.collector,
            "clients": {
                tenant: to_kafka if way == "kafka" else {"collector": self.collector, "api_key": self.keys[tenant]}
                for tenant in tenants
            },
        }  # fmt: skip
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "tests.torture.storm_app", way, json.dumps(told)],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self, name: str) -> None:
        """Kill a service with its children."""
        with suppress(ProcessLookupError):
            os.killpg(self._running[name].pid, signal.SIGKILL)
        self._running[name].wait()

    def finish(self) -> None:
        """Let all end, and send what dead ones left, as a person would."""
        self.end.touch()
        for process in self._running.values():
            process.wait(180)
        for name, (way, tenants) in SERVICES.items():
            for tenant in tenants if way != "raw" else []:
                where = ["--collector", self.collector] if way == "http" else self._addresses
                words = [
                    sys.executable,
                    "-m",
                    "footlights",
                    "spool",
                    str(self.folder / name / tenant),
                    "--drain",
                    *where,
                ]
                environment = {**os.environ, KEY: self.keys.get(tenant, "")}
                done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
                assert done.returncode == 0, done

    @property
    def _addresses(self) -> list[str]:
        return [word for name, value in self.kafka.items() for word in (f"--{name.replace('_', '-')}", value)]

    @property
    def accepted(self) -> set[str]:
        """Ids that the services noted; a line that was cut off is none."""
        lines = (line for notes in self.folder.glob("*.notes") for line in notes.read_text().splitlines())
        return {line for line in lines if len(line) == 36}


@contextmanager
def services(platform: Platform, storm: Storm) -> Iterator[Services]:
    """All of them, none of which outlives the block."""
    held = Services(platform, storm)
    try:
        for name in SERVICES:
            held.start(name)
        yield held
    finally:
        for name in held._running:
            held.kill(name)


def weather(platform: Platform, storm: Storm) -> Aftermath:
    """Let the storm rage, wait until all is finished, compare.

    Raises
    ------
    AssertionError
        When something does not come back.
    """
    chance, blows = random.Random(storm.seed), list[str]()
    asleep: list[tuple[float, int]] = []
    with services(platform, storm) as held:
        end = time.monotonic() + storm.seconds
        while time.monotonic() < end:
            time.sleep(chance.uniform(*storm.gap))
            asleep = _awake(asleep, time.monotonic())
            name = chance.choice((*ROLES, *SERVICES))
            number = chance.choice(BLOWS)
            if name in SERVICES:
                held.kill(name)
                held.start(name)
            elif not (pid := platform.signal(name, number)):
                continue
            elif number == signal.SIGSTOP:
                asleep.append((time.monotonic() + chance.uniform(1, 12), pid))
            blows.append(name if name in SERVICES else f"{name} {number.name}")
        _awake(asleep, float("inf"))
        _all_run(platform)
        held.finish()
        platform.run("wait", "--idle", "--timeout", "180", timeout=240)
        accepted = held.accepted
    ids = " UNION ALL ".join(f"SELECT message_id, original_id FROM {family.table}" for family in FAMILIES.values())
    stored = {told for row in platform.rows(ids) for told in row.values()}
    unconfirmed = _unconfirmed(platform)
    books = verdict(platform, len(blows), storm.seconds)
    return Aftermath(len(accepted), len(accepted - stored), unconfirmed, books, tuple(blows))


def _unconfirmed(platform: Platform, timeout_s: float = 60.0) -> int:
    """Sequences that nobody confirmed, once the living have reported: they do every five seconds, and a sink stores it then."""
    deadline = time.monotonic() + timeout_s
    while True:
        left: int = sum(source["unconfirmed"] for source in platform.json("ledger", check=False)["sources"])
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(2.0)


def _awake(asleep: list[tuple[float, int]], now: float) -> list[tuple[float, int]]:
    """Wake those whose time it is; returns the others."""
    for when, pid in asleep:
        if when <= now:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    return [(when, pid) for when, pid in asleep if when > now]


def _all_run(platform: Platform, timeout_s: float = 90.0) -> None:
    """Wait until each role runs."""
    deadline = time.monotonic() + timeout_s
    while down := [role for role in ROLES if platform.processes().get(role, {}).get("state") != "running"]:
        assert time.monotonic() < deadline, f"{down} did not come back"
        time.sleep(0.5)
