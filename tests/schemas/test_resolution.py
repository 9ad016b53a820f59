"""Records of other writers' schemas are read by Avro's rules, each for itself: alone, in a batch, whatever stands beside it.

Apache's reader for Python is no judge: it refuses a union read as one of its branches, and bytes read as text.
"""

import io
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro_batch import BatchDecoder, frame_header
from schemas.avro_resolution import Resolution, Unreadable, schema_of
from schemas.families import FAMILIES, INTERNAL

COMMERCE = FAMILIES["commerce"].schema
OURS, THEIRS, DEAD = 1, 2, object()
FIELDS = {f["name"]: f["type"] for f in COMMERCE["fields"]}
BLANK: dict[str, Any] = {
    name: None if isinstance(kind, list) else {"string": "s", "long": 7, "double": 0.5, "boolean": True}[kind]
    for name, kind in FIELDS.items()
}
longs = st.integers(-(1 << 63), (1 << 63) - 1)
texts = st.text(max_size=5)
#: Types that a writer may give to a field, with the values that it then has.
TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    ("int", st.integers(-(1 << 31), (1 << 31) - 1)),
    ("long", longs),
    ("float", st.floats(width=32, allow_nan=False)),
    ("double", st.floats(allow_nan=False)),
    ("string", texts),
    ("bytes", st.binary(max_size=5)),
    ("boolean", st.booleans()),
    ("null", st.none()),
    ({"type": "long", "logicalType": "timestamp-millis"}, st.integers(0, 1 << 40)),
    ({"type": "int", "logicalType": "date"}, st.integers(0, 20_000)),
    ({"type": "string", "logicalType": "uuid"}, texts),
    ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, st.binary(min_size=1, max_size=4)),
    ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, st.sampled_from("AB")),
    ({"type": "fixed", "name": "F", "size": 3}, st.binary(min_size=3, max_size=3)),
    ({"type": "array", "items": "long"}, st.lists(longs, max_size=3)),
    ({"type": "map", "values": "string"}, st.dictionaries(texts, texts, max_size=2)),
    ({"type": "record", "name": "R", "fields": [{"name": "x", "type": "int"}]}, st.builds(lambda: {"x": 1})),
    (["null", "int"], st.none() | st.integers(-9, 9)),
    (["null", "long"], st.none() | longs),
    (["long", "null"], st.none() | longs),
    (["null", "string"], st.none() | texts),
    (["string", "null"], st.none() | texts),
    (["null", "double"], st.none() | st.floats(allow_nan=False)),
    (["null", "bytes"], st.none() | st.binary(max_size=5)),
    (["null", {"type": "long", "logicalType": "timestamp-millis"}], st.none() | st.integers(0, 1 << 40)),
    (["null", "string", "long"], st.none() | texts | longs),
]


def writer_with(name: str, kind: Any) -> dict[str, Any]:
    fields = [{"name": f["name"], "type": kind if f["name"] == name else f["type"]} for f in COMMERCE["fields"]]
    return {"type": "record", "name": COMMERCE["name"], "namespace": COMMERCE.get("namespace", ""), "fields": fields}


def bare(schema: Any) -> Any:
    """The schema without logical types: a writer of bytes needs no more."""
    if isinstance(schema, dict):
        return {k: bare(v) for k, v in schema.items() if k not in {"logicalType", "precision", "scale"}}
    return [bare(one) for one in schema] if isinstance(schema, list) else schema


def written(schema: dict[str, Any], record: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(bare(schema)), record)
    return out.getvalue()


def right(kind: Any, value: Any, wanted: Any) -> Any:
    """What the specification makes of a value, DEAD when it cannot be read. Written down anew, as a judge of the decoder."""
    optional, wanted = isinstance(wanted, list), wanted[-1] if isinstance(wanted, list) else wanted
    branches = bare(kind) if isinstance(kind, list) else [bare(kind)]
    names = [one["type"] if isinstance(one, dict) else one for one in branches]
    if value is None:
        return None if optional and "null" in names else DEAD
    written_as = {
        int: {"int", "long"},
        float: {"float", "double"},
        str: {"string"},
        bytes: {"bytes"},
        bool: {"boolean"},
    }
    if not written_as.get(type(value), set()) & set(names):
        return DEAD
    if wanted == "string" and isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return DEAD
    if wanted == "double" and type(value) in {int, float}:
        return float(value)
    return value if type(value) is {"string": str, "long": int, "boolean": bool}.get(wanted) else DEAD


