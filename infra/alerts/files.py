"""The files of `infra/prometheus/`, written from the rules: `python -m infra.alerts.files`.

In: the rules; a folder.
Out: rule files, their promtool tests, by group.
Never: a file that differs from the declarations: a test compares them.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.alerts.kpi_rules import kpi_rules
from infra.alerts.operational import RECORDINGS, RULES
from infra.alerts.rule import Proof, Recording, Rule, Series, minutes

FOLDER = Path(__file__).parents[1] / "prometheus"
RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
HEAD = "# Written by `python -m infra.alerts.files` from the declarations. Do not edit; a test compares.\n"
LEAD_MINUTES = 10


def all_rules(thresholds: Mapping[str, float] | None = None) -> list[Rule]:
    """Every alert, those of metrics last."""
    return [*RULES, *kpi_rules(thresholds)]


def files(thresholds: Mapping[str, float] | None = None) -> dict[str, str]:
    """Path within the folder to content."""
    rules = all_rules(thresholds)
    out = {}
    for name, groups in (("pipeline", _groups(rules, kpis=False)), ("kpi", _groups(rules, kpis=True))):
        out[f"{name}_rules.yml"] = HEAD + "groups:\n" + "".join(groups)
    for kpis, name in ((False, "pipeline"), (True, "kpi")):
        chosen = [r for r in rules if (r.group == "footlights-kpis") is kpis]
        out[f"tests/{name}_rules_test.yml"] = HEAD + _tests(f"../{name}_rules.yml", chosen)
    return out


def _groups(rules: list[Rule], *, kpis: bool) -> Iterator[str]:
    if not kpis:
        yield _group("footlights-recordings", "".join(map(_recording, RECORDINGS)))
    for group in dict.fromkeys(r.group for r in rules if (r.group == "footlights-kpis") is kpis):
        yield _group(group, "".join(_alert(r) for r in rules if r.group == group))


def _group(name: str, rules: str) -> str:
    return f"  - name: {name}\n    rules:\n{rules}"


def _recording(recording: Recording) -> str:
    return f"      - record: {recording.name}\n        expr: {_text(recording.expr)}\n"


def _alert(rule: Rule) -> str:
    lines = [
        f"- alert: {rule.name}",
        f"  expr: {_text(rule.expr)}",
        f"  for: {rule.for_}",
        "  labels:",
        f"    severity: {rule.severity}",
        f"    role: {rule.role}",
        "  annotations:",
        f"    summary: {_text(rule.summary)}",
        f"    description: {_text(rule.description)}",
        f"    runbook_url: {rule.runbook_url}",
    ]
    return "".join(f"      {line}\n" for line in lines)


def _text(text: str) -> str:
    """A text as a double-quoted scalar: YAML reads JSON's strings."""
    return json.dumps(text, ensure_ascii=False)


def _tests(rule_file: str, rules: list[Rule]) -> str:
    out = [f"rule_files:\n  - {rule_file}\nevaluation_interval: 1m\ntests:\n"]
    for rule in rules:
        if rule.proof is not None:
            out += [_timeline(rule, rule.proof), _nothing(rule, rule.proof)]
            if rule.proof.first is not None:
                out.append(_first(rule, rule.proof, rule.proof.first))
        else:
            out.append(_case(f"{rule.name} always fires", [], [(5, rule.name, 1)]))
    return "".join(out)


def _timeline(rule: Rule, proof: Proof) -> str:
    """Good times, bad times, good times again: silent, firing, silent."""
    bad_from, good_from = LEAD_MINUTES, LEAD_MINUTES + proof.bad_minutes
    end = good_from + proof.settle_minutes
    looks = [(bad_from - 1, rule.name, 0), (good_from - 1, rule.name, 1), (end - 1, rule.name, 0)]
    series = [_values(s, proof) for s in proof.series]
    return _case(f"{rule.name} fires, does not fire before, and resolves", series, looks)


def _nothing(rule: Rule, proof: Proof) -> str:
    looks = [(LEAD_MINUTES + proof.bad_minutes, rule.name, proof.without_data)]
    return _case(f"{rule.name} without any data", [], looks)


def _first(rule: Rule, proof: Proof, first: float) -> str:
    """The counter that goes up appears with what it has to tell, and stays as it is."""
    born = next(s for s in proof.series if s.counter and not s.good)
    others = [
        (s.name, f"{s.start:.10g}+{s.good:.10g}x{LEAD_MINUTES + proof.bad_minutes}") for s in proof.series if s.good
    ]
    series = [*others, (born.name, f"_x{LEAD_MINUTES} {first:.10g}x{proof.bad_minutes}")]
    look = LEAD_MINUTES + 1 + minutes(rule.for_)
    looks = [(LEAD_MINUTES - 1, rule.name, 0), (look, rule.name, 1)]
    return _case(f"{rule.name} fires as its counter appears with its first increment", series, looks)


def _values(series: Series, proof: Proof) -> tuple[str, str]:
    counts = (LEAD_MINUTES, proof.bad_minutes, proof.settle_minutes)
    if series.bad is None or not series.counter:
        held = zip((series.good, series.bad, series.good), counts, strict=True)
        return series.name, " ".join(f"_x{n}" if v is None else f"{v:.10g}x{n - 1}" for v, n in held)
    parts, value = [], series.start
    for number, (growth, count) in enumerate(zip((series.good, series.bad, series.good), counts, strict=True)):
        if number == 2 and series.catches_up:
            value = series.start + series.good * (counts[0] + counts[1])
        sign = "-" if growth < 0 else "+"
        parts.append(f"{value:.10g}{sign}{abs(growth):.10g}x{count - 1}")
        value += growth * count
    return series.name, " ".join(parts)


def _case(name: str, series: list[tuple[str, str]], looks: list[tuple[int, str, int]]) -> str:
    lines = [f"  - name: {_text(name)}\n    interval: 1m\n    input_series:{'' if series else ' []'}\n"]
    for text, values in series:
        lines.append(f"      - series: {_text(text)}\n        values: {_text(values)}\n")
    lines.append("    promql_expr_test:\n")
    for minute, alert, count in looks:
        expr = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
        lines.append(f"      - expr: {_text(expr)}\n        eval_time: {minute}m\n        exp_samples:")
        lines.append(f'\n          - labels: "{{}}"\n            value: {count}\n' if count else " []\n")
    return "".join(lines)


def runbook_index() -> str:
    """docs/runbooks/README.md."""
    lines = [
        "# Runbooks",
        "",
        "Written by `python -m infra.alerts.files`. One page for each alert: what it means, what to look at first, what to do,",
        "when it is over. Pages wake somebody; tickets wait for the morning. A page of a *cause* silences the *symptoms* that it",
        "brings about.",
        "",
        "| alert | severity | fires when |",
        "|---|---|---|",
    ]
    for rule in all_rules():
        expr, lasting = rule.expr.replace("|", "\\|"), "" if rule.for_ == "0m" else f" for {rule.for_}"
        lines.append(f"| [{rule.name}]({rule.page}) | {rule.severity} | `{expr}`{lasting} |")
    return "\n".join(lines) + "\n"


def write(folder: Path = FOLDER, thresholds: Mapping[str, float] | None = None) -> list[Path]:
    """Write all files; returns their paths."""
    out = []
    for name, content in files(thresholds).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        out.append(path)
    return out


if __name__ == "__main__":
    for path in write():
        print(path.name, file=sys.stderr)
    (RUNBOOKS / "README.md").write_text(runbook_index())
