"""Pages of docs/ that are written from declarations.

In: measures, KPIs.
Out: Markdown.
Never: a fact that is not in a declaration.
"""

from schemas.aggregates import Count, Quantile, Sum, Uniq
from schemas.catalogue import MEASURES
from schemas.cohort_metric import CohortMetric
from schemas.cohorts import COHORTS
from schemas.kpis import KPIS, Kpi
from schemas.measures import Measure
from schemas.metric import Alert
from schemas.metric_catalogue import METRICS


def kpis_page() -> str:
    """docs/kpis.md."""
    lines = [
        "# KPIs and measures",
        "",
        "Written from `schemas/kpis.py` and `schemas/catalogue.py` by `python -m infra.pages > docs/kpis.md`; tests check it.",
        "",
        "A KPI is a formula over measures; a measure is an aggregate of the rows of one or several event families that a",
        "predicate selects. Both engines get the predicate's canonical text. Distinct counts are HyperLogLog sketches (error at",
        "most 1.5 % at 95 %), quantiles fixed bins (at most 1.9 %); both equal their recomputation from the raw events to the",
        "bit; a quantile q of n values is the one of rank floor(q (n - 1)) from 0. A division by zero is null. A ratio lies",
        f"between 0 and 1, but for {_open_ended()}.",
        "`share(part, whole)` counts no more of a part than there is of the whole. A change is (new - old) ÷ |old|. Windows",
        "`1m 5m 1h 24h` roll and end on multiples of 1 m, 1 m, 5 m and 1 h; `1d 7d 30d` end with a",
        "calendar day of the reporting zone.",
        "",
        "| KPI | kind | unit | windows | formula | good | alert | what it says |",
        "|---|---|---|---|---|---|---|---|",
        *(_kpi(k) for k in KPIS.values()),
        "",
        "## Cohort metrics",
        "",
        "Figures of calendar days that no stream of partials can give: exact counts by SQL over days of people and events",
        "(`schemas/cohorts.py`; `metric_definitions` has the SQL), run every `FOOTLIGHTS_COHORTS_S` s by the worker that owns",
        "the KPI stage, and published to the same topic. A figure is open until its day, and the days that it waits for, are over;",
        "a later change is a revision.",
        "",
        "| metric | kind | unit | looks back | waits | good | alert | what it says |",
        "|---|---|---|---|---|---|---|---|",
        *(_cohort(m) for m in COHORTS.values()),
        "",
        "## Measures",
        "",
        "| measure | of | aggregate | where | by | what it says |",
        "|---|---|---|---|---|---|",
        *(_measure(m) for m in MEASURES.values()),
    ]
    return "\n".join(lines) + "\n"


def _open_ended() -> str:
    *names, last = [f"`{m.name}`" for m in METRICS.values() if m.open_ended]
    return f"{', '.join(names)} and {last}"


def _kpi(kpi: Kpi) -> str:
    windows = " ".join(kpi.windows)
    by = f" By {', '.join('/'.join(d) for d in kpi.by)}." if kpi.by else ""
    alert = _alert(kpi.alert) if kpi.alert else ""
    return f"| `{kpi.name}` | {kpi.kind} | {kpi.unit} | {windows} | `{kpi.definition}` | {kpi.good} | {alert} | {kpi.help}{by} |"


def _cohort(metric: CohortMetric) -> str:
    alert = _alert(metric.alert) if metric.alert else ""
    by = f" By {', '.join('/'.join(d) for d in metric.by)}." if metric.by else ""
    days = f"{metric.looks_back_days} d" if metric.looks_back_days else ""
    waits = f"{metric.matures_days} d" if metric.matures_days else ""
    told = f"{metric.kind} | {metric.unit} | {days} | {waits} | {metric.good} | {alert}"
    return f"| `{metric.name}` | {told} | {metric.help}{by} |"


def _alert(alert: Alert) -> str:
    bound = f"> {alert.above:g}" if alert.above is not None else f"< {alert.below:g}"
    return f"{bound} in {alert.window} for {alert.for_}, {alert.severity}"


def _measure(measure: Measure) -> str:
    match measure.aggregate:
        case Count():
            what = "count"
        case Sum(column):
            what = f"sum of {column}"
        case Uniq(column):
            what = f"distinct {column}"
        case Quantile(column):
            what = f"quantiles of {column}"
    where = "all rows" if measure.where == "true" else f"`{measure.where}`"
    by = "/".join(measure.by)
    return f"| `{measure.name}` | {', '.join(measure.families)} | {what} | {where} | {by} | {measure.help} |"


if __name__ == "__main__":
    print(kpis_page(), end="")
