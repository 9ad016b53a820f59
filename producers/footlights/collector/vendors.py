"""What other vendors' browser clients ask besides sending events: settings, flags, scripts. The answer is always "nothing is on".

In: the method, path and headers of a request.
Out: an answer that lets the client go on with what it is here for, None for a path that no client asks for.
Never: anything that depends on whether a key exists, or a client's word in a script but as a quoted text of safe characters.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

_KEY = r"([A-Za-z0-9_-]{1,128})"
_SEGMENT_SETTINGS = re.compile(rf"/v1/projects/{_KEY}/settings")
_POSTHOG_SETTINGS = re.compile(rf"/array/{_KEY}/config(\.js)?")
_SCRIPT = re.compile(r"/static/[A-Za-z0-9_./-]+\.js")
#: The client itself, which a page may load from its own site, but not from here: an empty one would lose all without a word.
_CLIENT = re.compile(r"/static/(?:[A-Za-z0-9_.-]+/)*(?:array|module|main)[a-z0-9_.-]*\.js")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(?::\d{1,5})?|\[[0-9a-fA-F:.]{2,45}\](?::\d{1,5})?")
_LOCAL = re.compile(r"(?:localhost|127\.[\d.]+|\[::1\])(?::\d+)?")

_CONFIG: dict[str, Any] = {
    "supportedCompression": ["gzip", "gzip-js"], "hasFeatureFlags": False, "sessionRecording": False, "surveys": False,
    "heatmaps": False, "capturePerformance": False, "captureDeadClicks": False, "autocapture_opt_out": False,
    "autocaptureExceptions": False, "errorTracking": {"autocaptureExceptions": False, "suppressionRules": []},
    "productTours": False, "conversations": False, "logs": {"captureConsoleLogs": False}, "toolbarParams": {},
    "isAuthenticated": False, "siteApps": [], "elementsChainAsString": True, "defaultIdentifiedOnly": True,
    "analytics": {"endpoint": "/i/v0/e/"},
}  # fmt: skip
_FLAGS: dict[str, Any] = {
    **_CONFIG, "flags": {}, "featureFlags": {}, "featureFlagPayloads": {}, "errorsWhileComputingFlags": False,
}  # fmt: skip
#: Fixed answers by path. What is posted to them (recordings, logs, metrics of the client itself) is read by nobody.
_FIXED: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("/flags", "/decide"), _FLAGS),
    **{path: {"status": "Ok"} for path in ("/s", "/i/v1/logs", "/i/v1/metrics")},
    "/v1/m": {"success": True},
    "/api/surveys": {"surveys": []},
    "/api/early_access_features": {"earlyAccessFeatures": []},
    "/api/web_experiments": {"experiments": []},
    "/api/product_tours": {"product_tours": []},
}
_SCRIPT_TYPE = (b"content-type", b"text/javascript; charset=utf-8")
_NOT_HERE = b"/* Not served here: import this part from the client's own package. */"


class Told(NamedTuple):
    """An answer."""

    body: bytes
    headers: list[tuple[bytes, bytes]]


def answer_of(method: str, path: str, headers: Mapping[str, str], scheme: str) -> Told | None:
    """The answer to a client's question; `scheme` is the connection's."""
    if path in _FIXED and method in ("GET", "HEAD", "POST"):
        return Told(orjson.dumps(_FIXED[path]), [])
    if method not in ("GET", "HEAD"):
        return None
    if found := _SEGMENT_SETTINGS.fullmatch(path):
        return Told(orjson.dumps(_settings(found[1], headers, scheme)), [(b"cache-control", b"no-store")])
    if found := _POSTHOG_SETTINGS.fullmatch(path):
        config = orjson.dumps(_CONFIG)
        if not found[2]:
            return Told(config, [])
        told = b'(window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{})["%s"]={"config":%s,"siteApps":[]};'
        return Told(told % (found[1].encode(), config), [_SCRIPT_TYPE])
    if _SCRIPT.fullmatch(path) and not _CLIENT.fullmatch(path):
        return Told(_NOT_HERE, [_SCRIPT_TYPE])
    return None


def _settings(key: str, headers: Mapping[str, str], scheme: str) -> dict[str, Any]:
    """Segment's settings of a source: events come to where the settings came from, and to nobody else."""
    mine: dict[str, Any] = {"apiKey": key, "unbundledIntegrations": [], "addBundledMetadata": True}
    host = headers.get("host", "")
    if _HOST.fullmatch(host):
        mine |= {"apiHost": f"{host}/v1", "protocol": _protocol(headers, host, scheme)}
    return {
        "integrations": {"Segment.io": mine}, "plan": {}, "edgeFunction": {}, "middlewareSettings": {},
        "enabledMiddleware": {}, "remotePlugins": [], "legacyVideoPluginsEnabled": False, "metrics": {"sampleRate": 0},
    }  # fmt: skip


def _protocol(headers: Mapping[str, str], host: str, scheme: str) -> str:
    """How the browser reached us; it is told to nobody but that browser, so that a lie would harm its teller alone."""
    forwarded = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    if forwarded in ("http", "https"):
        return forwarded
    # A page of TLS could not have asked otherwise, though the proxy in between does not say so.
    if headers.get("origin", "").startswith("https://") and not _LOCAL.fullmatch(host):
        return "https"
    return "https" if scheme == "https" else "http"
