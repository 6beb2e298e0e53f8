"""`fieldvote edge`: run one device's agent, and look at what it has given away."""

from pathlib import Path
from typing import Annotated

import typer

from fieldvote.custody import CustodySettings, KeyPlace
from fieldvote.tables import print_one, print_table

app = typer.Typer(
    help="One device: its agent, its pool, and its ledger.\n\n"
    "Example: fieldvote edge status --config device.toml",
    no_args_is_help=True,
    add_completion=False,
)

Config = Annotated[Path, typer.Option("--config", help="The device's TOML file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DEFAULT = Path("device.toml")
_ASK = "-"


@app.command()
def enroll(
    token: Annotated[
        str,
        typer.Option("--token", help="What 'fieldvote keys invite' printed; - asks for it."),
    ],
    folder: Annotated[
        Path, typer.Option("--folder", help="Where the device's files will be.")
    ] = Path("device"),
    task: Annotated[
        Path | None, typer.Option("--task", help="The task folder; else 'task' in the device's.")
    ] = None,
    items: Annotated[
        Path | None, typer.Option("--items", help="What the pool is filled from on first start.")
    ] = None,
) -> None:
    """Make this a device of a fleet: keys made here, certified there, and settings to run with.

    A call that was cut off is made again with the same token; a device whose certificate is over
    is enrolled again with a new one, and keeps its keys.

    Example: fieldvote edge enroll --token fv1-... --folder phone1 --task my-task
    """
    from edge.service import enroll_device

    if token == _ASK:  # a command line is seen by every user of a machine
        token = typer.prompt("Token", hide_input=True, err=True)
    for line in enroll_device(token, folder, task=task, items=items):
        typer.echo(line)


@app.command()
def run(config: Config = _DEFAULT) -> None:
    """Answer requests on the device's socket until stopped with Ctrl-C or SIGTERM.

    Example: fieldvote edge run --config device.toml
    """
    from edge.service import run_agent

    run_agent(config, typer.echo)


@app.command()
def status(config: Config = _DEFAULT, as_json: AsJson = False) -> None:
    """Say what the device holds and what it has given away.

    Example: fieldvote edge status --config device.toml
    """
    from edge.status import status_of

    print_one(status_of(config), as_json)


@app.command()
def add(
    items: Annotated[Path, typer.Argument(help="An .npz or text file, as for the first start.")],
    config: Config = _DEFAULT,
) -> None:
    """Add items to the pool; an agent that is up takes them in with its next request.

    Example: fieldvote edge add monday.npz --config device.toml
    """
    from edge.service import add_items

    typer.echo(str(add_items(config, items)))


@app.command()
def ledger(
    config: Config = _DEFAULT,
    as_json: AsJson = False,
    signed: Annotated[
        bool, typer.Option("--signed", help="Print a summary signed by the device, for an auditor.")
    ] = False,
    totals: Annotated[
        bool, typer.Option("--totals", help="Add up: for each task, of each kind, and in all.")
    ] = False,
) -> None:
    """List every release of this device, oldest first, and what it costs in privacy.

    Example: fieldvote edge ledger --totals --config device.toml
    """
    from edge.status import ledger_rows, ledger_totals

    if signed:
        from edge.audit import signed_ledger

        typer.echo(signed_ledger(config))
        return

    print_table(ledger_totals(config) if totals else ledger_rows(config), as_json)


@app.command()
def explain(
    item: Annotated[str, typer.Argument(help="The item's id in hexadecimal, or its beginning.")],
    config: Config = _DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Say why this device labels an item as it does: which function adds what.

    Example: fieldvote edge explain 3f9a --config device.toml
    """
    from edge.reasons import explain_item

    print_table(explain_item(config, item), as_json)


@app.command()
def rollback(config: Config = _DEFAULT) -> None:
    """Go back to the task before the one that is installed; the agent must be stopped.

    Once more, and the newer one is back. Over the wire nothing older than the newest is taken.

    Example: fieldvote edge rollback --config device.toml
    """
    from edge.service import roll_back

    typer.echo(roll_back(config))


@app.command()
def rekey(
    config: Config = _DEFAULT,
    to: Annotated[
        KeyPlace | None, typer.Option("--to", help="Where the new key shall be; else as now.")
    ] = None,
    file: Annotated[str, typer.Option("--file", help="Its file, or a passphrase's.")] = "",
    name: Annotated[str, typer.Option("--name", help="What the keyring calls it.")] = "",
) -> None:
    """Change the key that locks this device's items; none of them is written anew.

    Example: fieldvote edge rekey --to keyring --config device.toml
    """
    from edge.rekeying import change_pool_key

    new = CustodySettings(key=to, file=file, name=name).beside(Path.cwd()) if to else None
    typer.echo(change_pool_key(config, new))


@app.command()
def purge(
    config: Config = _DEFAULT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete every item and answer on this device; the ledger stays.

    Example: fieldvote edge purge --config device.toml --yes
    """
    from edge.service import purge_pool

    if not yes and not typer.confirm("Delete every item of this device?"):
        typer.echo("nothing was deleted")
        return
    typer.echo(f"deleted {purge_pool(config)} items; the ledger stays")
