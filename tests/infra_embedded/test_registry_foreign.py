"""The registry on a log that others wrote into too, and the parts of Confluent's API that its other clients use."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from infra.embedded.ports import free_port
from infra.embedded.registry_avro import parse
from infra.embedded.tether import tethered
from tests.conftest import await_answer

pytestmark = pytest.mark.kafka
KEPT = '{"type":"record","name":"Kept","fields":[{"name":"a","type":"int"}]}'
OTHER = '{"type":"record","name":"Other","fields":[{"name":"b","type":"int","default":0}]}'


def schema(subject: str, version: int, schema_id: Any, text: str, **more: Any) -> tuple[Any, Any]:
    key = {"keytype": "SCHEMA", "subject": subject, "version": version, "magic": 1}
    return key, {"subject": subject, "version": version, "id": schema_id, "schema": text, "deleted": False, **more}


#: Records that cannot be used, each with the subject `foreign` or none.
FOREIGN: list[tuple[Any, Any]] = [
    schema("foreign", 1, 41, 'syntax = "proto3"; message M { string a = 1; }', schemaType="PROTOBUF"),
    schema("foreign", 2, 42, '{"type":"object"}', schemaType="JSON"),
    schema("foreign", 3, 43, '"Referred"', references=[{"name": "Referred", "subject": "s", "version": 1}]),
    schema("foreign", 4, 44, "nonsense"),
    schema("foreign", 5, 45, '{"type":"nope"}'),
    schema("foreign", 6, "many", KEPT),
    schema("foreign", 7, 2**40, KEPT),
    ({"keytype": "SCHEMA", "magic": 1}, {"id": 46}),
    (None, {"a": 1}), (None, None), (b"", b"x"), (b"\xff\xfe\x00", b"\x00"), (b"[1]", b"{}"), (b"7", None), ("{", "{"),
    ({"keytype": "NEW_KIND", "magic": 9}, {"a": 1}), ({}, {}),
    ({"keytype": "CONFIG", "subject": "foreign", "magic": 0}, {"compatibilityLevel": "SOMEWHAT"}),
    ({"keytype": "DELETE_SUBJECT", "subject": "x", "magic": 0}, {"version": 1}),
    ({"keytype": "HIGHEST_ID", "magic": 0}, {"id": "x"}),
    ({"keytype": "SCHEMA", "subject": "foreign", "version": 8, "magic": 1}, b"\x00garbage"),
]  # fmt: skip
#: Records that Confluent's registry writes and that mean something here, or nothing.
USUAL: list[tuple[Any, Any]] = [
    ({"keytype": "NOOP", "magic": 0}, None),
    ({"keytype": "CONTEXT", "tenant": "default", "context": ".", "magic": 0}, {"tenant": "default", "context": "."}),
    ({"keytype": "CONFIG", "subject": None, "magic": 0}, {"compatibilityLevel": "FULL"}),
    ({"keytype": "CONFIG", "subject": "kept", "magic": 0}, {"normalize": True}),
    ({"keytype": "MODE", "subject": "locked", "magic": 0}, {"mode": "READONLY"}),
    schema("kept", 1, 7, KEPT),
    schema("lenient", 1, 8, '{"type":"record","name":"L","fields":[{"name":"a","type":"int","default":"x"}]}'),
    schema("left", 1, 9, OTHER),
    ({"keytype": "DELETE_SUBJECT", "subject": "left", "magic": 0}, {"subject": "left", "version": 1}),
    schema("cleared", 1, 9, OTHER, deleted=True),
    ({"keytype": "CLEAR_SUBJECT", "subject": "cleared", "magic": 0}, {"subject": "cleared"}),
    schema("gone", 1, 9, OTHER),
    ({"keytype": "SCHEMA", "subject": "gone", "version": 1, "magic": 1}, None),
]


def _bytes(part: Any) -> bytes | None:
    return (
        part
        if part is None or isinstance(part, bytes)
        else part.encode()
        if isinstance(part, str)
        else json.dumps(part).encode()
    )


@pytest.fixture(scope="module")
def mixed(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A registry started on such a log: URL and its log file."""
    topic, folder, port = "_schemas_mixed", tmp_path_factory.mktemp("mixed"), free_port()
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": kafka})
    for key, value in [*FOREIGN[:10], *USUAL, *FOREIGN[10:]]:
        producer.produce(topic, key=_bytes(key), value=_bytes(value), partition=0)
    assert producer.flush(30) == 0
    words = ["--bootstrap", kafka, "--port", str(port), "--topic", topic]
    log = folder / "registry.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            tethered([sys.executable, "-m", "infra.embedded.registry", *words]), stdout=out, stderr=out
        )
    try:
        await_answer(process, f"http://127.0.0.1:{port}/subjects", log)
        yield f"http://127.0.0.1:{port}", log
    finally:
        process.kill()
        process.wait()


