"""Commands that show figures and prove them: metrics, ledger, verify.

In: the store.
Out: tables or JSON; exit 1 when the books do not balance.
Never: a figure without what is known about it.
"""

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from infra.cli import trust
from infra.cli.data import epoch_ms
from infra.cli.output import console, fail, print_json, print_rows
from infra.settings import load

PANEL = "Look"
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]
LEDGER_PATIENCE_S, ROUND_S = 15.0, 30.0
METRIC_COLUMNS = (
    "name",
    "by",
    "window",
    "window_end",
    "value",
    "previous",
    "change",
    "unit",
    "final",
    "revision",
    "completeness",
    "late_ratio",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (metrics, ledger, verify):
        app.command(rich_help_panel=PANEL)(command)


def metrics(
    name: Annotated[str | None, typer.Argument(help="One metric, default: all; or the word explain.")] = None,
    explained: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The metric to explain.", show_default=False)
    ] = None,
    window: Annotated[str | None, typer.Option(help="1m 5m 1h 24h 1d; default: 5m, or what the metric has.")] = None,
    at: Annotated[str | None, typer.Option(help="Show what the metric showed at this time; default: now.")] = None,
    by: Annotated[list[str] | None, typer.Option(help="key=value of a dimension, repeatable.")] = None,
    tenant: Annotated[str, typer.Option(help="Tenant.")] = "default",
    as_json: Json = False,
) -> None:
    """Show every declared metric with its value, unit and trust stamp; `metrics explain NAME` tells the story of one figure."""
    from infra.metrics import UnknownMetric, current

    if name == "explain":
        if explained is None:
            fail("name the metric to explain, such as `footlights metrics explain refund_ratio`", 2)
        moment = epoch_ms(at) if at else None
        trust.tell(load(), explained, window=window, at_ms=moment, by=by or [], tenant=tenant, as_json=as_json)
        return
    if explained is not None:
        fail(
            f"`footlights metrics {name}` takes no {explained!r}; did you mean `footlights metrics explain {explained}`?",
            2,
        )
    try:
        rows = current(load(), name, window=window, at_ms=epoch_ms(at) if at else None, by=by or [], tenant=tenant)
    except (UnknownMetric, ValueError) as problem:
        fail(str(problem))
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, METRIC_COLUMNS)


def ledger(
    producers: Annotated[
        bool, typer.Option("--producers", help="Show each producer process with the sequences that are missing.")
    ] = False,
    patience: Annotated[float, typer.Option(help="Seconds in which a gap may still close.")] = LEDGER_PATIENCE_S,
    as_json: Json = False,
) -> None:
    """Balance what was published against what became of it, per source; exit 1 on a gap, collided ids, topics that lost records."""
    from infra.addresses import resolve
    from infra.ledger import COLUMNS, conservation, problems, settled
    from infra.store import connect

    settings = load()
    addresses = resolve(settings)
    with connect(settings, addresses) as client:
        rows = settled(client, addresses.kafka, patience)
        processes = conservation(client) if producers else None
        wrong = problems(client, addresses.kafka)
    gap, collisions = (sum(row[name] for row in rows) for name in ("gap", "collisions"))
    if as_json:
        print_json(
            {"sources": rows, "gap": gap, "collisions": collisions, "problems": wrong}
            | ({} if processes is None else {"producers": processes})
        )
    else:
        print_rows(rows, COLUMNS)
        if processes is not None:
            print_rows(processes)
        for line in wrong:
            console.print(line, markup=False)
        if gap or not wrong:
            console.print("no gap" if not gap else f"gap of {gap:,} records")
        if collisions:
            console.print(
                f"{collisions:,} events were lost, since their ids were taken by other events; "
                "they are in the table duplicates, and docs/runbooks/collisions.md tells what to do"
            )
    if gap or collisions or wrong:
        raise typer.Exit(1)


def verify(
    from_: Annotated[str | None, typer.Option("--from", help="Windows that start at or after this time.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="Windows that end at or before this time.")] = None,
    as_json: Json = False,
) -> None:
    """Recompute every published figure from the raw events and compare to the bit; exit 1 on a difference."""
    from infra.addresses import resolve
    from infra.store import connect
    from infra.verify.run import verify as run

    settings = load()
    from_ms, to_ms = epoch_ms(from_) if from_ else None, epoch_ms(to) if to else None
    with connect(settings, resolve(settings)) as client:
        result = run(
            client,
            from_ms=from_ms,
            to_ms=to_ms,
            now_ms=int(time.time() * 1000),
            retention_days=settings["ANALYTICS_RETENTION_DAYS"],
            patience_s=settings["FOOTLIGHTS_COHORTS_S"] and settings["FOOTLIGHTS_COHORTS_S"] + ROUND_S,
        )
    found: dict[str, Any] = result.as_json()
    if as_json:
        print_json(found)
    else:
        console.print(
            f"{result.equal:,} of {result.compared:,} windows equal to the bit, {result.sessions:,} sessions among them"
        )
        if found["different"]:
            print_rows([_with_times(row) for row in found["different"][:50]])
        if found["expired"]:
            print_rows([_with_times(row) for row in found["expired"]], title="raw rows gone by retention, not compared")
    if found["different"]:
        raise typer.Exit(1)


def _with_times(row: dict[str, Any]) -> dict[str, Any]:
    """A row with times as people read them, in UTC, where it has epoch milliseconds."""
    return {
        name.removesuffix("_ms"): f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M}"
        if name.endswith("_ms")
        else value
        for name, value in row.items()
    }
