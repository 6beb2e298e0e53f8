"""`fieldvote functions`: parse, call, print."""

import json
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli import AsJson, Config
from fieldvote.tables import print_one, print_table

app = typer.Typer(
    help="Labeling functions: release, try in shadow, promote.\n\n"
    "Example: fieldvote functions list --config coordinator.toml",
    no_args_is_help=True,
    add_completion=False,
)

Number = Annotated[int, typer.Argument(help="The release.", min=1)]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays in the record.")]
_CONFIG = Path("coordinator.toml")


@app.command()
def release(
    next_task: Annotated[Path, typer.Argument(help="The next version of the task, signed.")],
    config: Config = _CONFIG,
    share: Annotated[
        float | None, typer.Option("--share", help="Share of the devices it is tried on.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try the functions of a signed task in shadow on a few devices.

    Example: fieldvote functions release next-task --share 0.2
    """
    from coordinator.releases import terminal

    print_one(terminal.release(config, next_task, share=share), as_json)


@app.command("list")
def list_(config: Config = _CONFIG, as_json: AsJson = False) -> None:
    """List the releases of a campaign, oldest first.

    Example: fieldvote functions list
    """
    from coordinator.releases import terminal

    print_table(terminal.releases(config), as_json)


@app.command()
def show(
    number: Annotated[int | None, typer.Argument(help="The release; else the newest.")] = None,
    config: Config = _CONFIG,
    as_json: AsJson = False,
) -> None:
    """Say where a release stands, and what its trial came to, function by function.

    Example: fieldvote functions show 2
    """
    from coordinator.releases import terminal

    row, functions = terminal.one_release(config, number)
    if as_json:
        typer.echo(json.dumps({**row, "functions": functions}, indent=2))
        return
    print_one(row, as_json)
    if functions:
        typer.echo("")
        print_table(functions, as_json)


@app.command()
def promote(
    number: Number,
    config: Config = _CONFIG,
    reason: Reason = "asked for",
    as_json: AsJson = False,
) -> None:
    """Make a release that was tried the campaign's task, once no round is under way.

    Example: fieldvote functions promote 2
    """
    from coordinator.releases import terminal
    from coordinator.releases.asking import ReleaseCommand

    command = ReleaseCommand(what="promote", number=number, reason=reason)
    print_one(terminal.change(config, command), as_json)


@app.command()
def rollback(
    number: Number,
    config: Config = _CONFIG,
    reason: Reason = "asked for",
    as_json: AsJson = False,
) -> None:
    """Drop a release before it is promoted; what it summed is kept and not asked again.

    Example: fieldvote functions rollback 2 --reason "too many conflicts"
    """
    from coordinator.releases import terminal
    from coordinator.releases.asking import ReleaseCommand

    command = ReleaseCommand(what="rollback", number=number, reason=reason)
    print_one(terminal.change(config, command), as_json)
