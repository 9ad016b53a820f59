"""An outage of the registry is waited for; only the registry's own word makes an id unknown."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka.schema_registry.error import SchemaRegistryError

from stream_apps import registry
from stream_apps.registry import NotCached, Schemas


class Answers:
    """A registry client that gives its answers in turn."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def get_schema(self, schema_id: int) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(schema_type="AVRO", schema_str=json.dumps(answer))


def fetched(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> Schemas:
    monkeypatch.setattr(registry, "_RETRIES_S", (0.0,))
    schemas = Schemas("http://127.0.0.1:1")
    schemas._client = Answers(*answers)  # type: ignore[assignment]
    with pytest.raises(NotCached):
        schemas.by_id(7)
    asyncio.run(schemas.fetch(7))
    return schemas


def test_outages_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    schemas = fetched(
        monkeypatch, SchemaRegistryError(503, 50003, "busy"), ConnectionRefusedError(), {"type": "record", "name": "r"}
    )
    assert schemas.by_id(7)["name"] == "r"


def test_not_found_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    schemas = fetched(monkeypatch, SchemaRegistryError(404, 40403, "no schema"))
    with pytest.raises(KeyError):
        schemas.by_id(7)


def test_a_refusal_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SchemaRegistryError):
        fetched(monkeypatch, SchemaRegistryError(401, 40101, "unauthorised"))
