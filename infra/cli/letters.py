"""Commands about dead letters: list, show, replay, resume.

In: the store, the key of the payloads.
Out: what was refused and why; a payload only on `show`.
Never: a payload in a list or a log.
"""

import base64
from typing import Annotated, Any

import typer

from infra.cli.output import console, fail, print_json, print_rows, say
from infra.query import json_rows
from infra.settings import Settings, load

app = typer.Typer(help="Records that could not be decoded or are not valid.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]
LIST = """
SELECT topic, partition, offset, error_code, stage, source, schema_id, toString(first_seen) AS first_seen
FROM footlights.dead_letters FINAL ORDER BY first_seen DESC, topic, partition, offset LIMIT {limit}
"""


def _rows(settings: Settings, sql: str) -> list[dict[str, Any]]:
    from infra.addresses import resolve
    from infra.store import connect

    with connect(settings, resolve(settings)) as client:
        return json_rows(client, sql)[1]


@app.command("list")
def list_(limit: Annotated[int, typer.Option(help="Rows at the most.")] = 100, as_json: Json = False) -> None:
    """Show refused records, newest first."""
    rows = _rows(load(), LIST.format(limit=max(1, limit)))
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, ("topic", "partition", "offset", "error_code", "stage", "source", "first_seen"))


@app.command()
def show(topic: str, partition: int, offset: int, as_json: Json = False) -> None:
    """Decrypt one refused record and show what can be read of it; `http` is the topic of what the collector refused."""
    from footlights.collector.letters import HTTP

    place = f"{_of_topic(topic, HTTP)} AND partition = {partition} AND offset = {offset}"
    letters = _letters(load(), place, 1)
    if not letters:
        fail(f"there is no dead letter at {topic}/{partition}/{offset}; see `footlights deadletters list`")
    found = letters[0]
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        console.print(f"{name}: {value}", markup=False)


def _of_topic(topic: str, *more: str) -> str:
    from schemas.families import BY_TOPIC

    known = (*BY_TOPIC, *more)
    if topic not in known:
        fail(f"no dead letters come from {topic}; topics are {', '.join(known)}", 2)
    return f"topic = '{topic}'"


def _letters(settings: Settings, where: str, limit: int) -> list[dict[str, Any]]:
    """Decrypted letters, oldest place first."""
    from cryptography.exceptions import InvalidTag

    from stream_apps.dead_letters import decrypt

    rows = _rows(
        settings,
        "SELECT topic, partition, offset, error_code, detail, stage, source, schema_id, base64Encode(payload) AS payload "
        f"FROM footlights.dead_letters FINAL WHERE {where} ORDER BY topic, partition, offset LIMIT {limit}",
    )
    key, letters = settings.dead_letter_key(), []
    for row in rows:
        try:
            plain = decrypt(key, row | {"payload": base64.b64decode(row["payload"])})
        except InvalidTag:
            fail("the payload cannot be decrypted: FOOTLIGHTS_DEADLETTER_KEY is not the key that it was stored with")
        letters.append(row | {"payload": base64.b64encode(plain).decode(), "text": plain.decode("utf-8", "replace")})
    return letters


@app.command()
def replay(
    topic: Annotated[str | None, typer.Option(help="Only letters of this topic.")] = None,
    limit: Annotated[int, typer.Option(help="Letters at the most.")] = 10_000,
    as_json: Json = False,
) -> None:
    """Publish refused records again, after what was wrong is mended; repeats count once.

    What the collector refused is not among them: its sender was told, and sends it again itself.
    """
    from footlights.collector.letters import HTTP

    from infra.addresses import resolve
    from infra.letters import republish

    settings = load()
    letters = _letters(settings, _of_topic(topic) if topic else f"topic != '{HTTP}'", max(1, limit))
    sent = republish(resolve(settings).kafka, letters)
    if as_json:
        print_json({"found": len(letters), "published": sent})
    else:
        say(
            f"{sent:,} of {len(letters):,} records published again; what still cannot be read comes back as a dead letter"
        )
    if sent < len(letters):
        raise typer.Exit(1)


@app.command()
def resume() -> None:
    """Release workers that too many dead letters stopped."""
    from infra.supervisor.control import ask

    answer = ask(load().data_dir, {"do": "resume"})
    if answer is None:
        fail("no stack runs here; start a worker with `footlights worker --resume-dead-letters`")
    say(f"released: {', '.join(answer['resumed']) or 'none was stopped'}")
