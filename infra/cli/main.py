"""`footlights`: the commands.

In: words and settings.
Out: exit codes that scripts can use.
Never: a stack trace for what a person can mend.
"""

import sys

import typer

from infra.cli import data, letters, numbers, roles, stack

app = typer.Typer(
    help="footlights: the analytics pipeline of an events and ticketing platform.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
for module in (stack, data, numbers, roles):
    module.register(app)
app.add_typer(letters.app, name="deadletters", rich_help_panel="Look")


def main() -> None:
    """Run the command line."""
    from infra.addresses import NotRunning
    from infra.settings import BadSetting

    try:
        app()
    except (BadSetting, NotRunning) as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
