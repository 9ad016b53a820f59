"""Cohort metrics: figures that no stream of partials can give, as SQL over the daily tables of users, hosts and hosted events.

In: the tables that materialised views keep.
Out: COHORTS.
Never: a metric that is declared twice.
"""

from dataclasses import dataclass

from schemas.metric import Metric


@dataclass(frozen=True)
class CohortMetric(Metric):
    """A figure of the store; its definition is a ClickHouse query that a schedule runs and publishes."""


_DECLARED: tuple[CohortMetric, ...] = ()

COHORTS: dict[str, CohortMetric] = {m.name: m for m in _DECLARED}
