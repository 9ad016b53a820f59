"""The declared metrics with their current values.

In: the store's points, the declarations.
Out: one row for each metric, or for each value of its dimensions when they are asked for.
Never: a metric left out because it has no value yet.
"""

from typing import Any

from infra.addresses import resolve
from infra.query import json_rows
from infra.settings import Settings
from infra.store import connect, zone_of
from schemas.metric import Metric
from schemas.metric_catalogue import METRICS
from schemas.ratios import change
from schemas.windows import WINDOWS, bucket_of, window_bounds_ms

STAMP = ("watermark", "completeness", "late_ratio", "rows", "duplicates", "definition_version", "published_at")
DEFAULT_WINDOW = "5m"
POINT = """
SELECT kpi, window, by, toString(window_start) AS window_start, toString(window_end) AS window_end, value, revision, final,
    reason, toString(watermark) AS watermark, completeness, late_ratio, rows, duplicates, definition_version,
    toString(published_at) AS published_at
FROM footlights.kpi_history
WHERE tenant_id = {tenant} AND ({wanted}) AND {by}
ORDER BY kpi_history.window_end DESC LIMIT 1 BY kpi, window, by
"""


#: The same window one period earlier ends where this one begins.
PREVIOUS = """
SELECT kpi, value FROM footlights.kpi_history
WHERE tenant_id = {tenant} AND {by} AND (kpi, window, toString(kpi_history.window_end)) IN ({places})
"""


class UnknownMetric(ValueError):
    """No metric has this name."""


def current(
    settings: Settings, name: str | None, *, window: str | None, at_ms: int | None, by: list[str], tenant: str
) -> list[dict[str, Any]]:
    """One row for each declared metric, `name` first.

    Parameters
    ----------
    window
        Kind of window; a metric that does not have it shows its own first one.
    at_ms
        An instant; what the metric showed then: the newest window whose last bucket (minute, hour or day of the reporting
        zone) begins before it.
    by
        `key=value` pairs; empty for the whole.

    Raises
    ------
    UnknownMetric, ValueError
        For a name or a window that does not exist.
    """
    kpis = _chosen(name)
    if window is not None and window not in WINDOWS:
        raise ValueError(f"--window must be one of {', '.join(WINDOWS)}")
    windows = {k.name: _window(k, window) for k in kpis}
    text = ",".join(sorted(by))
    with connect(settings, resolve(settings), read_only=True) as client:
        zone = "UTC" if at_ms is None else zone_of(client)
        wanted = " OR ".join(
            f"(kpi = '{k}' AND window = '{w}' AND {_moment(w, at_ms, zone)})" for k, w in windows.items()
        )
        sql = POINT.format(tenant=_quoted(tenant), wanted=wanted, by=f"by = {_quoted(text)}")
        found = {row["kpi"]: row for row in json_rows(client, sql)[1]}
        before = _previous(client, found, tenant, text)
    return [_row(k, windows[k.name], text, found.get(k.name), before.get(k.name)) for k in kpis]


def _previous(client: Any, found: dict[str, dict[str, Any]], tenant: str, by: str) -> dict[str, Any]:
    """Value of each metric in the window before the one that was found."""
    if not found:
        return {}
    places = ", ".join(
        f"({_quoted(row['kpi'])}, {_quoted(row['window'])}, {_quoted(row['window_start'])})" for row in found.values()
    )
    sql = PREVIOUS.format(tenant=_quoted(tenant), by=f"by = {_quoted(by)}", places=places)
    return {row["kpi"]: row["value"] for row in json_rows(client, sql)[1]}


def _chosen(name: str | None) -> list[Metric]:
    if name is None:
        return list(METRICS.values())
    if name not in METRICS:
        raise UnknownMetric(f"there is no metric {name}; `footlights metrics` lists them")
    return [METRICS[name]]


def _window(kpi: Metric, window: str | None) -> str:
    if window in kpi.windows:
        return str(window)
    return DEFAULT_WINDOW if DEFAULT_WINDOW in kpi.windows else kpi.windows[0]


def _moment(window: str, at_ms: int | None, zone: str) -> str:
    if at_ms is None:
        return "true"
    kind = WINDOWS[window]
    _, end_ms = window_bounds_ms(kind, kind.reach(bucket_of(at_ms - 1, kind.level, zone)), zone)
    return f"kpi_history.window_end <= fromUnixTimestamp64Milli({end_ms})"


def _row(kpi: Metric, window: str, by: str, point: dict[str, Any] | None, previous: float | None) -> dict[str, Any]:
    held = point or {}
    return {
        "name": kpi.name,
        "value": held.get("value"),
        "previous": previous,
        "change": change(held.get("value"), previous),
        "unit": kpi.unit,
        "window": window,
        "by": by,
        "window_start": held.get("window_start"),
        "window_end": held.get("window_end"),
        "revision": held.get("revision"),
        "final": held.get("final"),
        **{name: held.get(name) for name in STAMP},
        "kind": kpi.kind,
        "good": kpi.good,
        "owner": kpi.owner,
        "help": kpi.help,
    }


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
