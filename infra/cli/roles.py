"""Commands that are one process of the platform: worker, sink, collector, forward, monitor, rules, bench.

In: settings.
Out: the process's own exit code.
Never: a room's package imported before its command runs.
"""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.polars_environment import keep_freed_memory, set_polars
from infra.settings import load

PANEL = "Processes"
MetricsPort = Annotated[int | None, typer.Option(help="Port of the Prometheus metrics on loopback.")]
#: The KPI stage acknowledges a replayed history only once all of its windows are published.
STALL_DEADLINE_S = 120.0
#: Names of FOOTLIGHTS_SWITCH_OFF that the transport knows.
TRANSPORT_SWITCHES = ("hold_sources", "fence_fetches", "seek_uncommitted", "guard")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (worker, sink, collector, forward, monitor, rules, bench):
        app.command(rich_help_panel=PANEL)(command)


def worker(
    stage: Annotated[str, typer.Argument(help="measures, kpis or all.")] = "all",
    name: Annotated[str, typer.Option(help="Name of the process in logs and folders.")] = "worker",
    metrics_port: MetricsPort = None,
    resume_dead_letters: Annotated[bool, typer.Option(help="Forget the counters of the dead-letter breaker.")] = False,
) -> None:
    """Run a stream worker until SIGTERM; it drains, then leaves."""
    set_polars()
    from infra.addresses import resolve
    from infra.telemetry import calm, configure
    from infra.vigil import guard_topics
    from stream_apps.app import run
    from stream_apps.config import STAGES, StreamConfig
    from stream_apps.transport.config import TransportConfig, quiet_loggers

    settings = load()
    configure(settings["FOOTLIGHTS_LOG_LEVEL"])
    guard_topics(settings)
    quiet_loggers()
    calm("aiokafka")
    addresses, off = resolve(settings), settings.switched_off
    switches = {switch: False for switch in TRANSPORT_SWITCHES if switch in off}
    transport = TransportConfig(
        min_rows=settings["ANALYTICS_BATCH_SIZE"],
        freeze_limit_s=settings["FOOTLIGHTS_SESSION_TIMEOUT_S"],
        stall_deadline_s=STALL_DEADLINE_S,
        **switches,
    )
    run(
        StreamConfig(
            bootstrap=addresses.kafka,
            schema_registry=addresses.schema_registry,
            data_dir=scratch(settings.data_dir / "stream", name),
            dead_letter_key=settings.dead_letter_key(),
            stages=STAGES if stage == "all" else (stage,),
            checkpoint_s=settings["FOOTLIGHTS_CHECKPOINT_S"],
            reporting_zone=settings["FOOTLIGHTS_REPORTING_ZONE"],
            resume_dead_letters=resume_dead_letters,
            metrics_port=metrics_port,
            session_timeout_s=settings["FOOTLIGHTS_SESSION_TIMEOUT_S"],
            transport=transport,
            offset_rule="offset_rule" not in off,
            failpoint=settings["FOOTLIGHTS_FAILPOINT"],
            clickhouse_url=addresses.clickhouse if settings["FOOTLIGHTS_COHORTS_S"] else "",
            clickhouse_user=settings["FOOTLIGHTS_CLICKHOUSE_USER"],
            clickhouse_password=settings.store_password(),
            cohorts_s=settings["FOOTLIGHTS_COHORTS_S"] or 1.0,
        )
    )


def scratch(folder: Path, name: str) -> Path:
    """A folder for this process alone; those of processes of this name that are gone are removed."""
    import os
    import shutil

    import psutil

    for old in folder.glob(f"{name}-*"):
        pid = old.name.removeprefix(f"{name}-")
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(old, ignore_errors=True)
    return folder / f"{name}-{os.getpid()}"


def sink(
    name: Annotated[str, typer.Option(help="Name of the process in logs.")] = "sink",
    metrics_port: MetricsPort = None,
) -> None:
    """Run a sink until SIGTERM; it stores what it holds, then leaves."""
    set_polars()
    keep_freed_memory()
    from infra.addresses import resolve
    from infra.telemetry import configure
    from infra.vigil import guard_topics, leave
    from schemas.topics import TopicsDiffer
    from sinks.config import SinkConfig
    from sinks.run import run

    settings = load()
    configure(settings["FOOTLIGHTS_LOG_LEVEL"])
    guard_topics(settings)
    addresses = resolve(settings)
    config = SinkConfig(
        bootstrap=addresses.kafka,
        schema_registry=addresses.schema_registry,
        clickhouse_url=addresses.clickhouse,
        user=settings["FOOTLIGHTS_CLICKHOUSE_USER"],
        password=settings.store_password(),
        store_text=settings["FOOTLIGHTS_STORE_TEXT"],
        metrics_port=metrics_port,
        failpoint=settings["FOOTLIGHTS_FAILPOINT"],
    )
    try:
        run(config)
    except TopicsDiffer as problem:
        leave(str(problem))


