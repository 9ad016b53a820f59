"""The alerts of metrics, from the threshold in each declaration.

In: METRICS; other thresholds from the settings.
Out: one rule for each metric that has an alert.
Never: a threshold that is written anywhere else.
"""

from collections.abc import Mapping

from infra.alerts.rule import BUSINESS, Proof, Rule, Series, minutes
from schemas.metric import RATIO, Metric
from schemas.metric_catalogue import METRICS

GROUP = "footlights-kpis"


class UnknownThreshold(ValueError):
    """A threshold for a metric that has no alert."""


def kpi_rules(thresholds: Mapping[str, float] | None = None) -> list[Rule]:
    """Rules of all metrics with an alert.

    Raises
    ------
    UnknownThreshold
        When a threshold names no metric with an alert.
    """
    given = dict(thresholds or {})
    out = [_rule(metric, given.pop(metric.name, None)) for metric in METRICS.values() if metric.alert is not None]
    if given:
        raise UnknownThreshold(f"{sorted(given)[0]} is no metric with an alert; `footlights metrics` lists metrics")
    return out


def _rule(metric: Metric, threshold: float | None) -> Rule:
    alert = metric.alert
    assert alert is not None
    above = alert.above is not None
    bound = threshold if threshold is not None else (alert.above if above else alert.below)
    assert bound is not None
    # A metric that is only published by its dimensions is judged for each of their values.
    whole = ',by=""' if getattr(metric, "whole", True) else ""
    selector = f'footlights_kpi{{kpi="{metric.name}",window="{alert.window}"{whole}}}'
    sign, word = (">", "above") if above else ("<", "below")
    shown = (
        "{{ $value | humanizePercentage }}" if metric.unit == RATIO else f"{{{{ $value | humanize }}}} {metric.unit}"
    )
    limit = f"{bound:.4g}" if metric.unit != RATIO else f"{bound:.4%}".rstrip("0%").rstrip(".") + " %"
    good, bad = (bound / 2, bound * 2 + 1e-3) if above else (bound * 2 + 1e-3, bound / 2)
    labels = {
        "tenant": "default",
        "kpi": metric.name,
        "window": alert.window,
        "by": "" if whole else "hosted_event_id=e1",
    }
    text = ",".join(f'{k}="{v}"' for k, v in labels.items())
    name = "".join(word.capitalize() for word in metric.name.split("_"))
    return Rule(
        name=f"{name}{'High' if above else 'Low'}",
        group=GROUP,
        expr=f"{selector} {sign} {bound:g}",
        for_=alert.for_,
        severity=alert.severity,
        role=BUSINESS,
        summary=f"{metric.name} is {shown} in {alert.window} for tenant {{{{ $labels.tenant }}}}, {word} {limit}",
        description=f"{metric.help} Owner: {metric.owner}. `footlights metrics explain {metric.name}` tells how it came about.",
        proof=Proof(
            (Series(f"footlights_kpi{{{text}}}", good, bad),),
            bad_minutes=minutes(alert.for_) + 2,
            labels={k: v for k, v in labels.items() if v},
        ),
    )
