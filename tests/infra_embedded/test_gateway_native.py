"""Format Native in the version that a client asks for, and ClickHouse's own compression of bodies."""

import struct
from io import BytesIO
from pathlib import Path

import lz4.block
import numpy as np
import pytest
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from infra.embedded.gateway_blocks import BlockPacker, BlockUnpacker
from infra.embedded.gateway_errors import GatewayError
from infra.embedded.gateway_native import NativeVersion
from infra.embedded.gateway_native_types import Cursor, pass_column
from tests.infra_embedded.asking import answer, ask, code

HEAD = b"\x01\x00\x02\xff\xff\xff\xff\x00"
TYPES = {
    "UInt8": "number % 7",
    "Int256": "-toInt256(number)",
    "String": "repeat('é', number % 300)",
    "FixedString(3)": "toFixedString('abc', 3)",
    "UUID": "toUUID('0190163d-8694-739b-aea5-966c26f8ad90')",
    "Decimal(38, 5)": "toDecimal128(number, 5)",
    "DateTime64(3, 'UTC')": "toDateTime64(number, 3, 'UTC')",
    "Enum8('a, (' = 1, 'b' = 2)": "1",
    "Nullable(String)": "if(number % 2, NULL, toString(number))",
    "Array(Nullable(UInt16))": "range(number % 4)",
    "Array(Array(String))": "[[toString(number)], []]",
    "LowCardinality(String)": "toString(number % 9)",
    "LowCardinality(Nullable(String))": "if(number % 3, NULL, 'x')",
    "Array(LowCardinality(String))": "arrayMap(x -> toString(x), range(number % 3))",
    "Map(LowCardinality(String), Array(UInt8))": "map('k', [1, 2])",
    "Tuple(a UInt8, `b c` LowCardinality(String))": "(1, 'x')",
    "Nested(x UInt8, y String)": "[(1, 'x')]",
    "Variant(Array(UInt8), String, UInt64)": "multiIf(number % 3 = 0, number::Variant(Array(UInt8), String, UInt64), NULL)",
    "Dynamic": "if(number % 2, number::Dynamic, 'x'::Dynamic)",
    "JSON(a UInt64, max_dynamic_paths = 1)": """concat('{"a": ', toString(number), ', "b": "x", "c": {"d": [1]}}')""",
    "Point": "(1.5, 2.5)",
    "MultiPolygon": "[[[(0, 0), (1, 1)]]]",
    "SimpleAggregateFunction(max, UInt64)": "number",
    "QBit(BFloat16, 9)": "arrayMap(x -> toBFloat16(x), range(9))",
}


@pytest.mark.clickhouse
@pytest.mark.parametrize("flat", [0, 1])
@pytest.mark.parametrize("kind", TYPES)
def test_the_end_of_a_column_of_every_type_is_found(clickhouse_url: str, kind: str, flat: int) -> None:
    quoted = kind.replace("'", r"\'")
    sql = f"SELECT CAST({TYPES[kind]}, '{quoted}') AS x, toUInt16(4711) AS mark FROM numbers(300) FORMAT Native"
    options = {"output_format_native_use_flattened_dynamic_and_json_serialization": flat, "wait_end_of_query": 1}
    asked = ask(clickhouse_url, sql, allow_suspicious_low_cardinality_types=1, **options)
    assert asked.status_code == 200, asked.text
    cursor = Cursor(asked.content)
    assert (cursor.varint(), cursor.varint(), cursor.text()) == (2, 300, b"x")
    pass_column(cursor, cursor.text().decode(), 300)
    assert (cursor.text(), cursor.text()) == (b"mark", b"UInt16")
    assert cursor.data[cursor.at :] == struct.pack("<H", 4711) * 300


@pytest.mark.clickhouse
def test_a_type_without_a_known_end_is_an_error_and_not_a_wrong_block(clickhouse_url: str) -> None:
    sql = "SELECT quantileState(number) AS x, 1 AS y FROM numbers(9) FORMAT Native"
    assert code(ask(clickhouse_url, sql, client_protocol_version=54_460)) == 48
    # As the last column of a block it needs no end.
    alone = ask(clickhouse_url, sql.replace(", 1 AS y", ""), client_protocol_version=54_460)
    assert alone.content.startswith(HEAD)


