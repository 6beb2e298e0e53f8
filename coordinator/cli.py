"""`fieldvote coordinator` and `rounds`: parse, call, print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fieldvote.custody import CustodySettings, KeyPlace
from fieldvote.tables import print_one, print_table

if TYPE_CHECKING:
    from coordinator.rounds.commands import Command

app = typer.Typer(
    help="A campaign: its rounds, and where it stands.\n\n"
    "Example: fieldvote coordinator status --config coordinator.toml",
    no_args_is_help=True,
    add_completion=False,
)
rounds = typer.Typer(
    help="Rounds: what each waits for, and what to do.\n\n"
    "Example: fieldvote rounds list --config coordinator.toml",
    no_args_is_help=True,
    add_completion=False,
)

Config = Annotated[Path, typer.Option("--config", help="The coordinator's TOML file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Number = Annotated[int, typer.Argument(help="The round.", min=1)]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays in the record.")]
_CONFIG = Path("coordinator.toml")


@app.command()
def serve(config: Config = _CONFIG) -> None:
    """Run a campaign over Flower from where it stands; Ctrl-C or SIGTERM stops it cleanly.

    Example: fieldvote coordinator serve --config coordinator.toml
    """
    from coordinator.superlink import serve as serve_campaign

    serve_campaign(config, typer.echo)


@app.command()
def status(config: Config = _CONFIG, as_json: AsJson = False) -> None:
    """Say where a campaign stands.

    Example: fieldvote coordinator status --config coordinator.toml
    """
    from coordinator.service import status_of

    print_one(status_of(config), as_json)


@app.command()
def backup(
    path: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    config: Config = _CONFIG,
) -> None:
    """Copy the whole store into one file, while the campaign goes on.

    Example: fieldvote coordinator backup monday.sqlite
    """
    from coordinator.upkeep import back_up

    typer.echo(back_up(config, path))


@app.command()
def restore(
    path: Annotated[Path, typer.Argument(help="A file that backup wrote.")],
    config: Config = _CONFIG,
    key: Annotated[
        Path | None, typer.Option("--key", help="The key file it was locked with, if another.")
    ] = None,
) -> None:
    """Fill an empty store from a backup: also the way from one file to PostgreSQL.

    Example: fieldvote coordinator restore monday.sqlite
    """
    from coordinator.upkeep import bring_back

    typer.echo(bring_back(config, path, key))


@app.command()
def verify(config: Config = _CONFIG, as_json: AsJson = False) -> None:
    """Check every chain, artifact, budget and answer in the store; exits with 3 at a fault.

    Example: fieldvote coordinator verify
    """
    from coordinator.upkeep import check_store

    found = check_store(config)
    print_one(found, as_json)
    if found["faults"]:
        raise typer.Exit(3)


@app.command()
def rekey(
    config: Config = _CONFIG,
    to: Annotated[
        KeyPlace | None, typer.Option("--to", help="Where the new key shall be; else as now.")
    ] = None,
    file: Annotated[str, typer.Option("--file", help="Its file, or a passphrase's.")] = "",
    name: Annotated[str, typer.Option("--name", help="What the keyring calls it.")] = "",
) -> None:
    """Change the key that locks the store; no row is written anew.

    Example: fieldvote coordinator rekey --to passphrase
    """
    from coordinator.upkeep import change_store_key

    new = CustodySettings(key=to, file=file, name=name).beside(Path.cwd()) if to else None
    typer.echo(change_store_key(config, new))


@rounds.command()
def plan(
    config: Config = _CONFIG,
    incident: Annotated[
        bool, typer.Option("--incident", help="Goes ahead of every other round.")
    ] = False,
    budget: Annotated[
        int | None, typer.Option("--budget", help="Labels it may buy.", min=1)
    ] = None,
) -> None:
    """Begin a round beyond those of the settings.

    Example: fieldvote rounds plan --incident --budget 20
    """
    from coordinator.rounds.commands import Command

    _ask(config, Command(what="plan", kind="incident" if incident else "ordinary", budget=budget))


@rounds.command("list")
def list_(config: Config = _CONFIG, as_json: AsJson = False) -> None:
    """List the rounds of a campaign, oldest first.

    Example: fieldvote rounds list
    """
    from coordinator.upkeep import rounds_of

    print_table(rounds_of(config), as_json)


@rounds.command()
def show(
    number: Annotated[int | None, typer.Argument(help="The round; else the newest.")] = None,
    config: Config = _CONFIG,
    as_json: AsJson = False,
) -> None:
    """Say what a round waits for, since when, and until when.

    Example: fieldvote rounds show 3
    """
    from coordinator.upkeep import round_of

    print_one(round_of(config, number), as_json)


@rounds.command()
def pause(number: Number, config: Config = _CONFIG, reason: Reason = "asked for") -> None:
    """Stop a round where it is, until it is resumed.

    Example: fieldvote rounds pause 3 --reason "the label guide changes"
    """
    from coordinator.rounds.commands import Command

    _ask(config, Command(what="pause", round=number, reason=reason))


@rounds.command()
def resume(number: Number, config: Config = _CONFIG) -> None:
    """Go on with a round that is paused or quarantined.

    Example: fieldvote rounds resume 3
    """
    from coordinator.rounds.commands import Command

    _ask(config, Command(what="resume", round=number))


@rounds.command()
def abort(number: Number, config: Config = _CONFIG, reason: Reason = "asked for") -> None:
    """Give a round up; its labels stay, and devices that took its model get the one before.

    Example: fieldvote rounds abort 3 --reason "wrong label guide"
    """
    from coordinator.rounds.commands import Command

    _ask(config, Command(what="abort", round=number, reason=reason))


@rounds.command()
def reproduce(number: Number, config: Config = _CONFIG, as_json: AsJson = False) -> None:
    """Make a round's decisions and model again from its record; exits with 3 if bytes differ.

    Example: fieldvote rounds reproduce 3
    """
    from coordinator.upkeep import reproduce_round

    found = reproduce_round(config, number)
    print_table(found, as_json)
    if not all(row["same"] == "yes" for row in found):
        raise typer.Exit(3)


def _ask(config: Path, command: "Command") -> None:
    """Ask the coordinator for something, and say whether it is done."""
    from coordinator.upkeep import ask_coordinator

    typer.echo(ask_coordinator(config, command))
