"""`footlights simulate`: a scripted ticketing platform, published through the SDK.

In: SimulateConfig, a way to connect, the time now.
Out: SimulateResult; the truth in a file when asked for.
Never: fewer accepted records than asked for without an error.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.replay.publishing import Connect, Publisher
from infra.simulate.config import SimulateConfig, SimulateResult
from infra.simulate.records import records
from infra.simulate.truth import Truth

_PROGRESS_EVERY = 256
#: Shorter waits cost more than they are worth; records then go in small bunches.
_LEAST_SLEEP_S = 0.002


class NotAccepted(RuntimeError):
    """The SDK refused a record of the script."""


@dataclass(frozen=True)
class Progress:
    """How far a run is: records accepted, acknowledged, asked for; event time reached."""

    events: int
    acked: int
    total: int
    event_time_ms: int


def simulate(
    config: SimulateConfig,
    connect: Connect,
    progress: Callable[[Progress], None] = lambda _: None,
    *,
    now_ms: int | None = None,
) -> SimulateResult:
    """Publish a run and wait until all of it is acknowledged.

    With a rate, a record is sent when event time, compressed by `speed`, has reached its arrival; otherwise at once.

    Raises
    ------
    NotAccepted
        When the SDK refuses a record, which a right script never causes.
    Stalled
        When Kafka acknowledges nothing for long.
    """
    began = time.monotonic()
    script = config.script(time.time_ns() // 1_000_000 if now_ms is None else now_ms)
    truth = Truth(script)
    # Wall seconds a millisecond of event time; 0 sends at once.
    stretch = 0.0 if config.rate is None else 1 / (1_000 * config.speed)
    with Publisher(connect) as publisher:
        paced_from = time.monotonic()
        for number, event in enumerate(records(script)):
            if stretch:
                due = paced_from + (event.received_at_ms - script.start_ms) * stretch
                if (left := due - time.monotonic()) > _LEAST_SLEEP_S:
                    time.sleep(left)
            if reason := publisher.send(event):
                raise NotAccepted(f"the SDK refused a {event.name}: {reason}")
            truth.add(event)
            if number % _PROGRESS_EVERY == 0:
                progress(Progress(number + 1, publisher.acked, script.events, event.received_at_ms))
        publisher.finish()
        progress(Progress(script.events, publisher.acked, script.events, script.start_ms + script.span_ms))
    found = truth.as_json()
    if config.truth is not None:
        _write(config.truth, found)
    return SimulateResult(
        events=publisher.taken,
        acked=publisher.acked,
        failed=publisher.failed,
        start_ms=script.start_ms,
        end_ms=script.start_ms + script.span_ms,
        seconds=time.monotonic() - began,
        truth=found,
    )


def _write(path: Path, found: dict[str, object]) -> None:
    """Write the truth so that a reader sees all of it or nothing."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
