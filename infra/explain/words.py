"""A story in words.

In: a `Story`.
Out: lines for people.
Never: a number without its unit, or a claim that the data do not make.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from infra.explain.story import Story
from infra.verify.result import bits

REASONS = {
    "late": "rows came after the window had closed",
    "refund": "money went back after the window had closed",
    "definition": "the definition changed",
    "backfill": "it was recomputed from the raw events",
    "duplicate": "a repeat had been counted",
    "erasure": "rows of a person were erased",
    "identity_merge": "two ids turned out to be one person",
}


def lines(story: Story) -> Iterator[str]:
    """The story, a paragraph each: what it is, how it came about, what changed, what lies behind it."""
    yield from _figure(story)
    yield ""
    yield from _definition(story)
    yield ""
    yield from _trust(story)
    yield ""
    yield from _history(story)
    if story.agrees is not None:
        yield ""
        yield from _events(story)


def _figure(story: Story) -> Iterator[str]:
    metric, point = story.metric, story.point
    of = f" for {story.by}" if story.by else ""
    tenant = "" if story.tenant == "default" else f", tenant {story.tenant}"
    yield f"{metric.name}{of}: {number(point['value'])} {metric.unit}"
    yield f"window {story.window}, {moment(story.start_ms)} to {moment(story.end_ms)} UTC{tenant}"
    yield f"{metric.kind} of {metric.owner}; {metric.good} is good. {metric.help}"


def _definition(story: Story) -> Iterator[str]:
    metric, point = story.metric, story.point
    kind = "formula" if story.agrees is not None else "SQL over the daily tables, run on a schedule"
    yield f"Definition, version {metric.version} ({kind}): {story.sql or metric.definition}"
    if story.sql is not None:
        same = bits(story.recomputed) == bits(point["value"])
        told = "the same" if same else "rows came since; the next round publishes it"
        yield f"Asked again now: {number(story.recomputed)}; {told}."
    if point["definition_version"] != metric.version:
        more = "which gives the same" if story.agrees else "`footlights backfill` brings it up to date"
        yield f"This value was published under version {point['definition_version']}; {more}."
    for operand in story.operands:
        source = ", ".join(f"events_{family}" for family in operand["families"])
        yield f"  {operand['name']} = {number(operand['value'])}   {operand['help']} [{source} where {operand['where']}]"
    if story.agrees:
        yield f"Recomputed from the raw events: {number(story.recomputed)}, the same to the last bit."
    elif story.agrees is not None:
        yield f"Recomputed from the raw events: {number(story.recomputed)}, which is NOT what was published."


def _trust(story: Story) -> Iterator[str]:
    point = story.point
    state = "final" if point["final"] else "open: the window has not closed, the value still moves"
    yield f"Trust: {state}; revision {point['revision']}, published {point['published_at']}."
    covered = "unknown" if point["completeness"] is None else f"{point['completeness']:.1%}"
    late = "unknown" if point["late_ratio"] is None else f"{point['late_ratio']:.2%}"
    yield f"  event time is complete up to {point['watermark'] or 'nobody knows'}; {covered} of the window was covered"
    yield f"  {point['rows']:,} rows of its families lay in the window then, {late} of them late"
    if story.rows not in (None, point["rows"]):
        yield f"  {story.rows:,} lie there now; a value that stays the same is not published again"
    if story.duplicates:
        yield f"  {story.duplicates['rows']:,} repeats were kept out of the window"


def _history(story: Story) -> Iterator[str]:
    yield "History:"
    first = story.first
    if first.get("open_points"):
        yield f"  {first['first_published_at']}  first published, while the window was open"
    before: float | None = None
    for at, row in enumerate(story.revisions):
        if at == 0 and row["revision"] == 0:
            yield f"  {row['published_at']}  final: {number(row['value'])}{_because(row)}"
        else:
            old = number(before) if at else "nothing"
            yield f"  {row['published_at']}  revision {row['revision']}: {old} → {number(row['value'])}{_because(row)}"
        yield from _cause(row)
        before = row["value"]
    if not story.revisions:
        yield "  no final value yet"


def _because(row: dict[str, Any]) -> str:
    reason = row["reason"]
    return f", {reason}: {REASONS.get(reason, 'no more is known')}" if reason else ""


def _cause(row: dict[str, Any]) -> Iterator[str]:
    cause = row["cause"] or {}
    if "definition" in cause:
        yield f"      definition: version {cause['definition']['old_version']} → {cause['definition']['new_version']}"
    if "request" in cause:
        yield f"      asked for by request {cause['request']}"
    for events in cause.get("events", ()):
        place = f"events.{events['family']}/{events['partition']}"
        moved = f", moving {', '.join(events['measures'])}" if events["measures"] else ""
        span = f"offsets {events['after_offset'] + 1} to {events['to_offset']}"
        yield f"      {events['rows']:,} rows of {place}, {span}, {events['late']:,} of them late{moved}"
    for event in row.get("rows_behind", ()):
        yield f"      {_row(event)}"


def _events(story: Story) -> Iterator[str]:
    yield "Events in the window:"
    for row in story.events:
        yield f"  {row['rows']:>10,}  {row['family']} {row['event_name']}" + (
            f" ({row['late']:,} late)" if row["late"] else ""
        )
    if not story.events:
        yield "  none"
    for row in story.excluded:
        yield f"  {row['rows']:>10,}  {row['family']} left out of every figure: {row['reason']}"
    if story.late_rows:
        yield "Newest late rows:"
        for row in story.late_rows:
            yield f"  {_row(row)}"
    if story.duplicates.get("message_ids"):
        yield f"Repeated ids: {', '.join(story.duplicates['message_ids'])}"


def _row(row: dict[str, Any]) -> str:
    place = f"events.{row['family']}/{row['partition']}@{row['offset']}"
    return (
        f"{row['event_name']} {row['message_id']} occurred {row['occurred_at']}, received {row['received_at']}, {place}"
    )


def number(value: float | None) -> str:
    """A value for people: whole where it is, else six significant digits."""
    if value is None:
        return "no value (zero base)"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}"


def moment(ms: int) -> str:
    """An instant."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
