"""Commands about the topics: check, repair.

In: settings, a broker and a store that run.
Out: what is not as declared; topics as declared, with their records.
Never: a repair while workers, sinks or a collector use the topics.
"""

import time
from typing import Annotated, Any

import typer

from infra.cli.output import fail, print_json, say
from infra.settings import Settings, load

app = typer.Typer(help="Whether Kafka's topics are as declared, and the way back.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]
#: Processes notice a wrong topic within seconds and end; so long is waited for them.
LEFT_S = 30.0
NEWEST = "INSERT INTO footlights.batches (topic, partition, first, last, rows, epoch, lease) VALUES"


@app.command()
def check(as_json: Json = False) -> None:
    """Say which topics are not as declared, or not those that store and stream have read; exit 1 when there are such."""
    from infra.addresses import resolve
    from infra.idle import misfits
    from infra.ledger import probe

    settings = load()
    consumer = probe(resolve(settings).kafka)
    try:
        found = misfits(settings, consumer, _admin(settings))
    finally:
        consumer.close()
    if as_json:
        print_json({"problems": found})
    else:
        for line in found or ["all topics are as declared"]:
            say(line)
    if found:
        raise typer.Exit(1)


@app.command()
def repair(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Make topics that are not as declared anew, with all their records; then start what they have stopped.

    Stop your services or let them run into their spools: nobody may publish meanwhile. The records are put aside in the data folder
    first; a repair that is interrupted goes on when it runs again.
    """
    from infra.addresses import resolve
    from infra.migrate import migrate_topics
    from infra.repair import CannotRepair, Repair, busy, damages
    from infra.repair import load as begun
    from infra.store import connect
    from infra.supervisor.control import ask

    settings = load()
    addresses, admin = resolve(settings), _admin(settings)
    folder = settings.data_dir / "repair"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        unfinished = [begun(file) for file in sorted(folder.glob("*.plan"))]
        names_begun = {damage.topic.name for damage in unfinished}
        found = unfinished + [d for d in damages(*_looked(settings, admin)) if d.topic.name not in names_begun]
        names = ", ".join(d.topic.name for d in found)
        if found and not yes and not typer.confirm(f"Make anew, with their records: {names}. Go on?"):
            fail("nothing was done")
        deadline = time.monotonic() + LEFT_S
        while found and (reading := busy(admin)):
            if time.monotonic() > deadline:
                fail(f"still reading: {', '.join(reading)}; stop these processes, then run it again")
            time.sleep(0.5)
        for damage in found:
            mender = Repair(addresses.kafka, folder, settings["FOOTLIGHTS_REPLICATION"])
            count, topic_id, starts = mender.run(damage)
            if told := _note(damage, topic_id, starts):
                with connect(settings, addresses) as client:
                    client.command(told)
            mender.forget(damage.topic.name)
            say(f"{damage.topic.name}: made anew with {damage.topic.partitions} partitions and {count:,} records")
    except CannotRepair as problem:
        fail(str(problem))
    for line in migrate_topics(addresses.kafka, settings["FOOTLIGHTS_REPLICATION"]):
        say(line)
    released = (ask(settings.data_dir, {"do": "release"}) or {}).get("released", [])
    say(f"started again: {', '.join(released) or 'nothing was stopped here'}")


def _admin(settings: Settings) -> Any:
    from confluent_kafka.admin import AdminClient

    from infra.addresses import resolve

    return AdminClient({"bootstrap.servers": resolve(settings).kafka, "log_level": 2})


def _looked(settings: Settings, admin: Any) -> tuple[Any, Any, Any]:
    from infra import broker
    from infra.addresses import resolve
    from infra.idle import committed
    from infra.ledger import probe
    from infra.store import connect
    from schemas.topics import TOPICS

    addresses = resolve(settings)
    consumer = probe(addresses.kafka)
    try:
        with connect(settings, addresses) as client:
            stored = broker.taken(client)
        counted = committed(admin, list(TOPICS))
        return broker.look(admin, consumer), stored, counted
    finally:
        consumer.close()


def _note(damage: Any, topic_id: str, starts: dict[int, int]) -> str:
    """The statement that tells the store of the topic's new id; other positions only where offsets mean something else now."""
    last = {p: starts[p] - 1 if damage.anew else damage.stored.get(p, 0) - 1 for p in starts}
    rows = [
        f"('{damage.topic.name}', {p}, {at}, {at}, 0, '{topic_id}-0', 'repair')" for p, at in last.items() if at >= 0
    ]
    return f"{NEWEST} {', '.join(rows)}" if rows else ""
