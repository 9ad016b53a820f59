"""Data folders by any name: the data lie in them and nowhere else, or a sentence says at once that the name will not do."""

from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from infra.embedded.folders import BadFolder, check_folder
from infra.embedded.kafka import KafkaServer
from tests.torture.platform import Platform

NAME = 'b Ü, c%41 #1 $HOME=ü\'s "日本" a&b;+'


@pytest.mark.kafka
@pytest.mark.parametrize("name", ["b Ü", "a,b", NAME])
def test_kafka_keeps_its_data_in_the_folder(
    name: str, kafka_jars: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("LANG", "LC_ALL", "LC_CTYPE"):
        monkeypatch.setenv(variable, "C")
    server = KafkaServer(tmp_path / name / "kafka", kafka_jars)
    server.start(120)
    try:
        admin = AdminClient({"bootstrap.servers": server.bootstrap})
        for made in admin.create_topics([NewTopic("kept", 1, 1)]).values():
            made.result()
        producer = Producer({"bootstrap.servers": server.bootstrap})
        producer.produce("kept", b"x" * 1_000)
        assert producer.flush(30) == 0
    finally:
        server.stop()
    assert (tmp_path / name / "kafka" / "data" / "kept-0" / "00000000000000000000.log").stat().st_size > 1_000
    assert (tmp_path / name / "kafka" / "kafka.log").stat().st_size > 0
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert [one.name for one in (tmp_path / name).iterdir()] == ["kafka"]


@pytest.mark.parametrize("name", ["q?x", "a*", "{a}", "[a]", "back\\slash", "new\nline", "nul\x01", "bytes\udcff"])
def test_names_that_an_engine_would_misread_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadFolder, match="the data folder's path"):
        check_folder(tmp_path / name)
    told = Platform(tmp_path / name).run("up", "--detach", check=False)
    assert told.returncode == 2 and "the data folder's path" in told.stderr and len(told.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
def test_a_whole_stack_in_a_folder_with_an_odd_name(kafka_jars: list[Path], tmp_path: Path) -> None:
    settings = {"FOOTLIGHTS_WORKERS": "1", "LANG": "C", "LC_ALL": "C"}
    platform = Platform(tmp_path / NAME / "data", settings)
    platform.up()
    try:
        platform.run("simulate", "--events", "500", "--seed", "5")
        platform.run("wait", "--idle")
        assert platform.json("ledger")["gap"] == 0
        assert sum(row["stored"] for row in platform.json("ledger")["sources"]) >= 500
        assert [one.name for one in tmp_path.iterdir()] == [NAME]
        assert [one.name for one in (tmp_path / NAME).iterdir()] == ["data"]
        assert (tmp_path / NAME / "data" / "kafka" / "data" / "events.commerce-0").is_dir()
    finally:
        platform.down()
