"""Confluent's own client, unmodified, against the registry on a real broker."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fastavro
import pytest
import requests
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.embedded.ports import free_port
from infra.embedded.registry_avro import InvalidSchema, Level, incompatibilities, parse
from infra.embedded.tether import tethered
from tests.conftest import await_answer

Field = dict[str, Any]
OLD_ID: Field = {"name": "id", "type": "long"}
NAME: Field = {"name": "name", "type": ["null", "string"], "default": None}


def _record(*fields: Field, name: str = "Order", namespace: str = "shop") -> str:
    return json.dumps({"type": "record", "name": name, "namespace": namespace, "fields": list(fields)})


def _avro(*fields: Field, **names: str) -> Schema:
    return Schema(_record(*fields, **names), "AVRO")


@pytest.fixture
def client(registry_url: str) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": registry_url}) as client:
        yield client


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name}-value"


def _code(call: Callable[[], object]) -> tuple[int, int]:
    with pytest.raises(SchemaRegistryError) as caught:
        call()
    return caught.value.http_status_code, caught.value.error_code


@pytest.mark.kafka
class TestClient:
    def test_serializer_and_deserializer_round_trip(self, client: SchemaRegistryClient) -> None:
        context = SerializationContext("orders", MessageField.VALUE)
        value = {"id": 7, "name": "seven"}
        framed = AvroSerializer(client, _record(OLD_ID, NAME))(value, context)
        assert framed is not None
        assert framed[0] == 0
        latest = client.get_latest_version("orders-value")
        assert int.from_bytes(framed[1:5]) == latest.schema_id
        assert AvroDeserializer(client)(framed, context) == value

    def test_same_schema_same_id_however_it_is_written(self, client: SchemaRegistryClient, subject: str) -> None:
        first = client.register_schema(subject, _avro(OLD_ID, NAME))
        spaced = json.dumps(
            {"fields": [{"type": "long", "name": "id"}, NAME], "name": "shop.Order", "type": "record"}, indent=4
        )
        assert client.register_schema(subject, Schema(spaced, "AVRO")) == first
        assert client.register_schema(f"other-{subject}", _avro(OLD_ID, NAME)) == first
        assert client.get_versions(subject) == [1]
        assert client.lookup_schema(subject, Schema(spaced, "AVRO")).version == 1
        assert json.loads(client.get_schema(first).schema_str or "")["name"] == "Order"

    def test_versions_subjects_and_ids(self, client: SchemaRegistryClient, subject: str, registry_url: str) -> None:
        one = client.register_schema(subject, _avro(OLD_ID))
        two = client.register_schema(subject, _avro(OLD_ID, NAME))
        assert two != one
        assert client.get_versions(subject) == [1, 2]
        assert client.get_version(subject, 1).schema_id == one
        assert client.get_version(subject, "latest").schema_id == two
        assert subject in client.get_subjects()
        used = requests.get(f"{registry_url}/schemas/ids/{two}/versions", timeout=10).json()
        assert {"subject": subject, "version": 2} in used
        assert subject in requests.get(f"{registry_url}/schemas/ids/{two}/subjects", timeout=10).json()
        assert requests.get(f"{registry_url}/schemas/types", timeout=10).json() == ["AVRO"]
        assert requests.get(f"{registry_url}/mode", timeout=10).json() == {"mode": "READWRITE"}

    def test_levels_global_and_of_a_subject(self, client: SchemaRegistryClient, subject: str) -> None:
        assert client.get_config().compatibility_level == "BACKWARD"
        assert _code(lambda: client.get_compatibility(subject)) == (404, 40408)
        client.set_compatibility(subject, "FULL_TRANSITIVE")
        assert client.get_compatibility(subject) == "FULL_TRANSITIVE"
        client.delete_config(subject)
        assert _code(lambda: client.get_compatibility(subject)) == (404, 40408)
        assert _code(lambda: client.set_compatibility(subject, "SOMEWHAT")) == (422, 42203)

    def test_deletions(self, client: SchemaRegistryClient, subject: str) -> None:
        first = client.register_schema(subject, _avro(OLD_ID))
        second = client.register_schema(subject, _avro(OLD_ID, NAME))
        assert _code(lambda: client.delete_version(subject, 1, permanent=True))[0] == 404
        assert client.delete_version(subject, 1) == 1
        assert client.get_versions(subject) == [2]
        assert client.get_schema(first).schema_str, "data written with a deleted version stay readable"
        assert client.delete_subject(subject) == [2]
        assert _code(lambda: client.get_latest_version(subject)) == (404, 40401)
        assert subject not in client.get_subjects()
        assert client.delete_subject(subject, permanent=True) == [1, 2]
        assert client.register_schema(subject, _avro(NAME)) > second, "an id is never given twice"

    def test_error_codes(self, client: SchemaRegistryClient, subject: str, registry_url: str) -> None:
        assert _code(lambda: client.get_versions(subject)) == (404, 40401)
        client.register_schema(subject, _avro(OLD_ID))
        assert _code(lambda: client.get_version(subject, 9)) == (404, 40402)
        assert _code(lambda: client.get_schema(999_999)) == (404, 40403)
        assert _code(lambda: client.lookup_schema(subject, _avro(NAME))) == (404, 40403)
        assert _code(lambda: client.register_schema(subject, Schema('{"type": "nope"}', "AVRO"))) == (422, 42201)
        assert _code(lambda: client.register_schema(subject, _avro(OLD_ID, {"name": "n", "type": "int"})))[0] == 409
        refused = requests.get(f"{registry_url}/subjects/{subject}/versions/zero", timeout=10)
        assert (refused.status_code, refused.json()["error_code"]) == (422, 42202)
        assert requests.get(f"{registry_url}/nowhere", timeout=10).json()["error_code"] == 404
        assert requests.post(f"{registry_url}/subjects/x/versions", data=b"{", timeout=10).status_code == 400

    def test_compatibility_probe_changes_nothing(self, client: SchemaRegistryClient, subject: str) -> None:
        client.register_schema(subject, _avro(OLD_ID))
        assert client.test_compatibility(subject, _avro(OLD_ID, NAME))
        assert not client.test_compatibility(subject, _avro(OLD_ID, {"name": "n", "type": "int"}))
        assert not client.test_compatibility_all_versions(subject, _avro(OLD_ID, {"name": "n", "type": "int"}))
        assert client.get_versions(subject) == [1]

    def test_readded_field_passes_backward_and_fails_transitive(
        self, client: SchemaRegistryClient, subject: str
    ) -> None:
        text = {"name": "note", "type": "string", "default": ""}
        number = {"name": "note", "type": "int", "default": 0}
        for fields in ([OLD_ID, text], [OLD_ID]):
            client.register_schema(subject, _avro(*fields))
        client.set_compatibility(subject, "FULL_TRANSITIVE")
        assert _code(lambda: client.register_schema(subject, _avro(OLD_ID, number)))[0] == 409
        client.set_compatibility(subject, "BACKWARD")
        assert client.register_schema(subject, _avro(OLD_ID, number)) > 0


@pytest.mark.kafka
def test_restart_and_sigkill_keep_everything(kafka: str, tmp_path: Path) -> None:
    port = free_port()
    options = ["--bootstrap", kafka, "--port", str(port), "--topic", "_schemas_restarted"]
    with _running(options, port, tmp_path) as (first, url), SchemaRegistryClient({"url": url}) as client:
        client.set_compatibility(level="FULL")
        schema_id = client.register_schema("kept", _avro(OLD_ID))
        client.register_schema("gone", _avro(NAME))
        client.delete_subject("gone")
        highest = client.register_schema("erased", _avro(OLD_ID, NAME))
        client.delete_subject("erased")
        client.delete_subject("erased", permanent=True)
        first.kill()
    with _running(options, port, tmp_path) as (second, url), SchemaRegistryClient({"url": url}) as client:
        assert client.get_subjects() == ["kept"]
        assert client.get_schema(schema_id).schema_str == parse(_record(OLD_ID)).text
        assert client.get_compatibility() == "FULL"
        assert client.register_schema("new", _avro({"name": "x", "type": "int"})) == highest + 1
        second.terminate()
        assert second.wait(15) == 0


@contextmanager
def _running(options: list[str], port: int, folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    url = f"http://127.0.0.1:{port}"
    command = tethered([sys.executable, "-m", "infra.embedded.registry", *options])
    with (folder / "registry.log").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            await_answer(process, f"{url}/subjects", folder / "registry.log")
            yield process, url
        finally:
            process.kill()


_ENUM = {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}, "default": "A"}
_FEWER = {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A"]}, "default": "A"}


@pytest.mark.parametrize(
    ("edit", "new", "backward", "forward"),
    [
        ("field added with a default", _record(OLD_ID, _ENUM, NAME), True, True),
        ("field added without", _record(OLD_ID, _ENUM, {"name": "n", "type": "int"}), False, True),
        ("field without a default removed", _record(_ENUM), True, False),
        ("widened", _record({"name": "id", "type": "double"}, _ENUM), True, False),
        ("narrowed", _record({"name": "id", "type": "int"}, _ENUM), False, True),
        ("other type", _record({"name": "id", "type": "string"}, _ENUM), False, False),
        ("made nullable", _record({"name": "id", "type": ["null", "long"]}, _ENUM), True, False),
        ("enum symbol removed", _record(OLD_ID, _FEWER), False, True),
        ("record renamed", _record(OLD_ID, _ENUM, name="Purchase"), False, False),
        ("namespace renamed", _record(OLD_ID, _ENUM, namespace="store"), True, True),
    ],
)
def test_single_edits_by_level(edit: str, new: str, backward: bool, forward: bool) -> None:
    old = [_record(OLD_ID, _ENUM)]
    assert (not incompatibilities(new, old, Level.BACKWARD)) is backward, edit
    assert (not incompatibilities(new, old, Level.FORWARD)) is forward, edit
    assert (not incompatibilities(new, old, Level.FULL)) is (backward and forward), edit
    assert incompatibilities(new, old, Level.NONE) == []
    assert _fastavro_reads(old[0], new) is backward, "the decoder judges as the registry does"


def _fastavro_reads(writer: str, reader: str) -> bool:
    return _reads([{"id": 1, "kind": "A"}, {"id": 2**40, "kind": "B"}], writer, reader)


def _reads(rows: list[dict[str, Any]], writer: str, reader: str) -> bool:
    buffer = io.BytesIO()
    fastavro.writer(buffer, fastavro.parse_schema(json.loads(writer)), rows)
    buffer.seek(0)
    try:
        return len(list(fastavro.reader(buffer, fastavro.parse_schema(json.loads(reader))))) == len(rows)
    except (fastavro.schema.SchemaParseException, fastavro.read.SchemaResolutionError, ValueError):
        return False


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "null",
        '{"type": "nope"}',
        _record({"name": "n", "type": "int", "default": "x"}),
        _record({"name": "n", "type": ["null", "string"], "default": 1}),
        _record({"name": "n", "type": "int"}, {"name": "n", "type": "int"}),
    ],
)
def test_invalid_schemas_are_refused(text: str) -> None:
    with pytest.raises(InvalidSchema):
        parse(text)


_TYPES: list[tuple[Any, Any]] = [("int", 0), ("long", 0), ("double", 0.0), ("string", ""), (["null", "string"], None)]
_SAMPLES: dict[str, Any] = {"int": 3, "long": 2**40, "double": 0.5, "string": "x", "null": None}


@st.composite
def _random_records(draw: st.DrawFn) -> list[Field]:
    names = draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=4))
    fields: list[Field] = []
    for name in names:
        kind, default = draw(st.sampled_from(_TYPES))
        fields.append({"name": name, "type": kind, **({"default": default} if draw(st.booleans()) else {})})
    return fields


@settings(max_examples=300, deadline=None)
@given(st.lists(_random_records(), min_size=2, max_size=5))
def test_backward_transitive_means_that_the_newest_reads_all(chain: list[list[Field]]) -> None:
    texts = [_record(*fields) for fields in chain]
    accepted = not incompatibilities(texts[-1], texts[:-1], Level.BACKWARD_TRANSITIVE)
    assert accepted is all(_reads_samples(fields, texts[-1]) for fields in chain[:-1])


def _reads_samples(writer: list[Field], reader: str) -> bool:
    """Whether fastavro reads a row of each branch of each field."""
    branches = [field["type"] if isinstance(field["type"], list) else [field["type"]] for field in writer]
    rows = [
        {field["name"]: _SAMPLES[kinds[index % len(kinds)]] for field, kinds in zip(writer, branches, strict=True)}
        for index in range(2)
    ]
    return _reads(rows, _record(*writer), reader)
