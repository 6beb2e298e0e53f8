"""`fieldvote models`: parse, call, print."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import AsJson, Config
from coordinator.models.compile_cli import compile_command
from fieldvote.tables import print_one, print_table

if TYPE_CHECKING:
    from coordinator.models.explain import Explained

app = typer.Typer(
    help="Models: which there are, and who taught them what.\n\n"
    "Example: fieldvote models list --config coordinator.toml",
    no_args_is_help=True,
    add_completion=False,
)
app.command("compile")(compile_command)

_CONFIG = Path("coordinator.toml")


@app.command("list")
def list_(config: Config = _CONFIG, as_json: AsJson = False) -> None:
    """List the heads of a campaign, oldest first: from which round, how good, and which is served.

    Example: fieldvote models list
    """
    from coordinator.models import terminal

    print_table(terminal.versions(config), as_json)


@app.command("explain")
def explain_(
    number: Annotated[
        int | None, typer.Option("--round", help="The head of this round; else the newest.", min=1)
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="The head whose digest begins so.", metavar="DIGEST")
    ] = "",
    without: Annotated[
        str,
        typer.Option(
            "--without", help="What if this function were gone?", metavar="FUNCTION[@VERSION]"
        ),
    ] = "",
    text: Annotated[
        str, typer.Option("--text", help="Why does it say what it says of this text?")
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option("--input", help="The same of a file: a text, or a JSON object of numbers."),
    ] = None,
    label: Annotated[
        str, typer.Option("--class", help="Why this class, and not the one it says?")
    ] = "",
    config: Config = _CONFIG,
    as_json: AsJson = False,
) -> None:
    """Say which functions made a model change, and what it would be without each of them.

    Every round whose head was taught by votes has asked its devices for that,
    in sums; what is said here is read from what was kept. Functions the model
    would be better without come first. What a model would be without one is
    an estimate, and says so.

    Which functions made it answer so for one input (--text, --input) is in no
    kept sum: devices are asked while you wait, so a coordinator must be
    running. The input stays here.

    Example: fieldvote models explain --without small_talk
    """
    from coordinator.models import terminal
    from fieldvote.errors import InputError

    if text or file is not None:
        if without:
            raise InputError("--without is about all inputs: leave out --text and --input")
        found = terminal.explained_input(
            config, text=text, file=file, number=number, model=model, label=label
        )
    elif label:
        raise InputError("--class is about one input: give it by --text or --input")
    else:
        found = terminal.explained(config, number=number, model=model, without=without)
    _print(found, as_json)


def _print(found: "Explained", as_json: bool) -> None:
    """Print which head it is about, a line per function, and what to read it with."""
    if as_json:
        whole = {"about": found.about, "rows": list(found.rows), "doubt": found.doubt}
        typer.echo(json.dumps(whole, indent=2))
        return
    print_one(found.about, as_json=False)
    typer.echo("")
    print_table(found.rows, as_json=False)
    typer.echo("")
    typer.echo(found.doubt)
