"""Commands that run the stack: up, down, status, wait, doctor, migrate, demo.

In: settings.
Out: processes, their state.
Never: a return of `up --detach` before all is ready.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli.output import console, fail, print_json, print_rows, say
from infra.settings import Settings, load

PANEL = "Run"
UP_PATIENCE_S = 150.0
DOWN_PATIENCE_S = 60.0
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (up, down, status, wait, doctor, migrate, demo):
        app.command(rich_help_panel=PANEL)(command)


def up(detach: Annotated[bool, typer.Option("--detach", help="Return when all is ready.")] = False) -> None:
    """Start what is missing, in order: broker, registry, store, workers, sink. Ctrl-C drains and stops all."""
    from infra.embedded.folders import BadFolder, check_folder

    settings = load()
    try:
        check_folder(settings.data_dir)
    except BadFolder as problem:
        fail(str(problem), 2)
    if detach:
        start_detached(settings)
        return
    raise typer.Exit(supervise(settings))


def supervise(settings: Settings) -> int:
    """Be the supervisor, in this process."""
    from infra.embedded.java import JavaUnavailable
    from infra.embedded.kafka import KafkaFailed
    from infra.embedded.kafka_jars import JarsUnavailable
    from infra.supervisor.ownership import AlreadyRunning
    from infra.supervisor.run import StackFailed, Supervisor
    from infra.supervisor.stack import Stack
    from infra.telemetry import configure

    configure(settings["FOOTLIGHTS_LOG_LEVEL"])
    told = {"jars": 0}

    def on_jars(done: int, total: int) -> None:
        if done == total or done - told["jars"] >= 10:
            told["jars"] = done
            say(f"Apache Kafka: {done} of {total} jars")

    try:
        return Supervisor(Stack(settings, on_jars), say).run()
    except (AlreadyRunning, StackFailed, JarsUnavailable, JavaUnavailable, KafkaFailed) as problem:
        fail(str(problem))


def start_detached(settings: Settings) -> None:
    """Start a supervisor in the background and wait until all is ready."""
    if (answer := _ask(settings, "status")) is not None and answer["ready"]:
        say("already up")
        return
    log = settings.data_dir / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    process = None
    if answer is None:
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "infra.cli.main", "up"],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
    deadline = time.monotonic() + UP_PATIENCE_S
    while time.monotonic() < deadline:
        answer = _ask(settings, "status")
        if answer is not None and answer["ready"]:
            say("ready")
            return
        if held := (_ask(settings, "held") or {}).get("held"):
            fail(
                f"{', '.join(held)} stopped by too many dead letters: look at `footlights deadletters list`, then release "
                "with `footlights deadletters resume`; all else runs"
            )
        if wrong := (_ask(settings, "problems") or {}).get("problems"):
            fail("; ".join(wrong))
        if process is not None and process.poll() is not None and not _is_owned(settings):
            fail(f"the stack did not start: {_last_line(log)} (log: {log})")
        time.sleep(0.2)
    waiting = [p for p in (answer or {}).get("processes", []) if p["state"] != "running"]
    told = ", ".join(f"{p['name']} ({_last_line(_log_of(settings, p['name']))})" for p in waiting)
    fail(f"not ready after {UP_PATIENCE_S:.0f} s, still waiting for {told or 'the supervisor'}; see {log.parent}")


def _log_of(settings: Settings, name: str) -> Path:
    """The log that a process of the stack writes."""
    folder = settings.data_dir
    return folder / "kafka" / "kafka.out" if name == "kafka" else folder / "logs" / f"{name}.log"


def _last_line(log: Path) -> str:
    if not log.exists():
        return "no log yet"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no word in its log"


def _ask(settings: Settings, what: str, timeout: float = 5.0) -> dict[str, Any] | None:
    from infra.supervisor.control import ask

    return ask(settings.data_dir, {"do": what}, timeout)


def _is_owned(settings: Settings) -> bool:
    from infra.supervisor.ownership import is_owned

    return is_owned(settings.data_dir)


def down() -> None:
    """Drain and stop the stack of the data folder."""
    settings = load()
    if not _is_owned(settings):
        say("nothing runs")
        return
    deadline = time.monotonic() + DOWN_PATIENCE_S
    asked = False
    while _is_owned(settings):
        asked = asked or _ask(settings, "down") is not None
        if time.monotonic() > deadline:
            fail(f"still stopping after {DOWN_PATIENCE_S:.0f} s; see {settings.data_dir / 'logs'}")
        time.sleep(0.2)
    say("stopped")


def current_status(settings: Settings) -> dict[str, Any]:
    """What `status --json` prints, also when nothing runs."""
    answer = _ask(settings, "status")
    if answer is not None:
        return answer
    from infra.addresses import state_of

    state = state_of(settings.data_dir) or {}
    none = dict.fromkeys(("kafka", "schema_registry", "clickhouse", "collector", "api")) | {"metrics": []}
    rows = [["supervisor", state.get("pid"), "starting", 0], *state.get("processes", [])]
    alive = _is_owned(settings)  # but too busy to answer: its last word stands
    processes = [
        {
            "name": name,
            "pid": pid if alive else None,
            "state": told if alive else "stopped",
            "restarts": restarts,
            "rss_bytes": None,
        }
        for name, pid, told, restarts in rows
    ]
    return {"ready": False, "addresses": state.get("addresses", none), "processes": processes}


def status(as_json: Json = False) -> None:
    """Show addresses and processes; exit 1 when not ready."""
    found = current_status(load())
    if as_json:
        print_json(found)
    else:
        for name, address in found["addresses"].items():
            if address:
                console.print(f"{name:16} {', '.join(address) if isinstance(address, list) else address}", markup=False)
        print_rows(found["processes"], ("name", "pid", "state", "restarts", "rss_bytes"))
        for line in found.get("problems", []):
            console.print(line, markup=False)
    if not found["ready"]:
        raise typer.Exit(1)


def wait(
    idle: Annotated[bool, typer.Option("--idle", help="Until all that was published is stored and counted.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds.")] = 120.0,
) -> None:
    """Wait until the stack is ready, or with --idle until nothing is left to do; exit 1 at the timeout.

    With --idle also at once when topics are not as declared: no waiting helps then.
    """
    settings, deadline = load(), time.monotonic() + timeout
    if not idle:
        while not current_status(settings)["ready"]:
            if time.monotonic() > deadline:
                fail(f"not ready after {timeout:g} s; see `footlights status`")
            time.sleep(0.2)
        return
    from infra.idle import waiting_for

    missing = waiting_for(settings, deadline)
    if missing:
        fail(f"not idle after {timeout:g} s, waiting for: {'; '.join(missing)}; see `footlights status`")


def doctor(as_json: Json = False) -> None:
    """Check each part and say what to do."""
    from infra.doctor import examine

    found = examine(load())
    if as_json:
        print_json(found)
    else:
        print_rows(found, ("part", "ok", "found", "advice"))
    if not all(row["ok"] for row in found):
        raise typer.Exit(1)


def migrate() -> None:
    """Create topics, register schemas, bring the tables up to date."""
    from infra import migrate as everything
    from infra.addresses import resolve
    from infra.telemetry import configure
    from sinks.errors import MigrationError

    settings = load()
    configure(settings["FOOTLIGHTS_LOG_LEVEL"])
    try:
        done = everything.migrate(settings, resolve(settings))
    except (everything.MigrationFailed, MigrationError) as problem:
        fail(str(problem))
    for line in done or ["all is up to date"]:
        say(line)


def demo(
    events: Annotated[int, typer.Option(help="Records of the simulated platform.")] = 60_000,
    seed: Annotated[int, typer.Option(help="Seed of the simulated platform.")] = 7,
) -> None:
    """Run the whole pipeline on a simulated platform with a payment outage, then show the ledger."""
    from infra.demo.run import run

    raise typer.Exit(run(events, seed))
