"""What browsers wrap their JSON in: forms, base64, gzip that no header names.

In: the content type and the decoded body of a request.
Out: the bytes of its JSON, and what the form says beside it.
Never: a wrapping told by a parameter: clients name it in three ways or not at all, so the bytes themselves say what they are.
"""

import base64
import binascii
from collections.abc import Mapping
from email import message_from_bytes
from email.policy import HTTP
from urllib.parse import parse_qsl

from footlights.collector.bodies import JSON_TYPES
from footlights.collector.encodings import decoded
from footlights.collector.problems import Problem

_FORM, _PARTS = "application/x-www-form-urlencoded", "multipart/form-data"
#: A beacon of text is text/plain, of URLSearchParams or FormData a form, of bytes nothing at all.
TYPES = frozenset({*JSON_TYPES, _FORM, _PARTS, ""})
_GZIP, _JSON = b"\x1f\x8b", (b"{", b"[")
MAX_FIELDS = 32


def content_type(headers: Mapping[str, str]) -> str:
    """The media type of a request without its parameters.

    Raises
    ------
    Problem
        415 for one that no client sends JSON as.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in TYPES:
        raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type must be application/json, text/plain or a form")
    return kind


def unwrapped(headers: Mapping[str, str], body: bytes) -> tuple[bytes, dict[str, str]]:
    """(JSON of a body, the other fields of its form).

    Raises
    ------
    Problem
        400 for a form without `data` or a corrupt wrapping, 413 past the limits of `decoded`.
    """
    kind, fields = content_type(headers), dict[str, str]()
    if kind in (_FORM, _PARTS) and not body.lstrip().startswith(_JSON):  # curl calls any body a form
        fields = _fields(body) if kind == _FORM else _parts(headers["content-type"], body)
        # A client that forgets to escape base64 has its + read as a space.
        body = fields.pop("data", "").encode()
        if not body.lstrip().startswith(_JSON):
            body = body.replace(b" ", b"+")
        if not body:
            raise Problem(400, "INVALID_JSON", "a form has its JSON in the field `data`")
    return _json_in(body), fields


def _json_in(body: bytes) -> bytes:
    if body.startswith(_GZIP):
        return decoded({"content-encoding": "gzip"}, body)
    if body.lstrip().startswith(_JSON):
        return body
    try:
        inner = base64.b64decode(body.strip() + b"=" * (-len(body.strip()) % 4), validate=True)
    except binascii.Error:
        return body
    if inner.startswith(_GZIP):
        return decoded({"content-encoding": "gzip"}, inner)
    return inner if inner.lstrip().startswith(_JSON) else body


def _fields(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"))
    except ValueError as problem:
        raise Problem(
            400, "INVALID_JSON", f"the body is no form of UTF-8 with at most {MAX_FIELDS} fields"
        ) from problem


def _parts(kind: str, body: bytes) -> dict[str, str]:
    message = message_from_bytes(f"content-type: {kind}\r\n\r\n".encode() + body, policy=HTTP)
    out = {}
    for part in list(message.iter_parts())[:MAX_FIELDS]:
        name, held = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(held, bytes):
            out[name] = held.decode("utf-8", "replace")
    return out
