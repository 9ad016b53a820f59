"""Commands about API keys: `token`, `token list`, `token revoke`.

In: the file of the keys.
Out: a token, once.
Never: a token in a list, or a key that cannot be taken back.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from infra.cli.output import console, fail, print_json, print_rows, say
from infra.settings import load

app = typer.Typer(help="Make, list and revoke API keys.", invoke_without_command=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


@app.callback()
def create(
    context: typer.Context,
    kind: Annotated[str, typer.Option(help="write: sends events to the collector; read: asks the API.")] = "write",
    name: Annotated[str, typer.Option(help="What it is for, as the list shows it.")] = "key",
    source: Annotated[str, typer.Option(help="Source that its events belong to; default: the name.")] = "",
    tenant: Annotated[str, typer.Option(help="Tenant that its events belong to.")] = "default",
    rate: Annotated[float, typer.Option(help="Events a second; ten seconds' worth at once.", min=0.1)] = 10_000.0,
    days: Annotated[float, typer.Option(help="Days until it expires; 0: never.", min=0.0)] = 0.0,
    as_json: Json = False,
) -> None:
    """Make a key; its token is shown once and kept as a hash only."""
    if context.invoked_subcommand:
        return
    from footlights import Refusal

    try:
        token, key = _file().create(
            kind, name=name, source=source or name, tenant_id=tenant, rate_per_s=rate, lifetime_s=days * 86_400 or None
        )
    except Refusal as problem:
        fail(problem.detail)
    except ValueError as problem:
        fail(str(problem))
    if as_json:
        print_json({"token": token, "id": key.id, "expires_at": _time(key.expires_at)})
        return
    say(f"key {key.id} for the source {key.source}; the token is shown this once:")
    console.print(token, markup=False)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show all keys, without their tokens."""
    rows: list[dict[str, Any]] = [
        {
            "id": key.id, "kind": key.kind, "name": key.name, "tenant_id": key.tenant_id, "source": key.source,
            "rate_per_s": key.rate_per_s, "created_at": _time(key.created_at), "expires_at": _time(key.expires_at),
            "revoked_at": _time(key.revoked_at),
        }
        for key in sorted(_file(), key=lambda key: key.created_at)
    ]  # fmt: skip
    print_json(rows) if as_json else print_rows(rows)


@app.command()
def revoke(key_id: str) -> None:
    """Take a key back; collectors refuse it within a second."""
    if _file().revoke(key_id) is None:
        fail(f"there is no key {key_id}; see `footlights token list`")
    say(f"key {key_id} is revoked")


def _file() -> Any:
    from footlights.collector.keys import KeyFile

    return KeyFile(load().keys_file())


def _time(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
