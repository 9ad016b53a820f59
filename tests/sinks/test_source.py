"""Reading from a real broker: whatever happens to it, each record comes once and in order."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from infra.embedded.kafka import KafkaServer
from infra.embedded.ports import free_port
from sinks import source as source_module
from sinks.errors import SinkError
from sinks.positions import Place
from sinks.source import Source
from tests.sinks.batches import numbers
from tests.sinks.conftest import renew

pytestmark = pytest.mark.kafka

TOPIC, PARTITIONS = "read", 3


@pytest.fixture
def topic(own_kafka: str) -> str:
    """Address of a broker with an empty topic."""
    renew(own_kafka, TOPIC, PARTITIONS)
    return own_kafka


@pytest.fixture
def reading() -> Iterator[Callable[[str], Source]]:
    made: list[Source] = []

    def start(bootstrap: str) -> Source:
        made.append(Source(bootstrap))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.close()


def write(bootstrap: str, start: int, end: int, **config: str | int) -> None:
    """Numbers start … end - 1 to each partition, as payloads."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0, **config})
    for number in range(start, end):
        for partition in range(PARTITIONS):
            producer.produce(TOPIC, b"%d" % number, partition=partition)
        producer.poll(0)
    assert producer.flush(60) == 0


def read(source: Source, until: int, wait_s: float = 60.0) -> dict[Place, list[int]]:
    """Payloads of each partition as they come, until each has come to `until` - 1."""
    found: dict[Place, list[int]] = defaultdict(list)
    deadline = time.monotonic() + wait_s
    while len(found) < PARTITIONS or any(values[-1] < until - 1 for values in found.values()):
        assert time.monotonic() < deadline, {place: len(values) for place, values in found.items()}
        for place, fetched in source.take(0.2):
            records = fetched.records()
            assert [r.offset for r in records] == list(range(fetched.start, fetched.behind))
            found[place] += [int(r.value or b"") for r in records]
    return found


def all_from(start: int) -> dict[Place, int]:
    return {(TOPIC, p): start for p in range(PARTITIONS)}


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_each_record_comes_once_and_in_order(topic: str, codec: str, reading: Callable[[str], Source]) -> None:
    write(topic, 0, 5_000, **{"batch.num.messages": 700, "compression.type": codec})
    source = reading(topic)
    source.read_from(all_from(0))
    assert all(found == list(range(5_000)) for found in read(source, 5_000).values())
    write(topic, 5_000, 5_003)
    assert all(found == [5_000, 5_001, 5_002] for found in read(source, 5_003).values())


def test_another_set_of_partitions_voids_what_waits(topic: str, reading: Callable[[str], Source]) -> None:
    write(topic, 0, 1_000)
    source = reading(topic)
    for start in (0, 700, 333, 990):  # at most places in the middle of a record batch
        source.read_from(all_from(start))
        assert all(found == list(range(start, 1_000)) for found in read(source, 1_000).values())
    source.read_from(all_from(0))
    time.sleep(0.5)  # fetched, not taken
    source.read_from({(TOPIC, 1): 998})
    assert [(place, [r.offset for r in one.records()]) for place, one in source.take(5)] == [((TOPIC, 1), [998, 999])]
    source.read_from({})
    assert source.take(0.5) == []


def test_an_answer_to_an_earlier_set_is_dropped() -> None:
    source, place = Source("127.0.0.1:1"), (TOPIC, 0)
    answer = [3, 3, 0, [], numbers(0, 3).data]
    assert source._taken(source._version - 1, place, 0, 0, answer) == ""
    assert (source.take(0), source._positions) == ([], {})
    assert source._taken(source._version, place, 0, 0, answer) == ""
    assert ([p for p, _ in source.take(0)], source._positions) == ([place], {place: 3})