def decoded(decoder: BatchDecoder, payloads: list[bytes]) -> list[dict[str, Any] | None]:
    """What became of each payload: its row, or None when it is a dead letter."""
    done = decoder(payloads, np.arange(len(payloads)))
    rows = {row.pop("__offset"): row for row in done.frame.to_dicts()}
    assert rows.keys() | {u.offset for u in done.bad} == set(range(len(payloads)))
    assert {u.error_code for u in done.bad} <= {"UNDECODABLE"}
    return [rows.get(i) for i in range(len(payloads))]


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_any_type_for_any_field(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(FIELDS)))
    kind, values = data.draw(st.sampled_from(TYPES))
    theirs = writer_with(name, kind)
    told = [data.draw(values) for _ in range(data.draw(st.integers(1, 4)))]
    bodies = [written(theirs, BLANK | {name: value}) for value in told]
    mine = frame_header(OURS) + written(COMMERCE, BLANK)
    decoder = BatchDecoder(COMMERCE, {OURS: COMMERCE, THEIRS: theirs}.__getitem__)
    alone = [decoded(decoder, [frame_header(THEIRS) + body])[0] for body in bodies]
    read = [right(kind, value, FIELDS[name]) for value in told]
    assert alone == [None if value is DEAD else BLANK | {name: value} for value in read]
    mixed = [payload for body in bodies for payload in (mine, frame_header(THEIRS) + body)]
    assert decoded(decoder, mixed) == [row for one in alone for row in (BLANK, one)]
    assert decoded(decoder, [frame_header(THEIRS) + body for body in bodies]) == alone


@pytest.mark.parametrize(
    ("name", "kind", "value", "read"),
    [
        ("sequence", "int", 5, 5),
        ("quantity", ["null", "int"], 3, 3),
        ("quantity", ["null", "int"], None, None),
        ("sent_at_ms", {"type": "long", "logicalType": "timestamp-millis"}, 1_700_000_000_000, 1_700_000_000_000),
        ("source", "bytes", b"shop", "shop"),
        ("sequence", ["null", "long"], 5, 5),
    ],
)
def test_what_is_promoted(name: str, kind: Any, value: Any, read: Any) -> None:
    theirs = writer_with(name, kind)
    decoder = BatchDecoder(COMMERCE, {THEIRS: theirs}.__getitem__)
    assert decoded(decoder, [frame_header(THEIRS) + written(theirs, BLANK | {name: value})]) == [BLANK | {name: read}]


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("amount_minor", ["null", "string"], "12"),
        ("amount_minor", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, b"\x0c"),
        ("sequence", ["null", "long"], None),
        ("sequence", "double", 5.0),
        ("source", "bytes", b"\xff\xfe"),
        ("source", {"type": "enum", "name": "E", "symbols": ["shop"]}, "shop"),
    ],
)
def test_what_is_a_dead_letter_alone(name: str, kind: Any, value: Any) -> None:
    theirs = writer_with(name, kind)
    payload = frame_header(THEIRS) + written(theirs, BLANK | {name: value})
    mine = frame_header(OURS) + written(COMMERCE, BLANK)
    decoder = BatchDecoder(COMMERCE, {OURS: COMMERCE, THEIRS: theirs}.__getitem__)
    assert decoded(decoder, [mine, payload, mine]) == [BLANK, None, BLANK]


def test_fields_that_come_and_go() -> None:
    more = writer_with("", None)
    more["fields"] += [{"name": "tags", "type": {"type": "array", "items": "string"}}]
    body = written(more, BLANK | {"tags": ["a", "b"]})
    decoder = BatchDecoder(COMMERCE, {THEIRS: more}.__getitem__)
    assert decoded(decoder, [frame_header(THEIRS) + body]) == [BLANK]
    for absent, row in (("quantity", BLANK), ("sequence", None)):  # one has a default, the other has none
        less = writer_with("", None)
        less["fields"] = [f for f in less["fields"] if f["name"] != absent]
        body = written(less, {n: v for n, v in BLANK.items() if n != absent})
        decoder = BatchDecoder(COMMERCE, {THEIRS: less}.__getitem__)
        assert decoded(decoder, [frame_header(THEIRS) + body]) == [row]


@pytest.mark.parametrize(
    "schema",
    [
        None, "string", ["null", "string"], {"type": "string"}, {"type": "record", "name": "r", "fields": []}, {}, [], 7,
        {"type": "record", "name": "r", "fields": [{"name": "x"}]}, {"type": "nothing"},
        {"type": "record", "name": "r", "fields": [{"name": "x", "type": {"type": "array", "items": "null"}}]},
        {"type": "record", "name": "r", "fields": [{"name": "next", "type": ["null", "r"]}]},
        schema_of('syntax = "proto3"; message A { string b = 1; }', "PROTOBUF"), schema_of("{", "AVRO"),
        schema_of('{"type": "object"}', "JSON"),
    ],
)  # fmt: skip
def test_a_schema_of_which_nothing_can_be_read(schema: Any) -> None:
    decoder = BatchDecoder(COMMERCE, {THEIRS: schema}.__getitem__)
    payloads = [frame_header(THEIRS) + body for body in (b"", b"\x02", b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f" * 9)]
    assert decoded(decoder, payloads) == [None, None, None]


@given(st.sampled_from(list(INTERNAL)), st.binary(max_size=60))
def test_bytes_of_chance_raise_nothing_else(name: str, body: bytes) -> None:
    resolution = Resolution(INTERNAL[name].schema, INTERNAL[name].schema)
    try:
        resolution(body)
    except Unreadable:
        return
