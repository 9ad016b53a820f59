"""Commands that bring events in and ask questions: simulate, replay, query.

In: files, seeds, SQL.
Out: records through the SDK; rows.
Never: a query with the rights to write.
"""

import csv
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.output import console, errors, fail, print_json, print_rows, say
from infra.settings import Settings, load

if TYPE_CHECKING:  # rich's progress bars take a tenth of a second to import
    from rich.progress import Progress

PANEL = "Bring events in"
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (simulate, replay):
        app.command(rich_help_panel=PANEL)(command)
    app.command(rich_help_panel="Look")(query)


def bar() -> "Progress":
    """A progress bar on stderr; nothing without a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=errors, disable=not errors.is_terminal,
    )  # fmt: skip


def connection(settings: Settings, source: str, tenant: str) -> Any:
    """A way to publish through the SDK as this source."""
    from infra.addresses import resolve
    from infra.replay.publishing import connect_to
    from infra.telemetry import configure

    configure(settings["FOOTLIGHTS_LOG_LEVEL"])  # structlog's own choice is stdout, which belongs to --json
    addresses = resolve(settings)
    return connect_to(
        addresses.kafka,
        addresses.schema_registry,
        source=source,
        tenant=tenant,
        pseudonymiser=settings.pseudonymiser(),
        cache_dir=settings.data_dir / "sdk",
    )


def epoch_ms(text: str) -> int:
    """Epoch milliseconds of a time such as 2026-01-31T18:00:00Z, or of milliseconds."""
    if text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time; write one such as 2026-01-31T18:00:00Z") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def simulate(
    events: Annotated[int, typer.Option(help="Records to publish.")] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same events.")] = 1,
    rate: Annotated[float | None, typer.Option(help="Records a second; default: as fast as possible.")] = None,
    speed: Annotated[float, typer.Option(help="Event time that passes in a second of the run.")] = 1.0,
    start: Annotated[
        str | None, typer.Option(help="Event time of the first record; default: so that the run ends now.")
    ] = None,
    incidents: Annotated[
        bool, typer.Option("--incidents", help="Payment outage, crash wave, slow page, bot flood.")
    ] = False,
    truth: Annotated[Path | None, typer.Option(help="File for what an independent count must find.")] = None,
    source: Annotated[str, typer.Option(help="Source in the ledger.")] = "simulate",
    tenant: Annotated[str, typer.Option(help="Tenant of the events.")] = "default",
    repeats: Annotated[float, typer.Option(help="Share of records that are sent twice.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Publish a made-up ticketing platform through the SDK."""
    from infra.replay.publishing import Stalled
    from infra.simulate.config import SimulateConfig
    from infra.simulate.run import NotAccepted
    from infra.simulate.run import simulate as run

    settings = load()
    try:
        config = SimulateConfig(
            events=events, seed=seed, rate=rate, speed=speed, start_ms=epoch_ms(start) if start else None,
            incidents=incidents, truth=truth, tenant=tenant, source=source, repeat_share=repeats,
        )  # fmt: skip
        with bar() as progress:
            task = progress.add_task("simulate", total=events)
            result = run(
                config, connection(settings, source, tenant), lambda p: progress.update(task, completed=p.acked)
            )
    except (ValueError, Stalled, NotAccepted, OSError) as problem:
        fail(str(problem))
    found = {
        "events": result.events, "acked": result.acked, "failed": result.failed, "start_ms": result.start_ms,
        "end_ms": result.end_ms, "seconds": round(result.seconds, 3),
    }  # fmt: skip
    if as_json:
        print_json(found)
    else:
        say(f"{result.acked:,} of {result.events:,} records acknowledged in {result.seconds:.1f} s")
    raise typer.Exit(result.exit_code)


def replay(
    file: Annotated[Path, typer.Argument(help="Log, JSON lines or CSV, plain or gzip.")],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="combined (access logs of Apache and nginx; the first lines tell the variant), vhost_combined, common, "
            "segment (JSON lines) or csv.",
        ),
    ] = "combined",
    mapping: Annotated[
        Path | None, typer.Option(help="TOML file that says what the columns of a CSV are; needed for csv.")
    ] = None,
    speed: Annotated[float | None, typer.Option(help="Times real time; default: as fast as possible.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when a line was refused.")] = False,
    source: Annotated[str, typer.Option(help="Source in the ledger.")] = "replay",
    tenant: Annotated[str, typer.Option(help="Tenant of the events.")] = "default",
    as_json: Json = False,
) -> None:
    """Publish real input; a bad line is counted and named, and a run that is repeated counts nothing twice.

    Rows without a person, a guest's purchase, are taken. Exit 1: Kafka did not acknowledge all, or the file is cut off or damaged.
    """
    from infra.replay.mapping import BadMapping
    from infra.replay.publishing import Stalled
    from infra.replay.run import ReplayConfig
    from infra.replay.run import replay as run

    settings = load()
    try:
        config = ReplayConfig(file, format, mapping, speed, strict, tenant, source)
        with bar() as progress:
            task = progress.add_task("replay", total=None)
            result = run(
                config,
                connection(settings, source, tenant),
                lambda p: progress.update(task, completed=p.position, total=p.size, description=p.phase),
            )
    except (ValueError, BadMapping, Stalled, OSError) as problem:
        fail(str(problem))
    if as_json:
        print_json(result.as_json())
    else:
        say(f"{result.read:,} lines read, {result.published:,} records published, {result.refused:,} lines refused")
        for line in result.named[:20]:
            say(f"  line {line.line}: {line.reason}")
        if result.refused > 20:
            say(f"  and {result.refused - 20:,} more; --json names the first hundred and counts all by reason")
        beside = ", ".join(f"{count:,} {name}" for name, count in result.beside.items() if count)
        say(f"The file has {result.file_lines:,} lines: {result.read:,} read{beside and ', '}{beside}.")
        if result.problem:
            say(f"Not all of it is sound: {result.problem}.")
    raise typer.Exit(result.exit_code)


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT; tables of the database footlights need no prefix.")],
    format: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    as_json: Json = False,
) -> None:
    """Ask the store a question, read-only."""
    from infra.addresses import resolve
    from infra.query import json_rows
    from infra.store import connect

    if format not in ("table", "csv", "json"):
        fail("--format must be table, csv or json", 2)
    settings = load()
    with connect(settings, resolve(settings), read_only=True) as client:
        columns, rows = json_rows(client, sql)
    if as_json or format == "json":
        print_json(rows)
    elif format == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows([row[name] for name in columns] for row in rows)
    elif columns:
        print_rows(rows, columns)
        console.print(f"{len(rows):,} rows")