@pytest.mark.clickhouse
@pytest.mark.parametrize(
    ("version", "head", "zone", "marks"),
    [
        (0, b"", False, 0),
        (1, HEAD, False, 0),
        (54_405, HEAD, True, 0),
        (54_460, HEAD, True, 1),
        (54_480, b"\x01\x00\x02\xff\xff\xff\xff\x03\x00\x00", True, 1),
    ],
)
def test_a_block_is_of_the_version_asked_for(
    clickhouse_url: str, version: int, head: bytes, zone: bool, marks: int
) -> None:
    sql = (
        "SELECT 'é' AS s, toDateTime('2024-02-29 12:00:00', 'Asia/Tokyo') AS t, [1, 2]::Array(UInt8) AS a FORMAT Native"
    )
    kind = b"DateTime('Asia/Tokyo')" if zone else b"DateTime"
    mark = b"\x00" * marks
    wanted = b"".join(
        (
            *(head, b"\x03\x01", b"\x01s\x06String", mark, b"\x02\xc3\xa9"),
            *(b"\x01t", bytes([len(kind)]), kind, mark, struct.pack("<I", 1_709_175_600)),
            *(b"\x01a\x0cArray(UInt8)", mark, struct.pack("<Q", 2), b"\x01\x02"),
        )
    )
    for wait in (0, 1):
        asked = ask(clickhouse_url, sql, client_protocol_version=version, wait_end_of_query=wait)
        assert asked.content == wanted


@pytest.mark.clickhouse
def test_every_block_of_a_stream_has_its_head(clickhouse_url: str) -> None:
    sql = "SELECT number, toString(number) AS s FROM numbers(200000) FORMAT Native"
    asked = ask(clickhouse_url, sql, client_protocol_version=54_460, max_block_size=50_000)
    cursor, rows, blocks = Cursor(asked.content), 0, 0
    while cursor.at < len(asked.content):
        assert cursor.data[cursor.skip(len(HEAD)) : cursor.at] == HEAD
        columns, here = cursor.varint(), cursor.varint()
        for _ in range(columns):
            cursor.text()
            kind = cursor.text().decode()
            assert cursor.unsigned(1) == 0
            pass_column(cursor, kind, here)
        rows, blocks = rows + here, blocks + 1
    assert (rows, blocks) == (200_000, 4)


@pytest.mark.clickhouse
def test_versions_beyond_select_and_bad_ones(clickhouse_url: str) -> None:
    shown = ask(clickhouse_url, "SHOW DATABASES FORMAT Native", client_protocol_version=54_460)
    assert shown.content.startswith(HEAD)
    assert code(ask(clickhouse_url, "SELECT 1", client_protocol_version="new")) == 72
    assert code(ask(clickhouse_url, "SELECT nothing FORMAT Native", client_protocol_version=54_460)) == 47


def test_a_block_that_ends_too_early_is_an_error() -> None:
    block = b"\x01\x02\x01s\x06String\x03abc\x05ab"
    with pytest.raises(GatewayError, match="ends too early"):
        NativeVersion(54_460).rewrite(block)


@pytest.mark.clickhouse
@pytest.mark.parametrize("codec", ["LZ4", "ZSTD(1)", "NONE"])
def test_blocks_are_those_that_the_engine_writes(clickhouse_url: str, codec: str) -> None:
    # MergeTree keeps its columns in the same blocks, so the engine's own files tell whether checksums are right.
    table = f"written_{codec[:3]}"
    settings = "SETTINGS min_bytes_for_wide_part = 0"
    answer(
        clickhouse_url, f"CREATE TABLE {table} (n UInt64 CODEC({codec})) ENGINE = MergeTree ORDER BY tuple() {settings}"
    )
    answer(clickhouse_url, f"INSERT INTO {table} SELECT number FROM numbers(50000)")
    folder = answer(clickhouse_url, f"SELECT path FROM system.parts WHERE table = '{table}'").strip()
    unpacker = BlockUnpacker()
    assert unpacker.feed((Path(folder) / "n.bin").read_bytes()) == np.arange(50_000, dtype="<u8").tobytes()
    unpacker.finish()