def ask(url: str, method: str = "GET", **body: Any) -> tuple[int, Any]:
    answer = requests.request(method, url, json=body or None, timeout=10)
    return answer.status_code, answer.json()


def test_foreign_records_are_passed_over_counted_and_named(mixed: tuple[str, Path]) -> None:
    url, log = mixed
    _, told = ask(f"{url}/foreign")
    assert len(told) == len(FOREIGN)
    assert [record["offset"] for record in told] == [*range(10), *range(10 + len(USUAL), len(FOREIGN) + len(USUAL))]
    assert "PROTOBUF" in told[0]["why"] and "foreign" in told[0]["key"]
    counted = requests.get(f"{url}/metrics", timeout=10).text.splitlines()[-1]
    assert counted == f"footlights_registry_foreign_records {len(FOREIGN)}"
    assert log.read_text().count("record_passed_over") == len(FOREIGN)


def test_the_rest_of_the_log_is_read(mixed: tuple[str, Path]) -> None:
    url, _ = mixed
    assert ask(f"{url}/subjects")[1] == ["kept", "lenient"]
    assert ask(f"{url}/subjects?deleted=true")[1] == ["kept", "left", "lenient"]
    assert ask(f"{url}/config")[1] == {"compatibilityLevel": "FULL"}
    assert ask(f"{url}/mode/locked")[1] == {"mode": "READONLY"}
    assert ask(f"{url}/subjects/locked/versions", "POST", schema=KEPT)[1]["error_code"] == 42205


def test_ids_and_versions_of_foreign_schemas_stay_taken(mixed: tuple[str, Path]) -> None:
    url, _ = mixed
    assert ask(f"{url}/subjects/foreign/versions", "POST", schema=OTHER.replace("Other", "Fresh"))[1]["id"] == 46
    assert ask(f"{url}/subjects/foreign/versions")[1] == [6]
    assert ask(f"{url}/schemas/ids/41")[1]["error_code"] == 40403


def test_modes(registry_url: str) -> None:
    path = f"{registry_url}/mode/moded"
    assert ask(path) == (
        404,
        {"error_code": 40409, "message": "Subject 'moded' does not have subject-level mode configured"},
    )
    assert ask(f"{path}?defaultToGlobal=true") == (200, {"mode": "READWRITE"})
    assert ask(path, "PUT", mode="readonly") == (200, {"mode": "READONLY"})
    assert ask(path) == (200, {"mode": "READONLY"})
    for call in (("POST", f"{registry_url}/subjects/moded/versions"), ("DELETE", f"{registry_url}/subjects/moded")):
        assert ask(call[1], call[0], schema=KEPT)[1]["error_code"] == 42205
    assert ask(path, "DELETE") == (200, {"mode": "READONLY"})
    assert ask(path, "DELETE")[1]["error_code"] == 40409
    assert ask(f"{registry_url}/subjects/moded/versions", "POST", schema=KEPT)[0] == 200
    assert ask(path, "PUT", mode="SIDEWAYS")[1]["error_code"] == 42204