def collector(
    name: Annotated[str, typer.Option(help="Name of the process in logs.")] = "collector",
    host: Annotated[str, typer.Option(help="Address to listen on; default: FOOTLIGHTS_COLLECTOR_HOST.")] = "",
    port: Annotated[int | None, typer.Option(help="Port to listen on; default: FOOTLIGHTS_COLLECTOR_PORT.")] = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Take events over HTTP until SIGTERM; what is in its spool stays for the next one."""
    from footlights.collector.run import Config, serve

    from infra.addresses import resolve
    from infra.telemetry import configure
    from infra.vigil import guard_topics

    settings = load()
    configure(settings["FOOTLIGHTS_LOG_LEVEL"])
    guard_topics(settings)
    addresses = resolve(settings)
    geo = settings["FOOTLIGHTS_GEO_DATABASE"]
    serve(
        Config(
            bootstrap_servers=addresses.kafka,
            schema_registry=addresses.schema_registry,
            folder=settings.data_dir / "collector",
            keys=settings.keys_file(),
            dead_letter_key=settings.dead_letter_key(),
            pseudonymiser=settings.pseudonymiser(),
            host=host or settings["FOOTLIGHTS_COLLECTOR_HOST"],
            port=port or settings["FOOTLIGHTS_COLLECTOR_PORT"] or 8_080,
            metrics_port=metrics_port,
            geo_database=Path(geo).expanduser() if geo else None,
            geo_least_people=settings["FOOTLIGHTS_GEO_LEAST_PEOPLE"],
            trust_forwarded=settings["FOOTLIGHTS_TRUST_FORWARDED"],
        )
    )


def forward(
    target: Annotated[str, typer.Argument(help="posthog or webhook.")],
    metrics_port: MetricsPort = None,
) -> None:
    """Send all events on to PostHog or to a webhook, at least once, until SIGTERM."""
    from infra.addresses import resolve
    from infra.cli.output import fail
    from infra.telemetry import configure
    from infra.vigil import guard_topics
    from sinks.forward.run import ForwardConfig, run
    from sinks.forward.targets import PostHog, Target, Webhook

    settings = load()
    configure(settings["FOOTLIGHTS_LOG_LEVEL"])
    needed = {
        "posthog": ("FOOTLIGHTS_FORWARD_POSTHOG", "FOOTLIGHTS_FORWARD_POSTHOG_KEY"),
        "webhook": ("FOOTLIGHTS_FORWARD_WEBHOOK", "FOOTLIGHTS_FORWARD_SECRET"),
    }.get(target)
    if needed is None:
        fail("a target is posthog or webhook")
    if missing := [name for name in needed if not settings[name]]:
        fail(f"set {' and '.join(missing)}")
    url, secret = (str(settings[name]) for name in needed)
    chosen: Target = PostHog(url, secret) if target == "posthog" else Webhook(url, secret.encode())
    guard_topics(settings)
    addresses = resolve(settings)
    run(
        chosen,
        ForwardConfig(
            bootstrap=addresses.kafka,
            schema_registry=addresses.schema_registry,
            folder=settings.data_dir / "forward",
            trusted_hosts=settings["FOOTLIGHTS_FORWARD_TRUSTED_HOSTS"],
            metrics_port=metrics_port,
        ),
    )


def monitor(
    name: Annotated[str, typer.Option(help="Name of the process in logs.")] = "monitor",
    metrics_port: MetricsPort = None,
) -> None:
    """Export the ledger, the lags and the store's health to Prometheus until SIGTERM."""
    from infra.monitor.run import run
    from infra.telemetry import configure

    settings = load()
    configure(settings["FOOTLIGHTS_LOG_LEVEL"])
    run(settings, metrics_port)


def rules(
    folder: Annotated[Path, typer.Argument(help="Folder for the rule files, their tests and the list of targets.")],
) -> None:
    """Write Prometheus' alert rules with the thresholds of the settings, and what there is to scrape."""
    import json

    from infra.alerts.files import write
    from infra.alerts.kpi_rules import UnknownThreshold
    from infra.cli.output import console, fail
    from infra.supervisor.stack import Stack

    settings = load()
    try:
        written = write(folder, settings["FOOTLIGHTS_ALERT_THRESHOLDS"])
    except UnknownThreshold as problem:
        fail(f"FOOTLIGHTS_ALERT_THRESHOLDS: {problem}")
    urls = Stack(settings).metrics()
    groups = [{"targets": [url.split("/")[2] for url in urls], "labels": {"job": "footlights"}}]
    (folder / "targets.json").write_text(json.dumps(groups, indent=2) + "\n")
    console.print(f"{len(written)} files of rules and targets.json with {len(urls)} targets in {folder}")


def bench(quick: Annotated[bool, typer.Option(help="Fewer rounds.")] = False) -> None:
    """Run the benchmarks of a checkout."""
    words = [sys.executable, "-m", "benchmarks", *(["--quick"] if quick else [])]
    raise typer.Exit(subprocess.run(words, check=False).returncode)
