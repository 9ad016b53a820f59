"""A service of greenlets: `… greenlets_app LIBRARY ORDER KAFKA REGISTRY FOLDER [COLLECTOR]`.

In: gevent or eventlet; `early` or `late`, when it replaces the standard library: before or after the import; addresses.
Out: JSON: milliseconds by which a greenlet that sleeps for one, again and again, woke late; how long calls took; what is left.
Never: a thread of the host's own.
"""

import importlib
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

SECONDS, BUSY, NAP_S = 4.0, 4, 0.001


def patch(library: str) -> None:
    """Put greenlets in the place of threads."""
    if library == "gevent":
        importlib.import_module("gevent.monkey").patch_all()
    else:
        importlib.import_module("eventlet").monkey_patch()


def main() -> None:
    """Track from some greenlets, beside one that looks at the clock."""
    library, order, kafka, registry, folder, *collector = sys.argv[1:]
    if order == "early":
        patch(library)
    from footlights import Client

    if order == "late":
        patch(library)
    place: dict[str, Any] = {
        "bootstrap_servers": kafka, "schema_registry": registry, "source": f"{library}-{order}", "pseudonym_key": "k" * 32,
        "kafka_config": {"log_level": 0},
    }  # fmt: skip
    if collector:
        place = {"collector": collector[0], "api_key": "key"}
    client = Client(spool_dir=Path(folder) / "spool", cache_dir=Path(folder), max_block_s=0.5, **place)
    late_ms, calls_ms, ids, running = list[float](), list[float](), list[str](), [True]

    def look() -> None:
        while running:
            began = time.perf_counter()
            time.sleep(NAP_S)
            late_ms.append((time.perf_counter() - began - NAP_S) * 1_000)

    def track() -> None:
        names = ("page_view", "search", "payment_failed", "feedback_given", "ticket_checked_in", "crash", "rsvp_given")
        while running:
            for name in names:
                began = time.perf_counter()
                outcome = client.track(name, user_id=f"u{len(ids) % 99}")
                calls_ms.append((time.perf_counter() - began) * 1_000)
                if outcome:
                    ids.append(outcome.message_id)
            time.sleep(0.002)

    greenlets = [threading.Thread(target=work) for work in (look, *[track] * BUSY)]
    for one in greenlets:
        one.start()
    time.sleep(SECONDS / 2)
    client.flush(SECONDS / 4)
    time.sleep(SECONDS / 4)
    began = time.perf_counter()
    running.clear()
    left = client.close(5.0)
    late_ms.sort()
    told = {
        "left": left, "closed_s": time.perf_counter() - began, "taken": len(ids), "different": len(set(ids)),
        "slowest_call_ms": max(calls_ms), "naps": len(late_ms),
        **{f"p{n}_ms": late_ms[len(late_ms) * n // 100] for n in (50, 99)}, "max_ms": late_ms[-1],
    }  # fmt: skip
    print(json.dumps(told))


if __name__ == "__main__":
    main()
