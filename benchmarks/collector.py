"""What the collector costs: `python -m benchmarks.collector` against a platform of its own.

In: a stack without workers, clients on threads.
Out: events a second of one core of the collector's (its CPU time), and the time of a 100-event batch at half that load.
Never: a client's own cost among the collector's.
"""

import json
import random
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.torture.lone import BARE
from tests.torture.platform import Platform

#: Connections at once; single events come by more of them too, as from a fleet of services.
CLIENTS, FLEET = 8, 32
ROUNDS = 5


def event(number: int) -> dict[str, object]:
    """A purchase, as Segment's clients send it."""
    return {
        "type": "track", "event": "ticket_purchased", "userId": f"user-{number % 5_000}", "messageId": f"m-{number}",
        "timestamp": "2026-06-01T12:00:00.000Z", "context": {"library": {"name": "bench"}},
        "properties": {"amount_minor": 5_000, "currency": "USD", "quantity": 2, "hosted_event_id": f"e{number % 300}"},
    }  # fmt: skip


def request(path: str, token: str, body: object) -> bytes:
    """Bytes of a request."""
    text = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


class Client(threading.Thread):
    """Sends requests on one connection: one after the other, or at random moments, on average `every_s` apart.

    The time of a request counts from its moment: one that waits for the answer to the request before it waits too.
    """

    def __init__(self, place: tuple[str, int], requests: list[bytes], every_s: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        self._place, self._requests, self._every_s, self._chance = place, requests, every_s, random.Random(seed)
        self.seconds: list[float] = []

    def run(self) -> None:
        """Send all."""
        with socket.create_connection(self._place) as line, line.makefile("rb") as answers:
            due = time.perf_counter()
            for one in self._requests:
                due = due + self._chance.expovariate(1 / self._every_s) if self._every_s else time.perf_counter()
                time.sleep(max(0.0, due - time.perf_counter()))
                line.sendall(one)
                status = answers.readline()
                assert status.split()[1] in (b"200", b"202"), status
                length = 0
                while header := answers.readline().strip():
                    if header.lower().startswith(b"content-length"):
                        length = int(header.split(b":")[1])
                answers.read(length)
                self.seconds.append(time.perf_counter() - due)


def load(process: psutil.Process, clients: list[Client]) -> tuple[float, float, list[float]]:
    """(CPU seconds of the collector, seconds, times of requests) of these clients."""
    before, began = process.cpu_times(), time.perf_counter()
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    wall = time.perf_counter() - began
    after = process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    return cpu, wall, sorted(second for one in clients for second in one.seconds)


def measure() -> dict[str, float]:
    """Events a second of the collector's CPU, and milliseconds of a batch at half that load."""
    platform = Platform(Path(tempfile.mkdtemp()) / "data", {**BARE, "FOOTLIGHTS_COLLECTOR": "true"})
    platform.settings["FOOTLIGHTS_COLLECTOR"] = "true"
    platform.up()
    try:
        token = platform.json("token", "--name", "bench", "--rate", "1000000000")["token"]
        url = urlsplit(platform.json("status")["addresses"]["collector"])
        place, process = (url.hostname or "", url.port or 0), psutil.Process(platform.processes()["collector"]["pid"])
        numbers = iter(range(10**9))

        def batches(count: int, size: int) -> list[bytes]:
            return [
                request("/v1/batch", token, {"batch": [event(next(numbers)) for _ in range(size)]})
                for _ in range(count)
            ]

        def singles(clients: int) -> float:
            loads = [
                Client(place, [request("/v1/track", token, event(next(numbers))) for _ in range(1_500)])
                for _ in range(clients)
            ]
            return clients * 1_500 / load(process, loads)[0]

        def in_batches() -> tuple[float, float]:
            cpu, wall, _ = load(process, [Client(place, batches(100, 100)) for _ in range(CLIENTS)])
            return CLIENTS * 10_000 / cpu, CLIENTS * 10_000 / wall

        load(process, [Client(place, batches(20, 100))])
        rounds = [(singles(CLIENTS), singles(FLEET), *in_batches()) for _ in range(ROUNDS)]
        few, fleet, batched, by_clock = (statistics.median(each) for each in zip(*rounds, strict=True))
        every = CLIENTS * 100 / (batched / 2)
        _, _, seconds = load(process, [Client(place, batches(100, 100), every, n) for n in range(CLIENTS)])
    finally:
        platform.down()
    return {
        "single_s": round(few),
        "single_fleet_s": round(fleet),
        "batched_s": round(batched),
        "batched_us": round(1e6 / batched, 1),
        "batched_clock_s": round(by_clock),
        "batch_p50_ms": round(seconds[len(seconds) // 2] * 1000, 1),
        "batch_p99_ms": round(seconds[int(len(seconds) * 0.99)] * 1000, 1),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
