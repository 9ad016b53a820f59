"""A body is read whole, whatever members it has, within limits that hold over all of them."""

import gzip
import random
import struct
import zlib
from itertools import pairwise
from typing import Any

import pytest
import zstandard
from footlights.collector.encodings import decoded
from footlights.collector.problems import Problem

TEXT = b'{"batch": [' + b",".join(b'{"n": %d}' % n for n in range(400)) + b"]}"
#: Cuts between members.
CUTS = [(), (1,), (len(TEXT) // 3, len(TEXT) // 2), (0, len(TEXT)), tuple(range(0, len(TEXT), 97))]


def bare(text: bytes) -> bytes:
    machine = zlib.compressobj(wbits=-15)
    return machine.compress(text) + machine.flush()


def framed(text: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(text)


SKIPPED = struct.pack("<II", 0x184D2A50, 300) + random.Random(1).randbytes(300)
MEMBERS: dict[str, Any] = {"gzip": gzip.compress, "x-gzip": gzip.compress, "zstd": framed}


def cut(cuts: tuple[int, ...]) -> list[bytes]:
    places = [0, *cuts, len(TEXT)]
    return [TEXT[a:b] for a, b in pairwise(places)]


def code(encoding: str, body: bytes) -> tuple[int, str]:
    with pytest.raises(Problem) as told:
        decoded({"content-encoding": encoding}, body)
    return told.value.status, told.value.code


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("encoding", MEMBERS)
def test_every_member_counts(encoding: str, cuts: tuple[int, ...]) -> None:
    body = b"".join(map(MEMBERS[encoding], cut(cuts)))
    for name in (encoding, encoding.upper(), f"{encoding}, identity", f" identity ,{encoding}", f"{encoding},"):
        assert decoded({"content-encoding": name}, body) == TEXT


def test_frames_that_are_to_be_skipped_hold_nothing() -> None:
    one, other = map(framed, cut((700,)))
    for body in (SKIPPED + one + other, one + SKIPPED + other, one + other + SKIPPED):
        assert decoded({"content-encoding": "zstd"}, body) == TEXT


def test_deflate_is_wrapped_or_bare() -> None:
    for body in (zlib.compress(TEXT), zlib.compress(TEXT, 1), zlib.compress(TEXT, 9), bare(TEXT)):
        assert decoded({"content-encoding": "deflate"}, body) == TEXT


def test_no_encoding() -> None:
    for headers in (
        {},
        {"content-encoding": ""},
        {"content-encoding": "Identity"},
        {"content-encoding": "identity, identity"},
    ):
        assert decoded(headers, TEXT) == TEXT


@pytest.mark.parametrize(
    "encoding", ["gzip, gzip", "gzip, zstd", "br", "compress", "gzip;q=1", "identity, br", "x-gzip, gzip"]
)
def test_what_is_stacked_or_unknown_is_refused(encoding: str) -> None:
    assert code(encoding, gzip.compress(TEXT)) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate"])
def test_what_is_cut_off_or_followed_by_something_else_is_refused(encoding: str) -> None:
    whole = {"gzip": gzip.compress, "zstd": framed, "deflate": zlib.compress}[encoding](TEXT)
    for body in (b"", whole[:-1], whole[: len(whole) // 2], whole + b"x", whole + TEXT, whole + whole[:-1], whole + whole[:5],
                 TEXT, whole[:300] + b"\x00" + whole[301:]):  # fmt: skip
        assert code(encoding, body) == (400, "BAD_ENCODING"), body[-10:]
    if encoding != "deflate":
        assert decoded({"content-encoding": encoding}, whole + whole) == TEXT * 2
    assert code("zstd", SKIPPED[:-1]) == (400, "BAD_ENCODING")


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_the_limits_hold_over_all_members(encoding: str) -> None:
    zeros = MEMBERS[encoding](b"\x00" * (1 << 20))
    noise = random.Random(2).randbytes(200_000)
    assert len(decoded({"content-encoding": encoding}, MEMBERS[encoding](noise) + zeros * 9)) == len(noise) + (9 << 20)
    assert code(encoding, MEMBERS[encoding](noise) + zeros * 10) == (413, "DECOMPRESSED_TOO_LARGE")
    assert code(encoding, zeros) == (413, "DECOMPRESSED_TOO_LARGE")  # more than 100:1
    assert code(encoding, MEMBERS[encoding](b"") * 10_001) == (400, "BAD_ENCODING")
