"""What the SDK costs a service: `python -m benchmarks.sdk` on a broker and a registry of its own.

In: a stack without workers and sinks.
Out: the caller's time of a durable `track`, p50 and p99; events a second of one process, spooled and acknowledged.
Never: an event that is not on the disk when its time is taken.
"""

import sys
import tempfile
import time
from pathlib import Path

from footlights import Client, Money

from tests.torture.lone import bare_platform

CALLS, MANY = 60_000, 300_000


def call(client: Client, number: int) -> None:
    """A purchase."""
    taken = client.track(
        "ticket_purchased", user_id=f"user-{number % 5_000}", amount=MONEY, quantity=2, hosted_event_id=f"e{number % 300}",
        order_id=f"o{number}", properties={"seat": "A1", "price_band": "gold"},
    )  # fmt: skip
    assert taken, taken


MONEY = Money(5_000, "USD")


def main() -> int:
    """Measure and print."""
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
            seconds = []
            for number in range(CALLS):
                began = time.perf_counter()
                call(client, number)
                seconds.append(time.perf_counter() - began)
                if number % 20 == 0:
                    time.sleep(0.0005)  # a busy service, not a loop
            seconds.sort()
            client.flush(60)
            print(f"track: p50 {seconds[CALLS // 2] * 1e6:.1f} µs, p99 {seconds[int(CALLS * 0.99)] * 1e6:.1f} µs")
            began, cpu = time.perf_counter(), time.process_time()
            for number in range(MANY):
                call(client, number)
            spooled = time.perf_counter() - began
            assert client.flush(120) == 0
            acked, cpu = time.perf_counter() - began, time.process_time() - cpu
            print(f"spooled {MANY / spooled:,.0f} a second; spooled and acknowledged {MANY / acked:,.0f} a second")
            print(f"CPU of the process {cpu / MANY * 1e6:.1f} µs an event, librdkafka's threads among it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