def test_anything_fits_what_does_not_exist(registry_url: str) -> None:
    path = f"{registry_url}/compatibility/subjects/unborn/versions"
    assert ask(path, "POST", schema=KEPT) == (200, {"is_compatible": True})
    assert ask(f"{path}/latest", "POST", schema=KEPT) == (200, {"is_compatible": True})
    assert ask(f"{path}/1", "POST", schema=KEPT)[1]["error_code"] == 40402
    assert ask(f"{path}/latest", "POST", schema="nonsense")[1]["error_code"] == 42201


def test_what_is_deleted_is_not_deleted_again(registry_url: str) -> None:
    subject = f"{registry_url}/subjects/twice"
    for text in (OTHER, OTHER.replace('"default":0', '"default":1')):
        ask(f"{subject}/versions", "POST", schema=text)
    assert ask(f"{subject}/versions/1", "DELETE") == (200, 1)
    assert ask(f"{subject}/versions/1", "DELETE")[1]["error_code"] == 40406
    assert ask(f"{subject}/versions/9", "DELETE")[1]["error_code"] == 40402
    assert ask(subject, "DELETE") == (200, [2])
    assert ask(subject, "DELETE")[1]["error_code"] == 40404
    assert ask(f"{subject}/versions/1?permanent=true", "DELETE") == (200, 1)
    assert ask(f"{subject}?permanent=true", "DELETE") == (200, [2])
    assert ask(subject, "DELETE")[1]["error_code"] == 40401


def test_schemas_are_listed(registry_url: str) -> None:
    for name, text in (("listed-a", OTHER), ("listed-b", OTHER), ("listed-b", OTHER.replace("0", "1"))):
        ask(f"{registry_url}/subjects/{name}/versions", "POST", schema=text)
    ask(f"{registry_url}/subjects/listed-a", "DELETE")

    def listed(options: str = "") -> list[tuple[str, int]]:
        found = ask(f"{registry_url}/schemas?subjectPrefix=listed-{options}")[1]
        assert all(row["schemaType"] == "AVRO" and row["schema"] and row["id"] for row in found)
        return [(row["subject"], row["version"]) for row in found]

    assert listed() == [("listed-b", 1), ("listed-b", 2)]
    assert listed("&deleted=true") == [("listed-a", 1), ("listed-b", 1), ("listed-b", 2)]
    assert listed("&latestOnly=true") == [("listed-b", 2)]
    assert listed("&offset=1&limit=1") == [("listed-b", 2)]
    assert len(ask(f"{registry_url}/schemas")[1]) >= 2


@pytest.mark.parametrize("subject", ["a{b}", "{", "a/b", "a b", "ä", "a%2Fb", "a?b", ":.ctx:a", "a+b"])
def test_any_name_is_a_subject(registry_url: str, subject: str) -> None:
    path = f"{registry_url}/subjects/{quote(subject, safe='')}/versions"
    assert ask(path, "POST", schema=KEPT)[0] == 200
    assert ask(f"{path}/latest")[1]["subject"] == subject
    assert subject in ask(f"{registry_url}/subjects")[1]
    for where in ("config", "mode"):
        assert ask(f"{registry_url}/{where}/{quote(subject, safe='')}?defaultToGlobal=true")[0] == 200


@pytest.mark.parametrize(
    ("kinds", "default"), [(["string", "null"], None), (["null", "string"], "x"), (["int", "bytes"], "ÿ")]
)
def test_a_unions_default_may_be_of_any_branch(kinds: list[str], default: Any) -> None:
    field = {"name": "a", "type": kinds, "default": default}
    assert json.loads(parse(json.dumps({"type": "record", "name": "R", "fields": [field]})).text)["fields"] == [field]


def test_normalize_writes_one_text(registry_url: str) -> None:
    given = (
        '{"name": "N", "fields": [{"type": {"type": "long"}, "name": "t", "default": 0}], "type": "record", "doc": "d"}'
    )
    path = f"{registry_url}/subjects/normal/versions"
    first = ask(f"{path}?normalize=true", "POST", schema=given)[1]
    text = '{"doc":"d","fields":[{"default":0,"name":"t","type":"long"}],"name":"N","type":"record"}'
    assert ask(f"{path}/latest")[1]["schema"] == text
    assert ask(path, "POST", schema=text)[1]["id"] == first["id"]
