"""People opt out and in again under load, and processes are killed: what they refused is in no table and no figure.

In: a stack; a service that sends whatever it is told, and one that obeys. Out: tables, ledger, and the recomputation.
Never: an event whose moment is within the five seconds in which either is right.
"""

import os
import random
import signal
import time
from collections import defaultdict

import pytest

from tests.privacy.conftest import client
from tests.torture.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
TOGGLES = int(os.environ.get("FOOTLIGHTS_TEST_TOGGLES", "100"))
PEOPLE, BETWEEN_S, OBEYED_S = 40, 12.0, 5.0


def test_toggles_under_load(platform: Platform) -> None:
    chance, said = random.Random(9), defaultdict[int, list[tuple[float, bool]]](list)
    sent: list[tuple[float, int, str]] = []
    kills = [(0.3, "sink-1"), (0.5, "worker-1"), (0.7, "sink-1")]
    with client(platform, "careless", obey_consents=False) as careless:
        began, toggles = time.monotonic(), 0
        seconds = max(BETWEEN_S * 2, TOGGLES / PEOPLE * BETWEEN_S)
        while (now := time.monotonic()) - began < seconds + OBEYED_S + 1 or kills:
            for person in range(PEOPLE):
                careless.track("search", user_id=f"u{person}", anonymous_id=f"v{person}")
                sent.append((time.monotonic(), person, "user"))
            due = (now - began) / seconds * TOGGLES
            while toggles < min(due, TOGGLES):
                person = toggles % PEOPLE
                allowed = bool(said[person]) and not said[person][-1][1]
                assert careless.consent_changed(user_id=f"u{person}", analytics_allowed=allowed)
                said[person].append((time.monotonic(), allowed))
                toggles += 1
            if kills and now - began > kills[0][0] * seconds and platform.signal(kills[0][1], signal.SIGKILL):
                kills.pop(0)
            time.sleep(chance.uniform(0.02, 0.06))
        assert toggles == TOGGLES and careless.flush(30) == 0
        outcomes = len(sent)
    platform.run("wait", "--idle", "--timeout", "120", timeout=150)
    rows = platform.rows("SELECT producer_id, sequence, event_name FROM events_interaction WHERE source = 'careless'")
    stored = {row["sequence"] for row in rows}
    # Sequences are those of the client's calls in their order: events and statements share them.
    calls = sorted([(at, p, False) for at, p, _ in sent] + [(at, p, True) for p in said for at, _ in said[p]])
    assert len(calls) == outcomes + TOGGLES
    kept = withheld = 0
    for number, (at, person, statement) in enumerate(calls, 1):
        if statement:
            continue
        around = [(when, allowed) for when, allowed in said[person] if when <= at]
        settled = not around or at - around[-1][0] >= OBEYED_S
        if settled and (not around or around[-1][1]):
            assert number in stored, (number, person, at)
            kept += 1
        elif settled:
            assert number not in stored, (number, person, at - around[-1][0])
            withheld += 1
    assert kept > 1_000 and withheld > 1_000
    ledger = platform.json("ledger", check=False)
    (books,) = [s for s in ledger["sources"] if s["source"] == "careless"]
    (told,) = platform.rows("SELECT withheld, stored, missing FROM conservation WHERE source = 'careless'")
    assert (books["gap"], told["missing"]) == (0, 0), (books, told)
    assert books["dropped"] == told["withheld"] == outcomes - len(stored) >= withheld
    assert books["stored"] == told["stored"] == len(stored) + TOGGLES  # the statements themselves are the proof
    checked = platform.json("verify", check=False)
    assert checked["compared"] and not checked["different"]


def test_the_sdk_and_the_command_line(platform: Platform) -> None:
    receipt = platform.json("privacy", "optout", "rosa")
    assert receipt["analytics_allowed"] is False and len(receipt["subject"]) == 32 and receipt["tenant_id"] == "default"
    with client(platform, "obedient", strict=True) as service:
        deadline = time.monotonic() + 60
        while service.track("search", user_id="rosa").status != "opted_out":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert service.track("search", user_id="max") and service.refused["OPTED_OUT"] == 1
        assert service.consent_changed(user_id="max", analytics_allowed=False)
        assert service.track("search", user_id="max").status == "opted_out"  # at once in the process that was told
        assert service.consent_changed(user_id="max", analytics_allowed=True) and service.track("search", user_id="max")
    platform.json("privacy", "optout", "rosa", "--undo")
    with client(platform, "obedient", strict=True) as service:
        assert service.track("search", user_id="rosa")