def _blocks(content: bytes) -> bytes:
    """Unpack by the format's description alone."""
    stream, out = BytesIO(content), b""
    while head := stream.read(25):
        method, packed, plain = struct.unpack("<BII", head[16:])
        assert method == 0x82
        out += lz4.block.decompress(stream.read(packed - 9), uncompressed_size=plain)
    return out


@pytest.mark.clickhouse
def test_an_answer_packed_in_blocks(clickhouse_url: str) -> None:
    sql = "SELECT number FROM numbers(300000) FORMAT TSV"
    packed = ask(clickhouse_url, sql, compress=1)
    assert _blocks(packed.content).decode().split() == [str(n) for n in range(300_000)]
    assert len(packed.content) < len(_blocks(packed.content))
    both = ask(clickhouse_url, sql, compress=1, enable_http_compression=1, headers={"Accept-Encoding": "gzip"})
    assert both.headers["Content-Encoding"] == "gzip"
    assert _blocks(both.content) == _blocks(packed.content)


def _packed(method: int, plain: bytes) -> bytes:
    match method:
        case 0x82:
            data = lz4.block.compress(plain, store_size=False)
        case 0x90:
            data = zstandard.ZstdCompressor().compress(plain)
        case _:
            data = plain
    body = struct.pack("<BII", method, len(data) + 9, len(plain)) + data
    value = CityHash128(body)
    return struct.pack("<QQ", value >> 64, value & (2**64 - 1)) + body


@pytest.mark.clickhouse
@pytest.mark.parametrize("method", [0x02, 0x82, 0x90])
def test_a_body_packed_in_blocks(clickhouse_url: str, method: int) -> None:
    table = f"packed_{method}"
    answer(clickhouse_url, f"CREATE TABLE {table} (n UInt64) ENGINE = MergeTree ORDER BY n")
    rows = np.arange(50_000, dtype="<u8").tobytes()
    body = _packed(method, rows[:123_457]) + _packed(method, rows[123_457:])
    answer(clickhouse_url, f"INSERT INTO {table} FORMAT RowBinary", data=body, decompress=1)
    assert answer(clickhouse_url, f"SELECT count(), sum(n) FROM {table}") == "50000\t1249975000\n"
    statement = _packed(method, b"SELECT 42")
    assert answer(clickhouse_url, statement, decompress=1) == "42\n"


@pytest.mark.clickhouse
@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (lambda body: body[:-1], 271),
        (lambda body: body[: len(body) * 3 // 4], 271),
        (lambda body: bytes([body[0] ^ 1]) + body[1:], 40),
        (lambda body: body[:-1] + bytes([body[-1] ^ 1]), 40),
        (lambda body: body[:17] + b"\x00\x00\x00\x00" + body[21:], 271),
        (lambda body: body + body[:20], 271),
    ],
)
def test_a_damaged_body_inserts_nothing(clickhouse_url: str, spoil: object, wanted: int) -> None:
    answer(clickhouse_url, "CREATE TABLE IF NOT EXISTS spoilt (n UInt64) ENGINE = MergeTree ORDER BY n")
    rows = np.arange(1_000, dtype="<u8").tobytes()
    body = spoil(_packed(0x82, rows) + _packed(0x82, rows))  # type: ignore[operator]
    assert code(ask(clickhouse_url, "INSERT INTO spoilt FORMAT RowBinary", data=body, decompress=1)) == wanted
    assert answer(clickhouse_url, "SELECT count() FROM spoilt") == "0\n"


def test_packing_and_unpacking_are_each_others_inverse_however_the_pieces_fall() -> None:
    plain = bytes(range(256)) * 9_000
    packed = BlockPacker().feed(plain)
    unpacker = BlockUnpacker()
    pieces = [packed[start : start + 1_237] for start in range(0, len(packed), 1_237)]
    assert b"".join(map(unpacker.feed, pieces)) == plain
    unpacker.finish()
