"""What the SDK costs a service: `python -m benchmarks.sdk` on a broker and a registry of its own.

In: a stack without workers and sinks.
Out: the caller's time of a durable `track`, p50 and p99; events a second of one process, spooled and acknowledged; the bare loop's.
Never: an event that is not on the disk when its time is taken; nor the first thousands, while Kafka warms up.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

from footlights import Client, Money

from benchmarks import bare
from tests.torture.lone import bare_platform

CALLS, MANY, ROUNDS = 60_000, 300_000, 5


def call(client: Client, number: int) -> None:
    """A purchase."""
    taken = client.track(
        "ticket_purchased", user_id=f"user-{number % 5_000}", amount=MONEY, quantity=2, hosted_event_id=f"e{number % 300}",
        order_id=f"o{number}", properties={"seat": "A1", "price_band": "gold"},
    )  # fmt: skip
    assert taken, taken


MONEY = Money(5_000, "USD")


def measure() -> dict[str, float]:
    """Microseconds of a `track`, events a second, microseconds of CPU an event."""
    folder = Path(tempfile.mkdtemp())
    with bare_platform(folder / "data") as platform:
        at = platform.json("status", check=False)["addresses"]
        with Client(
            bootstrap_servers=at["kafka"], schema_registry=at["schema_registry"], source="bench", pseudonym_key="k" * 32,
            cache_dir=folder,
        ) as client:  # fmt: skip
            for number in range(5_000):
                call(client, number)
            client.flush(60)
            waits = [_service(client) for _ in range(ROUNDS)]
            rounds = [_loop(client) for _ in range(ROUNDS + 1)][1:]
        least = bare.measure(at["kafka"], at["schema_registry"])
    p50, p99 = (statistics.median(each) * 1e6 for each in zip(*waits, strict=True))
    spooled, acknowledged, cpu = (statistics.median(each) for each in zip(*rounds, strict=True))
    return {
        "track_p50_us": round(p50, 1),
        "track_p99_us": round(p99, 1),
        "spooled_s": round(spooled),
        "acknowledged_s": round(acknowledged),
        "cpu_us_per_event": round(cpu, 1),
        **least,
    }


def _service(client: Client) -> tuple[float, float]:
    """Seconds of a `track`, p50 and p99, of a service that does something else too."""
    seconds = []
    for number in range(CALLS):
        began = time.perf_counter()
        call(client, number)
        seconds.append(time.perf_counter() - began)
        if number % 20 == 0:
            time.sleep(0.0005)  # a busy service, not a loop
    client.flush(60)
    seconds.sort()
    return seconds[CALLS // 2], seconds[int(CALLS * 0.99)]


def _loop(client: Client) -> tuple[float, float, float]:
    """Events a second of a loop: spooled, acknowledged; microseconds of CPU an event, librdkafka's threads among it."""
    began, cpu = time.perf_counter(), time.process_time()
    for number in range(MANY):
        call(client, number)
    spooled = time.perf_counter() - began
    assert client.flush(120) == 0
    acknowledged, cpu = time.perf_counter() - began, time.process_time() - cpu
    return MANY / spooled, MANY / acknowledged, cpu / MANY * 1e6


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
