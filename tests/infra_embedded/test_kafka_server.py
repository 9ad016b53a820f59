"""The embedded broker keeps what it acknowledged, keeps its address, and never outlives its parent."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from infra.embedded.java import Java, JavaUnavailable, find_java
from infra.embedded.java_archive import archive_options
from infra.embedded.kafka import KafkaFailed, KafkaServer
from infra.embedded.kafka_jars import JarsUnavailable, fetch_jars
from infra.embedded.ports import free_port, is_free, kept_port
from infra.embedded.tether import tethered

pytestmark = pytest.mark.kafka


def _create_topic(bootstrap: str, name: str, partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)


def _read_all(bootstrap: str, topic: str, partitions: int) -> list[bytes | None]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"read-{topic}", "enable.auto.commit": False, "log_level": 0}
    )
    parts = [TopicPartition(topic, partition, 0) for partition in range(partitions)]
    left = sum(consumer.get_watermark_offsets(part, timeout=30)[1] for part in parts)
    consumer.assign(parts)
    values: list[bytes | None] = []
    while len(values) < left:
        values += [message.value() for message in consumer.consume(5_000, timeout=0.5)]
    consumer.close()
    return values


@pytest.fixture
def server(kafka_jars: list[Path], tmp_path: Path) -> Iterator[KafkaServer]:
    """A broker of the test's own, which the test may kill."""
    server = KafkaServer(tmp_path / "kafka", kafka_jars)
    yield server
    server.stop()


@pytest.mark.slow
def test_sigkill_loses_nothing_acknowledged(server: KafkaServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.start(timeout=120)
    address = server.bootstrap
    _create_topic(address, "killed", 4)
    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 5, "log_level": 0})
    acked: set[bytes | None] = set()

    def remember(error: KafkaError | None, message: Message) -> None:
        if error is None:
            acked.add(message.value())

    sent = 0
    for _ in range(2):
        resume = time.monotonic() + 1.0
        while time.monotonic() < resume:
            for _ in range(100):
                value = b"%08d" % sent
                producer.produce("killed", value, key=b"%d" % (sent % 97), callback=remember)
                sent += 1
            producer.poll(0.01)
        server.kill()
        started = time.monotonic()
        server.start(timeout=20)
        with capsys.disabled():
            print(f"\nbroker back {time.monotonic() - started:.1f} s after SIGKILL")
        assert server.bootstrap == address
    assert producer.flush(60) == 0
    stored = _read_all(address, "killed", 4)
    assert len(acked) == sent > 1_000
    assert acked <= set(stored)
    assert len(stored) == len(set(stored)), "an idempotent producer's retries are stored once"


@pytest.mark.slow
def test_restart_keeps_address_and_data(server: KafkaServer, kafka_jars: list[Path]) -> None:
    server.start(timeout=120)
    first = server.bootstrap
    _create_topic(first, "kept", 1)
    producer = Producer({"bootstrap.servers": first, "log_level": 0})
    producer.produce("kept", b"value")
    assert producer.flush(30) == 0
    server.stop()
    server.start()
    assert server.bootstrap == first
    assert _read_all(first, "kept", 1) == [b"value"]

    with pytest.raises(KafkaFailed, match="Another broker is using"):
        KafkaServer(server.folder, kafka_jars).start()
    assert _read_all(first, "kept", 1) == [b"value"], "the second one disturbed nothing"
    server.stop()
    with socket.create_server(("127.0.0.1", int(first.rpartition(":")[2]))):
        server.prepare()
    assert server.bootstrap != first


