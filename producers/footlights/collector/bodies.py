"""From the bytes of a request to a JSON value, within limits that hold while it is read.

In: headers, bytes.
Out: a value, or Problem.
Never: more memory than the limits, whatever a body claims to be.
"""

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import orjson
import zstandard

from footlights.collector.problems import Problem

MAX_BODY_BYTES = 1 << 20
MAX_DECODED_BYTES, MAX_RATIO = 10 << 20, 100
JSON_TYPES = ("application/json", "text/plain")
_WHITE = b" \t\n\r"


def decoded(headers: Mapping[str, str], body: bytes) -> bytes:
    """The body without its Content-Encoding.

    Raises
    ------
    Problem
        415 for an encoding that is unknown or not alone, 400 for a corrupt one, 413 past 10 MiB or 100:1.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return body
    read = _ENCODINGS.get(encoding)
    if read is None:
        raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Encoding may be gzip, deflate or zstd, one of them")
    limit = min(MAX_DECODED_BYTES, MAX_RATIO * max(len(body), 1_024))
    try:
        out = read(body, limit + 1)
    except (zlib.error, zstandard.ZstdError, EOFError) as problem:
        raise Problem(400, "BAD_ENCODING", f"the body is no {encoding}") from problem
    if len(out) > limit:
        raise Problem(413, "DECOMPRESSED_TOO_LARGE", "the body decompresses past 10 MiB or 100:1")
    return out


def _zlib(wbits: int) -> Callable[[bytes, int], bytes]:
    def read(body: bytes, limit: int) -> bytes:
        machine = zlib.decompressobj(wbits)
        out = machine.decompress(body, limit)
        if len(out) < limit and (not machine.eof or machine.unused_data):
            raise EOFError
        return out

    return read


def _zstd(body: bytes, limit: int) -> bytes:
    with zstandard.ZstdDecompressor(max_window_size=1 << 23).stream_reader(body) as reader:
        out = reader.read(limit)
    if not body:
        raise EOFError
    return out


_ENCODINGS: dict[str, Callable[[bytes, int], bytes]] = {"gzip": _zlib(31), "deflate": _zlib(15), "zstd": _zstd}


def json_of(body: bytes) -> Any:
    """The JSON value of a body.

    orjson is fast, but of a key that stands twice it takes the last. A body that is equal to its value written again, white space
    aside, has each key once; what is not (an escape, a number written in another way) is read by the standard library.

    Raises
    ------
    Problem
        400 INVALID_JSON: malformed, not UTF-8, a BOM, duplicate keys, NaN or Infinity, nested beyond reason.
    """
    try:
        value = orjson.loads(body)
        again = orjson.dumps(value)
        if again == body or again.replace(b" ", b"") == body.translate(None, _WHITE):
            return value
    except (ValueError, TypeError):  # malformed, or nested deeper than it writes
        pass
    try:
        text = body.decode()
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
        if "\\u" in text:  # an escaped half of a surrogate pair is no text
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as problem:
        raise Problem(400, "INVALID_JSON", "the body is no JSON: UTF-8, each key once, no NaN or Infinity") from problem
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key stands twice")
    return out


def _constant(_: str) -> NoReturn:
    raise ValueError("no JSON number")
