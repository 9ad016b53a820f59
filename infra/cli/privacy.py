"""Commands about people: `privacy optout`, `privacy keys`.

In: an id as services know it.
Out: a receipt.
Never: the raw id on the wire, in a log or in the receipt.
"""

from datetime import UTC, datetime
from typing import Annotated

import typer

from infra.cli.output import fail, print_json, say
from infra.settings import load

app = typer.Typer(help="What people may ask for.", no_args_is_help=True)
#: Bound of collector and stream, from the acknowledgement on; services obey within a minute.
OBEYED_WITHIN_S = 5
FLUSH_S = 30.0
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


@app.callback()
def privacy() -> None:
    """What people may ask for."""


@app.command()
def optout(
    user_id: Annotated[str, typer.Argument(help="Id of the person, as services give it to the SDK.")],
    visitor: Annotated[bool, typer.Option("--visitor", help="It is an anonymous_id.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="The person allows analytics again.")] = False,
    tenant: Annotated[str, typer.Option(help="Tenant of the person.")] = "default",
    as_json: Json = False,
) -> None:
    """Have all events of a person dropped from now on, by services, collectors and the stream."""
    from infra.cli.data import connection

    settings = load()
    client = connection(settings, "footlights-privacy", tenant)(lambda *_: None)
    try:
        outcome = client.track(
            "consent_changed", analytics_allowed=undo, **{"anonymous_id" if visitor else "user_id": user_id}
        )
        if not outcome:
            fail(outcome.detail)
        if client.flush(FLUSH_S):
            fail(
                f"Kafka has not acknowledged it within {FLUSH_S:g} s; it waits in the spool and is sent by the next command"
            )
    finally:
        client.close()
    receipt = {
        "subject": settings.pseudonymiser()(tenant, user_id),
        "tenant_id": tenant,
        "analytics_allowed": undo,
        "message_id": outcome.message_id,
        "acknowledged_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "obeyed_within_s": OBEYED_WITHIN_S,
    }
    if as_json:
        print_json(receipt)
        return
    say(
        f"{'allowed again' if undo else 'opted out'}: {receipt['subject']} of {tenant}, acknowledged {receipt['acknowledged_at']}"
    )
    say(f"collectors and the stream obey within {OBEYED_WITHIN_S} s, services within a minute")


@app.command()
def keys(
    forget: Annotated[
        bool, typer.Option("--forget", help="Delete the ids of people whom no key in use finds.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show how many people each pseudonym key finds; after a rotation it tells when the former key may go."""
    settings = load()
    try:
        subjects = settings.subject_ids()
        if subjects is None:
            fail(
                "pseudonyms are computed from the key: set FOOTLIGHTS_SUBJECTS_FILE to have random ids that outlive a key"
            )
        gone = subjects.forget() if forget else 0
        people, used = subjects.people(), subjects.key_ids()
        subjects.close()
    except (OSError, ValueError) as problem:
        fail(str(problem))
    rows = [
        {
            "key_id": name,
            "use": "newest" if name == used[0] else "former" if name in used else "none",
            "people": people.get(name, 0),
        }
        for name in dict.fromkeys([*used, *sorted(people)])
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        say(f"{row['key_id']}  {row['use']:<7}  {row['people']:,} people")
    if forget:
        say(f"forgot {gone:,} people whom no key in use finds")
