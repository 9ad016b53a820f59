"""The schemas: what decoders can be trusted with, and what old readers can read."""

import io
from itertools import permutations
from typing import Any

import fastavro
import pytest

from schemas.families import ENVELOPE, FAMILIES, FAMILY_NAMES, INTERNAL_NAMES, versions
from schemas.topics import TOPICS

ALL = [(name, version, text) for name in (*FAMILY_NAMES, *INTERNAL_NAMES) for version, text in versions(name)]
PII = {"none", "pseudonym", "text", "drop"}
PRIMITIVES = {"string", "long", "double", "boolean", "bytes"}


def problems(schema: dict[str, Any]) -> list[str]:
    """What makes a schema unfit for a hot topic: nesting, maps, arrays, logical types, unions beyond null-and-one."""
    found = []
    for field in schema["fields"]:
        kind = field["type"]
        if isinstance(kind, list):
            if len(kind) != 2 or kind[0] != "null":
                found.append(f"{field['name']}: a union beyond null-and-one")
            kind = kind[-1]
            if field.get("default", "absent") is not None:
                found.append(f"{field['name']}: no default")
        if not isinstance(kind, str) or kind not in PRIMITIVES:
            found.append(f"{field['name']}: {kind} is no primitive")
    return found


@pytest.mark.parametrize(
    ("name", "version", "text"), ALL, ids=lambda v: v if isinstance(v, str) and len(v) < 40 else ""
)
def test_schemas_are_flat(name: str, version: int, text: str) -> None:
    import json

    assert problems(json.loads(text)) == []


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "map", "values": "long"},
        {"type": "array", "items": "null"},
        {"type": "long", "logicalType": "timestamp-millis"},
        ["null", "string", "long"],
        {"type": "record", "name": "Self", "fields": [{"name": "next", "type": ["null", "Self"]}]},
    ],
)
def test_the_lint_catches(kind: Any) -> None:
    assert problems({"fields": [{"name": "x", "type": kind, "default": None}]})


def test_every_field_says_what_it_means_and_how_private_it_is() -> None:
    for family in FAMILIES.values():
        for field in family.fields:
            assert field.pii in PII, field
            assert len(field.doc) > 3, field


def test_each_version_reads_all_others() -> None:
    for name in (*FAMILY_NAMES, *INTERNAL_NAMES):
        parsed = [fastavro.parse_schema(__import__("json").loads(text)) for _, text in versions(name)]
        for writer, reader in permutations(parsed, 2):
            record = {f["name"]: _value(f["type"]) for f in writer["fields"]}
            out = io.BytesIO()
            fastavro.schemaless_writer(out, writer, record)
            out.seek(0)
            fastavro.schemaless_reader(out, writer, reader)


def _value(kind: Any) -> Any:
    return (
        None
        if isinstance(kind, list)
        else {"string": "x", "long": 1, "double": 1.0, "boolean": True, "bytes": b""}[kind]
    )


def test_the_envelope_is_in_every_family() -> None:
    assert len(ENVELOPE) == 23
    assert ENVELOPE[0] == "tenant_id"


def test_only_event_topics_begin_with_events_and_all_keep_the_brokers_clock() -> None:
    assert {t for t in TOPICS if t.startswith("events.")} == {f.topic for f in FAMILIES.values()}
    assert set(TOPICS) - {f.topic for f in FAMILIES.values()} == {
        "measures",
        "kpi-points",
        "dead-letters",
        "producer-reports",
        "consents",
        "sessions",
    }
    assert all(t.config["message.timestamp.type"] == "LogAppendTime" for t in TOPICS.values())