def test_no_orphan_when_the_parent_is_killed(kafka_jars: list[Path], tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from infra.embedded.kafka import KafkaServer;"
        "server = KafkaServer(Path(sys.argv[1]), [Path(jar) for jar in sys.argv[2:]]); server.start(120);"
        "print(server.pid, flush=True); time.sleep(300)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "kafka"), *map(str, kafka_jars)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        broker = psutil.Process(int(parent.stdout.readline()))
        assert broker.is_running()
        assert "java" in broker.name()
        parent.kill()
    assert psutil.wait_procs([broker], timeout=10)[1] == []


def test_heap_is_bounded(kafka_server: KafkaServer) -> None:
    assert kafka_server.pid is not None
    process = psutil.Process(kafka_server.pid)
    assert "-Xmx512m" in process.cmdline()


def test_unreachable_repository_gives_a_sentence(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(JarsUnavailable, match=r"could not be fetched from .*FOOTLIGHTS_MAVEN_URL"):
        fetch_jars(cache=tmp_path, maven_url=url)


def test_progress_counts_to_the_last_jar(kafka_jars: list[Path]) -> None:
    seen: list[tuple[int, int]] = []
    assert fetch_jars(on_progress=lambda done, total: seen.append((done, total))) == kafka_jars
    assert seen[-1] == (46, 46)


def test_old_or_missing_java_gives_a_sentence(tmp_path: Path) -> None:
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    with pytest.raises(JavaUnavailable, match="version 11"):
        find_java(old)
    with pytest.raises(JavaUnavailable, match="does not run"):
        find_java(tmp_path / "nowhere")


@pytest.mark.slow
def test_what_the_jvm_loaded_is_kept_for_its_next_start(
    server: KafkaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "footlights" / "jvm"

    def reads_archive(name: str) -> bool:
        return name in Path(f"/proc/{server.pid}/maps").read_text()

    server.start(timeout=120)
    assert not reads_archive("kafka.jsa")
    server.stop()
    [archive] = folder.glob("*/kafka.jsa")
    server.start(timeout=120)
    assert reads_archive("kafka.jsa")
    server.stop()
    whole = archive.read_bytes()
    pages = range(1 << 20, len(whole), 1 << 20)
    for damage in (b"".join(whole[at : at + (1 << 20) - 1] + b"?" for at in (0, *pages)), whole[: len(whole) // 2]):
        archive.write_bytes(damage)  # as after a loss of power
        server.start(timeout=120)  # unchecked, the first of the two ended the JVM
        server.stop()
    assert archive.stat().st_size > len(whole) // 2  # written anew


def test_few_archives_are_kept(tmp_path: Path) -> None:
    java = find_java()
    for number in range(5):
        (tmp_path / f"{number}").mkdir()
        os.utime(tmp_path / f"{number}", (number, number))
    option = archive_options(java, [], tmp_path)[0]
    own = Path(option.rpartition(":" if ":/" in option else "=")[2])
    assert own.parent.parent == tmp_path and not own.exists()
    assert sorted(f.name for f in tmp_path.iterdir() if f != own.parent) == ["3", "4"]
    assert archive_options(java, [], tmp_path)[0] == option
    assert archive_options(java, [tmp_path / "3"], tmp_path)[0] != option  # another class path
    assert archive_options(java, [], tmp_path, written=False) == []
    assert archive_options(Java(java.path, 17), [], tmp_path) == []
    assert archive_options(java, [], Path("/proc/nowhere")) == []
    assert archive_options(Java(Path("/bin/false"), 25), [], tmp_path) == []


def test_kept_port_is_kept_while_free(tmp_path: Path) -> None:
    file = tmp_path / "port"
    port = kept_port(file)
    assert kept_port(file) == port
    assert is_free(port)
    assert port < 32_768


def test_tie_ends_the_child_whose_parent_is_gone(tmp_path: Path) -> None:
    command = tethered(["touch", str(tmp_path / "ran")])
    command[4] = "1"  # the parent that asked is not the one that waits
    assert subprocess.run(command, check=False).returncode == 1
    assert not (tmp_path / "ran").exists()
    assert subprocess.run(tethered(["touch", str(tmp_path / "ran")]), check=True).returncode == 0
    assert (tmp_path / "ran").exists()
