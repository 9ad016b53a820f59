"""The registry's REST API, as Confluent's clients call it.

In: HTTP requests.
Out: JSON of type application/vnd.schemaregistry.v1+json.
Never: a stack trace; a request that is not understood answered with 200.
"""

import json
from dataclasses import asdict
from typing import Any

from aiohttp import web

from infra.embedded import registry_errors as errors
from infra.embedded.local_only import refuse_foreign
from infra.embedded.registry_avro import Level
from infra.embedded.registry_service import RegistryService
from infra.embedded.registry_state import GLOBAL, Version

SERVICE = web.AppKey("service", RegistryService)
_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_METRICS = """\
# HELP footlights_registry_foreign_records Records of the registry's log that were passed over.
# TYPE footlights_registry_foreign_records gauge
footlights_registry_foreign_records {}
"""
#: What a page can send to another site without asking first.
_OF_FORMS = frozenset({"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
routes = web.RouteTableDef()


def make_app(service: RegistryService) -> web.Application:
    """Return the application that serves the service."""
    app = web.Application(middlewares=[refuse_foreign(_refusal), _errors_as_json])
    app[SERVICE] = service
    app.add_routes(routes)
    return app


def _refusal(reason: str) -> web.Response:
    return _answer({"error_code": 403, "message": reason}, 403)


@web.middleware
async def _errors_as_json(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except errors.RegistryError as error:
        return _answer({"error_code": error.code, "message": error.message}, status=error.status)
    except web.HTTPException as error:
        return _answer({"error_code": error.status, "message": f"HTTP {error.status} {error.reason}"}, error.status)
    return response


def _answer(tree: Any, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(tree), status=status, content_type=_MEDIA_TYPE)


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "false").lower() == "true"


def _page(request: web.Request, items: list[Any]) -> list[Any]:
    offset, limit = request.query.get("offset", "0"), request.query.get("limit", "-1")
    try:
        first, count = max(int(offset), 0), int(limit)
    except ValueError as error:
        raise errors.RegistryError(400, "offset and limit are numbers") from error
    return items[first:] if count <= 0 else items[first : first + count]


async def _body(request: web.Request) -> dict[str, Any]:
    if request.content_type in _OF_FORMS:
        raise errors.RegistryError(415, f"the body is {request.content_type}, not {_MEDIA_TYPE}")
    try:
        tree = json.loads(await request.read() or b"null")
    except ValueError as error:
        raise errors.RegistryError(400, "the body is not JSON") from error
    if not isinstance(tree, dict):
        raise errors.RegistryError(400, "the body is not a JSON object")
    return tree


async def _schema_text(request: web.Request) -> str:
    tree = await _body(request)
    if (tree.get("schemaType") or "AVRO") != "AVRO":
        raise errors.schema_invalid(f"only AVRO is supported, not {tree['schemaType']}")
    if tree.get("references"):
        raise errors.schema_invalid("references are not supported")
    text = tree.get("schema")
    if not isinstance(text, str):
        raise errors.schema_invalid("the body has no text 'schema'")
    return text


def _shown(version: Version) -> dict[str, Any]:
    return {
        "subject": version.subject,
        "version": version.version,
        "id": version.id,
        "schemaType": "AVRO",
        "schema": version.schema.text,
    }


@routes.get("/")
async def root(_: web.Request) -> web.Response:
    """Answer with an empty object, as Confluent's does; a probe."""
    return _answer({})


@routes.get("/subjects")
async def subjects(request: web.Request) -> web.Response:
    """List subjects."""
    state = request.app[SERVICE].state
    prefix = request.query.get("subjectPrefix", "").removeprefix(":*:")
    names = state.subjects(deleted=_flag(request, "deleted"))
    if _flag(request, "deleted_only") or _flag(request, "deletedOnly"):
        names = [name for name in state.subjects(deleted=True) if not state.versions(name)]
    return _answer(_page(request, [name for name in names if name.startswith(prefix)]))


@routes.post("/subjects/{subject:[^/]+}")
async def look_up(request: web.Request) -> web.Response:
    """Return the version that is the given schema."""
    text, deleted = await _schema_text(request), _flag(request, "deleted")
    return _answer(_shown(request.app[SERVICE].look_up(request.match_info["subject"], text, deleted=deleted)))


@routes.delete("/subjects/{subject:[^/]+}")
async def delete_subject(request: web.Request) -> web.Response:
    """Delete a subject; answer with its versions."""
    gone = await request.app[SERVICE].delete_subject(
        request.match_info["subject"], permanent=_flag(request, "permanent")
    )
    return _answer([version.version for version in gone])


@routes.get("/subjects/{subject:[^/]+}/versions")
async def versions(request: web.Request) -> web.Response:
    """List version numbers."""
    service, subject = request.app[SERVICE], request.match_info["subject"]
    only = _flag(request, "deleted_only") or _flag(request, "deletedOnly")
    found = service.versions(subject, deleted=only or _flag(request, "deleted"))
    return _answer(_page(request, [v.version for v in found if v.deleted or not only]))


@routes.post("/subjects/{subject:[^/]+}/versions")
async def register(request: web.Request) -> web.Response:
    """Register a schema; answer with its id."""
    text = await _schema_text(request)
    version = await request.app[SERVICE].register(
        request.match_info["subject"], text, normalize=_flag(request, "normalize")
    )
    return _answer({"id": version.id, "version": version.version, "schemaType": "AVRO", "schema": version.schema.text})


@routes.get("/subjects/{subject:[^/]+}/versions/{version}")
async def version(request: web.Request) -> web.Response:
    """Return one version."""
    found = request.app[SERVICE].version(
        request.match_info["subject"], request.match_info["version"], deleted=_flag(request, "deleted")
    )
    return _answer(_shown(found))


@routes.get("/subjects/{subject:[^/]+}/versions/{version}/schema")
async def version_text(request: web.Request) -> web.Response:
    """Return the text of one version."""
    found = request.app[SERVICE].version(request.match_info["subject"], request.match_info["version"])
    return _answer(json.loads(found.schema.text))


@routes.get("/subjects/{subject:[^/]+}/versions/{version}/referencedby")
async def referenced_by(_: web.Request) -> web.Response:
    """Return nobody: references are not supported."""
    return _answer([])


@routes.delete("/subjects/{subject:[^/]+}/versions/{version}")
async def delete_version(request: web.Request) -> web.Response:
    """Delete one version; answer with its number."""
    gone = await request.app[SERVICE].delete_version(
        request.match_info["subject"], request.match_info["version"], permanent=_flag(request, "permanent")
    )
    return _answer(gone.version)


def _with_id(request: web.Request) -> list[Version]:
    text = request.match_info["id"]
    found = request.app[SERVICE].state.with_id(int(text)) if text.isascii() and text.isdigit() else []
    if not found:
        raise errors.schema_missing(text)
    return found


@routes.get("/schemas")
async def schemas(request: web.Request) -> web.Response:
    """List versions with their schemas."""
    state, prefix = request.app[SERVICE].state, request.query.get("subjectPrefix", "").removeprefix(":*:")
    deleted = _flag(request, "deleted")
    found: list[Version] = []
    for subject in state.subjects(deleted=deleted):
        if subject.startswith(prefix):
            held = state.versions(subject, deleted=deleted)
            found += held[-1:] if _flag(request, "latestOnly") else held
    return _answer(_page(request, [_shown(v) for v in found]))


@routes.get("/schemas/types")
async def types(_: web.Request) -> web.Response:
    """Return the kinds of schemas."""
    return _answer(["AVRO"])


@routes.get("/schemas/ids/{id}")
async def by_id(request: web.Request) -> web.Response:
    """Return the schema of an id."""
    return _answer({"schemaType": "AVRO", "schema": _with_id(request)[0].schema.text})


@routes.get("/schemas/ids/{id}/schema")
async def text_by_id(request: web.Request) -> web.Response:
    """Return the text of an id."""
    return _answer(json.loads(_with_id(request)[0].schema.text))


@routes.get("/schemas/ids/{id}/subjects")
async def subjects_of_id(request: web.Request) -> web.Response:
    """Return the subjects that use an id."""
    found = [v for v in _with_id(request) if _flag(request, "deleted") or not v.deleted]
    return _answer(_page(request, sorted({v.subject for v in found})))


@routes.get("/schemas/ids/{id}/versions")
async def versions_of_id(request: web.Request) -> web.Response:
    """Return the subjects and versions that use an id."""
    found = [v for v in _with_id(request) if _flag(request, "deleted") or not v.deleted]
    return _answer(_page(request, [{"subject": v.subject, "version": v.version} for v in found]))


@routes.post("/compatibility/subjects/{subject:[^/]+}/versions")
@routes.post("/compatibility/subjects/{subject:[^/]+}/versions/{version}")
async def compatibility(request: web.Request) -> web.Response:
    """Say whether a schema would fit."""
    text = await _schema_text(request)
    reasons = request.app[SERVICE].check(request.match_info["subject"], text, request.match_info.get("version"))
    answer: dict[str, Any] = {"is_compatible": not reasons}
    if _flag(request, "verbose"):
        answer["messages"] = reasons
    return _answer(answer)


@routes.get("/config")
@routes.get("/config/{subject:[^/]+}")
async def config(request: web.Request) -> web.Response:
    """Return a compatibility level."""
    state, subject = request.app[SERVICE].state, request.match_info.get("subject", GLOBAL)
    level: Level | None = state.own_level(subject)
    if level is None:
        if subject != GLOBAL and not _flag(request, "defaultToGlobal"):
            raise errors.level_missing(subject)
        level = state.level(subject)
    return _answer({"compatibilityLevel": level.value})


@routes.put("/config")
@routes.put("/config/{subject:[^/]+}")
async def set_config(request: web.Request) -> web.Response:
    """Set a compatibility level."""
    wanted = (await _body(request)).get("compatibility")
    level = await request.app[SERVICE].set_level(request.match_info.get("subject", GLOBAL), wanted)
    return _answer({"compatibility": level.value})


@routes.delete("/config")
@routes.delete("/config/{subject:[^/]+}")
async def unset_config(request: web.Request) -> web.Response:
    """Take a compatibility level away; answer with what it was."""
    level = await request.app[SERVICE].unset_level(request.match_info.get("subject", GLOBAL))
    return _answer({"compatibilityLevel": level.value})


@routes.get("/mode")
@routes.get("/mode/{subject:[^/]+}")
async def mode(request: web.Request) -> web.Response:
    """Return a mode."""
    state, subject = request.app[SERVICE].state, request.match_info.get("subject", GLOBAL)
    if subject != GLOBAL and state.own_mode(subject) is None and not _flag(request, "defaultToGlobal"):
        raise errors.mode_missing(subject)
    return _answer({"mode": state.mode(subject)})


@routes.put("/mode")
@routes.put("/mode/{subject:[^/]+}")
async def set_mode(request: web.Request) -> web.Response:
    """Set a mode."""
    wanted = (await _body(request)).get("mode")
    return _answer({"mode": await request.app[SERVICE].set_mode(request.match_info.get("subject", GLOBAL), wanted)})


@routes.delete("/mode/{subject:[^/]+}")
async def unset_mode(request: web.Request) -> web.Response:
    """Take a subject's mode away; answer with what it was."""
    return _answer({"mode": await request.app[SERVICE].unset_mode(request.match_info["subject"])})


@routes.get("/foreign")
async def foreign(request: web.Request) -> web.Response:
    """Return the records of the log that were passed over; Confluent's has no such route."""
    return _answer(_page(request, [asdict(record) for record in request.app[SERVICE].state.foreign]))


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """Return the count of records that were passed over, as Prometheus reads it."""
    return web.Response(text=_METRICS.format(len(request.app[SERVICE].state.foreign)))


@routes.get("/contexts")
async def contexts(_: web.Request) -> web.Response:
    """Return the only context."""
    return _answer(["."])
