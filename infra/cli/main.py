"""`footlights`: the commands.

In: words and settings.
Out: exit codes that scripts can use.
Never: a stack trace for what a person can mend.
"""

import sys

import typer

from infra.cli import data, letters, numbers, privacy, roles, stack, tokens, topics, trust

app = typer.Typer(
    help="footlights: the analytics pipeline of an events and ticketing platform.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
for module in (stack, data, numbers, trust, roles):
    module.register(app)
app.add_typer(letters.app, name="deadletters", rich_help_panel="Look")
app.add_typer(privacy.app, name="privacy", rich_help_panel="Look")
app.add_typer(topics.app, name="topics", rich_help_panel="Run")
app.add_typer(tokens.app, name="token", rich_help_panel="Processes")


def main() -> None:
    """Run the command line."""
    from infra.cli.problems import sentence

    try:
        app()
    except Exception as problem:  # the edge of the process: what a person cannot mend goes on as it is
        told = sentence(problem)
        if told is None:
            raise
        sys.stderr.write(f"{told[0]}\n")
        sys.exit(told[1])


if __name__ == "__main__":
    main()
