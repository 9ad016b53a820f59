"""The collector's interface as OpenAPI 3.1.

In: nothing. Out: the document.
Never: a route that the application does not have; a test asks every one.
"""

from typing import Any

_TEXT = {"type": ["string", "null"]}
_ID = {"type": ["string", "integer", "null"]}
_OBJECT = {"type": "object"}
_ERRORS = {
    "400": "INVALID_JSON, BAD_ENCODING, EMPTY_BATCH",
    "401": "INVALID_API_KEY",
    "408": "TIMEOUT",
    "413": "BODY_TOO_LARGE, DECOMPRESSED_TOO_LARGE, BATCH_TOO_LARGE, EVENT_TOO_LARGE",
    "415": "UNSUPPORTED_MEDIA_TYPE",
    "422": "SCHEMA_VIOLATION, UNKNOWN_SCHEMA, RESERVED_NAME",
    "429": "RATE_LIMITED",
    "503": "UNAVAILABLE",
}


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    segment = {
        "type": "object",
        "properties": {
            "userId": _ID, "anonymousId": _ID, "messageId": _TEXT, "timestamp": _TEXT, "sentAt": _TEXT,
            "properties": _OBJECT, "traits": _OBJECT, "context": _OBJECT, "event": _TEXT,
        },
    }  # fmt: skip
    batch = {
        "type": "object",
        "required": ["batch"],
        "properties": {"batch": _list(_OBJECT), "sentAt": _TEXT, "writeKey": _TEXT},
    }
    captured = {
        "type": "object",
        "properties": {"api_key": _TEXT, "event": _TEXT, "distinct_id": _ID, "properties": _OBJECT, "timestamp": _TEXT,
                       "uuid": _TEXT, "batch": _list(_OBJECT)},
    }  # fmt: skip
    mine = {
        "type": "object",
        "properties": {"event_name": {"type": "string"}, "user_id": _ID, "anonymous_id": _ID, "session_id": _ID,
                       "message_id": _TEXT, "occurred_at": _TEXT, "properties": _OBJECT, "context": _OBJECT},
    }  # fmt: skip
    bodies: dict[str, tuple[str, Any]] = {
        **{f"/v1/{kind}": ("202", segment) for kind in ("track", "identify", "page", "screen", "group", "alias")},
        "/v1/batch": ("202", batch),
        **dict.fromkeys(("/batch/", "/capture/", "/i/v0/e/"), ("200", captured)),
        "/api/analytics/events/track": ("202", mine),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "footlights collector", "version": "1"},
        "components": {"securitySchemes": {
            "writeKey": {"type": "http", "scheme": "basic"}, "bearer": {"type": "http", "scheme": "bearer"},
            "query": {"type": "apiKey", "in": "query", "name": "api_key"},
        }},
        "paths": {path: {"post": _operation(taken, body)} for path, (taken, body) in bodies.items()},
    }  # fmt: skip


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": 1_000}


def _operation(taken: str, body: Any) -> dict[str, Any]:
    answers = {taken: "the events are on the disk or with Kafka", **_ERRORS}
    content = {"application/json": {"schema": _OBJECT}}
    return {
        "security": [{"writeKey": []}, {"bearer": []}, {"query": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {status: {"description": told, "content": content} for status, told in answers.items()},
    }
