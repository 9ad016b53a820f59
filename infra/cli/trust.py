"""Commands that explain and mend figures: `metrics explain` (from `metrics`), `backfill`.

In: the store, Kafka.
Out: words, tables or JSON; exit 1 when a difference stays.
Never: a value overwritten.
"""

from typing import Annotated

import typer

from infra.cli.data import epoch_ms
from infra.cli.output import console, fail, print_json, print_rows, say
from infra.settings import Settings, load

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Operate")(backfill)


def tell(
    settings: Settings,
    name: str,
    *,
    window: str | None,
    at_ms: int | None,
    by: list[str],
    tenant: str,
    as_json: bool,
) -> None:
    """Print the story of one figure."""
    from infra.explain.run import explain
    from infra.explain.words import lines

    try:
        story = explain(settings, name, window=window, at_ms=at_ms, by=by, tenant=tenant)
    except ValueError as problem:
        fail(str(problem))
    if as_json:
        print_json(story.as_json())
        return
    for line in lines(story):
        console.print(line, markup=False, soft_wrap=True)


def backfill(
    kpi: Annotated[str, typer.Argument(help="Name of a KPI of the stream.")],
    from_: Annotated[str | None, typer.Option("--from", help="Windows that start at or after this time.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="Windows that end at or before this time.")] = None,
    reason: Annotated[
        str | None, typer.Option(help="backfill, definition, duplicate, refund, identity_merge or erasure.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Name the windows, publish nothing.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until the stream has answered.")] = 120.0,
    as_json: Json = False,
) -> None:
    """Recompute a KPI from the raw events and publish what differs as revisions; exit 1 when a difference stays."""
    from infra.backfill.run import CannotBackfill
    from infra.backfill.run import backfill as run

    try:
        result = run(
            load(), kpi, from_ms=epoch_ms(from_) if from_ else None, to_ms=epoch_ms(to) if to else None,
            reason=reason, dry_run=dry_run, timeout_s=timeout,
        )  # fmt: skip
    except CannotBackfill as problem:
        fail(str(problem))
    if as_json:
        print_json(result.as_json())
    else:
        if result.restated:
            print_rows(result.restated[:50], title="restated")
        if result.remaining:
            print_rows(result.remaining[:50], title="would be restated" if dry_run else "still different")
        if result.open:
            print_rows(result.open[:50], title="different, and not closed: the stream's until they are")
        say(
            f"{result.compared:,} windows compared, {len(result.restated):,} restated, {len(result.remaining):,} "
            + ("would be restated" if dry_run else "still different")
        )
    if result.remaining and not dry_run:
        raise typer.Exit(1)
