"""`footlights metrics explain`: find the figure, tell its story.

In: settings; a metric, a moment, a kind of window, dimensions.
Out: `Story`.
Never: a connection that may write.
"""

from datetime import UTC, datetime

from infra.addresses import resolve
from infra.explain.story import Story, tell
from infra.metrics import current
from infra.query import json_rows
from infra.settings import Settings
from infra.store import connect, zone_of
from infra.verify.run import ClientStore
from schemas.metric_catalogue import METRICS


class NoSuchFigure(ValueError):
    """The metric has no value there."""


def explain(
    settings: Settings, name: str, *, window: str | None, at_ms: int | None, by: list[str], tenant: str
) -> Story:
    """The story of what a metric showed at an instant, in the sense of `infra.metrics.current`.

    Raises
    ------
    UnknownMetric, NoSuchFigure, ValueError
        For a name, a moment, a window or dimensions that have no figure.
    """
    point = current(settings, name, window=window, at_ms=at_ms, by=by, tenant=tenant)[0]
    if point["window_start"] is None:
        asked = f" for {','.join(sorted(by))}" if by else ""
        raise NoSuchFigure(f"{name} has no value in the window {point['window']}{asked} at that time")
    span = (_epoch_ms(point["window_start"]), _epoch_ms(point["window_end"]))
    with connect(settings, resolve(settings), read_only=True) as client:
        return tell(
            lambda sql: json_rows(client, sql)[1], ClientStore(client), METRICS[name], point,
            tenant=tenant, zone=zone_of(client), span=span,
        )  # fmt: skip


def _epoch_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