def test_fetching_pauses_while_enough_waits(
    topic: str, reading: Callable[[str], Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "_ROOM_BYTES", 50_000)
    monkeypatch.setattr(source_module, "_PARTITION_BYTES", 10_000)
    write(topic, 0, 30_000, **{"batch.num.messages": 100, "compression.type": "none"})
    source = reading(topic)
    source.read_from(all_from(0))
    time.sleep(2)
    assert 50_000 <= source._held < 50_000 + PARTITIONS * 20_000
    assert all(found == list(range(30_000)) for found in read(source, 30_000).values())


def test_a_record_larger_than_a_fetch_comes_too(
    topic: str, reading: Callable[[str], Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "_PARTITION_BYTES", 1_000)
    monkeypatch.setattr(source_module, "_MOST_BYTES", 1_000)
    producer = Producer({"bootstrap.servers": topic})
    for _ in range(3):
        producer.produce(TOPIC, b"x" * 900_000, partition=0)
    producer.flush()
    source, sizes = reading(topic), list[int]()
    source.read_from(all_from(0))
    while len(sizes) < 3:
        sizes += [len(r.value or b"") for _, fetched in source.take(5) for r in fetched.records()]
    assert sizes == [900_000] * 3


def test_of_transactions_what_is_committed_comes(topic: str, reading: Callable[[str], Source]) -> None:
    for number, commit in enumerate([True, False, True]):
        producer = Producer({"bootstrap.servers": topic, "transactional.id": "same", "log_level": 0})
        producer.init_transactions(30)
        producer.begin_transaction()
        for partition in range(PARTITIONS):
            producer.produce(TOPIC, b"%d" % number, partition=partition)
        producer.flush()
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    source, found = reading(topic), defaultdict[Place, list[bytes | None]](list)
    source.read_from(all_from(0))
    deadline = time.monotonic() + 30
    while len(found) < PARTITIONS or any(values[-1] != b"2" for values in found.values()):
        assert time.monotonic() < deadline
        for place, fetched in source.take(0.2):
            found[place] += [r.value for r in fetched.records()]
            assert fetched.missing == 0
    assert all(values == [b"0", b"2"] for values in found.values())


@pytest.mark.parametrize("start", [6, 1_000_000])
def test_an_offset_that_the_log_does_not_hold_is_said(topic: str, start: int, reading: Callable[[str], Source]) -> None:
    write(topic, 0, 5)
    source = reading(topic)
    source.read_from({(TOPIC, 2): start})
    with pytest.raises(SinkError, match=rf"does not hold offset {start} of {TOPIC} partition 2"):
        for _ in range(50):
            source.take(0.2)
    source.read_from(all_from(0))  # no error, though the thread has ended
    with pytest.raises(SinkError):
        source.take(0.1)


def test_a_topic_that_is_not_there_yet_is_waited_for(own_kafka: str, reading: Callable[[str], Source]) -> None:
    renew(own_kafka, TOPIC, 1)
    source = reading(own_kafka)
    source.read_from(all_from(0))
    assert source.take(1.0) == []
    renew(own_kafka, TOPIC, PARTITIONS)
    write(own_kafka, 0, 10)
    assert all(found == list(range(10)) for found in read(source, 10).values())


@pytest.mark.slow
def test_a_broker_that_is_killed_and_comes_back(
    kafka_jars: list[Path], tmp_path: Path, reading: Callable[[str], Source]
) -> None:
    server = KafkaServer(tmp_path / "kafka", kafka_jars)
    source = reading("127.0.0.1:1")
    assert source.take(0.5) == []  # no broker at all is a reason to wait
    try:
        server.start(timeout=120)
        renew(server.bootstrap, TOPIC, PARTITIONS)
        source = reading(server.bootstrap)
        source.read_from(all_from(0))
        end = 0
        for _ in range(2):
            write(server.bootstrap, end, end + 2_000)
            assert all(found == list(range(end, end + 2_000)) for found in read(source, end + 2_000).values())
            end += 2_000
            server.kill()
            assert source.take(1.0) == []
            server.start(timeout=120)
        write(server.bootstrap, end, end + 10)
        assert all(found == list(range(end, end + 10)) for found in read(source, end + 10).values())
    finally:
        server.stop()


@pytest.mark.slow
def test_a_broker_that_comes_back_elsewhere(
    kafka_jars: list[Path], tmp_path: Path, reading: Callable[[str], Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "_ANEW_S", 1.0)
    ports = [free_port(), free_port()]
    source, end = reading(",".join(f"127.0.0.1:{port}" for port in ports)), 0
    source.read_from(all_from(0))
    for port in ports:
        server = KafkaServer(tmp_path / "kafka", kafka_jars, port=port)
        try:
            server.start(timeout=120)
            if not end:
                renew(server.bootstrap, TOPIC, PARTITIONS)
            write(server.bootstrap, end, end + 100)
            assert all(found == list(range(end, end + 100)) for found in read(source, end + 100).values())
            end += 100
        finally:
            server.stop()
