"""Whoever tracks does the relay's work when its thread comes to nothing: all arrives once, in order, and troubles no host."""

import threading
import time
from collections.abc import Callable

import pytest
from footlights import Client, relay
from footlights.names import topic_of
from footlights.outcome import SPOOLED

from tests.producers.reading import read

pytestmark = pytest.mark.kafka
Make = Callable[..., Client]
THREADS, EACH = 8, 1_500


def arrived(platform: tuple[str, str], source: str) -> list[int]:
    """Sequences on the topic, once it is sure that those of a key stand in order."""
    last: dict[bytes, int] = {}
    found = []
    for one in read(platform[0], [topic_of("interaction")], source):
        assert one.record["sequence"] > last.get(one.key, 0), "a later record of a person stands before an earlier one"
        last[one.key] = one.record["sequence"]
        found.append(one.record["sequence"])
    return found


def test_a_thread_that_comes_to_nothing_is_not_missed(
    client: Make, platform: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay.Relay, "_run", lambda self: self._stop.wait())
    held = client(source="starved")
    for number in range(3_000):
        assert held.track("search", user_id=f"u{number % 7}")
    assert held.flush(60) == 0
    assert sorted(arrived(platform, "starved")) == [*range(1, 3_001)]


def test_many_threads_and_the_relays_own_get_in_nobodys_way(
    client: Make, platform: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "LATE_S", -1.0)  # each call helps
    monkeypatch.setattr(relay, "HELPED_S", 0.0)  # and the thread goes on
    held = client(source="crowded")

    def work(name: int) -> None:
        for _ in range(EACH):
            assert held.track("search", user_id=f"u{name}")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held.flush(60) == 0
    assert sorted(arrived(platform, "crowded")) == [*range(1, THREADS * EACH + 1)]


def test_what_goes_wrong_is_not_the_hosts_matter(client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> bool:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(relay, "LATE_S", -1.0)
    held = client(source="stumbling", strict=True)
    with monkeypatch.context() as patch:
        patch.setattr(relay.Relay, "_send", stumble)
        assert held.track("search").status == SPOOLED
    assert held.flush(60) == 0


def test_nobody_helps_a_relay_that_is_closed(client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "LATE_S", -1.0)
    held = client(source="closing")
    assert held.track("search") and held.flush(60) == 0
    late = held._state.relay
    assert late is not None
    held.close()
    monkeypatch.setattr(relay.Relay, "_send", lambda *_: pytest.fail("the spool is closed"))
    late.help()
    time.sleep(0.01)
    assert not late._sendings[0].spool.folder.exists()
