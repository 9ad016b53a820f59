"""Content encodings: several members, bodies that are cut off, and what an answer is packed by."""

import bz2
import gzip
import lzma
import socket
import time
import zlib
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import urlsplit

import lz4.frame
import pytest
import zstandard

from tests.infra_embedded.asking import answer, ask, code

pytestmark = pytest.mark.clickhouse


def _raw(plain: bytes) -> bytes:
    codec = zlib.compressobj(9, zlib.DEFLATED, -15)
    return codec.compress(plain) + codec.flush()


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "deflate without a head": ("deflate", _raw),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress),
    "lz4": ("lz4", lz4.frame.compress),
    "xz": ("xz", lzma.compress),
    "bz2": ("bz2", bz2.compress),
}
ROWS = b"".join(b"%d\n" % n for n in range(20_000))


def _table(url: str, name: str) -> str:
    table = f"encoding_{''.join(letter if letter.isalnum() else '_' for letter in name)}"
    answer(url, f"CREATE OR REPLACE TABLE {table} (n UInt64) ENGINE = MergeTree ORDER BY n")
    return table


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("members", [1, 3])
def test_all_members_of_a_body_arrive(clickhouse_url: str, name: str, members: int) -> None:
    encoding, pack = PACKERS[name]
    table = _table(clickhouse_url, name)
    cuts = [len(ROWS) * part // members for part in range(members + 1)]
    body = b"".join(pack(ROWS[start:end]) for start, end in pairwise(cuts))
    answer(clickhouse_url, f"INSERT INTO {table} FORMAT TSV", data=body, headers={"Content-Encoding": encoding})
    assert answer(clickhouse_url, f"SELECT count(), sum(n) FROM {table}") == "20000\t199990000\n"


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("keep", ["half", "all but a byte", "one and a half", "one and some dust"])
def test_a_body_that_is_cut_off_inserts_nothing(clickhouse_url: str, name: str, keep: str) -> None:
    encoding, pack = PACKERS[name]
    table = _table(clickhouse_url, f"{name} {keep}")
    member = pack(ROWS)
    body = {
        "half": member[: len(member) // 2],
        "all but a byte": member[:-1],
        "one and a half": member + member[: len(member) // 2],
        "one and some dust": member + b"\xff\xff",
    }[keep]
    asked = ask(clickhouse_url, f"INSERT INTO {table} FORMAT TSV", data=body, headers={"Content-Encoding": encoding})
    assert (asked.status_code, code(asked)) == (400, 271)
    assert answer(clickhouse_url, f"SELECT count() FROM {table}") == "0\n"


def test_what_is_not_of_its_encoding_is_refused(clickhouse_url: str) -> None:
    table = _table(clickhouse_url, "plain")
    insert = f"INSERT INTO {table} FORMAT TSV"
    assert code(ask(clickhouse_url, insert, data=b"1\n", headers={"Content-Encoding": "gzip"})) == 271
    assert code(ask(clickhouse_url, insert, data=b"1\n", headers={"Content-Encoding": "br"})) == 89
    answer(clickhouse_url, insert, data=b"1\n", headers={"Content-Encoding": "identity"})
    twice = gzip.compress(zstandard.ZstdCompressor().compress(b"2\n"))
    answer(clickhouse_url, insert, data=twice, headers={"Content-Encoding": "zstd, gzip"})
    assert answer(clickhouse_url, f"SELECT arraySort(groupArray(n)) FROM {table}") == "[1,2]\n"


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_a_connection_that_breaks_within_the_body_inserts_nothing(clickhouse_url: str, framing: str) -> None:
    table = _table(clickhouse_url, framing)
    address = urlsplit(clickhouse_url)
    piece = b"5\r\n1\n2\n3\r\n" if "chunked" in framing else b"1\n2\n3\n"
    with socket.create_connection((address.hostname, address.port), timeout=10) as broken:
        head = f"POST /?query=INSERT+INTO+{table}+FORMAT+TSV HTTP/1.1\r\nHost: 127.0.0.1\r\n{framing}\r\n\r\n"
        broken.sendall(head.encode() + piece)
        time.sleep(0.3)
    time.sleep(0.7)
    assert answer(clickhouse_url, f"SELECT count() FROM {table}") == "0\n"


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("zstd", "zstd"),
        ("lz4", "lz4"),
        ("br", None),
        ("br, gzip;q=0.1", "gzip"),
        ("zstd;q=0, gzip", "gzip"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip, zstd", "zstd"),
        ("*", "zstd"),
        ("*;q=0.5, zstd;q=0, lz4;q=0", "gzip"),
        ("identity, gzip;q=0.5", None),
        ("gzip;q=0", None),
        ("not-gzip", None),
        ("gzip;q=nonsense", None),
        ("", None),
    ],
)
def test_the_encoding_of_an_answer(clickhouse_url: str, accepted: str, wanted: str | None) -> None:
    headers = {"Accept-Encoding": accepted}
    asked = ask(clickhouse_url, "SELECT 1", enable_http_compression=1, headers=headers)
    assert asked.headers.get("Content-Encoding") == wanted
    content = lz4.frame.decompress(asked.content) if wanted == "lz4" else asked.content
    if wanted == "zstd" and content[:4] == b"\x28\xb5\x2f\xfd":
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    assert content == b"1\n"
    assert "Content-Encoding" not in ask(clickhouse_url, "SELECT 1", headers=headers).headers


def test_errors_come_in_the_encoding_too(clickhouse_url: str) -> None:
    options = {"enable_http_compression": 1, "headers": {"Accept-Encoding": "gzip"}}
    asked = ask(clickhouse_url, "SELECT * FROM nowhere", **options)
    assert (asked.headers["Content-Encoding"], asked.status_code, code(asked)) == ("gzip", 404, 60)
    assert code(ask(clickhouse_url, "SELECT * FROM nowhere")) == 60
