"""`fieldvote edge`: run one device's agent, and look at what it has given away."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="One device: its agent, its pool, and its ledger.", no_args_is_help=True)

Config = Annotated[Path, typer.Option("--config", help="The device's TOML file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DEFAULT = Path("device.toml")


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
    from edge.service import status_of

    found = status_of(config)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        typer.echo(f"{name:<22} {value}")


@app.command()
def ledger(config: Config = _DEFAULT, as_json: AsJson = False) -> None:
    """List every release of this device, oldest first.

    Example: fieldvote edge ledger --config device.toml
    """
    from edge.service import ledger_rows

    rows = ledger_rows(config)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    typer.echo(f"{'at':<27}{'kind':<13}{'bytes':>10}{'candidates':>12}")
    for row in rows:
        typer.echo(f"{row['at']:<27}{row['kind']:<13}{row['bytes']:>10}{row['candidates']:>12}")


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

    rows = explain_item(config, item)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    names = list(rows[0])
    cells = [names, *([str(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


@app.command()
def sign(
    task: Annotated[Path, typer.Argument(help="The task folder.")],
    version: Annotated[
        int, typer.Option("--version", help="Higher than any signed before.", min=1)
    ],
    key: Annotated[Path, typer.Option("--key", help="The owner's key.")] = Path("owner.key"),
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make the key; it must not be there yet.")
    ] = False,
) -> None:
    """Sign a task as its owner, so that devices which trust the key take it over the wire.

    Keep the key off the coordinator's machine.

    Example: fieldvote edge sign my-task --version 2 --key owner.key
    """
    from edge.install import sign_as_owner

    public = sign_as_owner(task, version=version, key=key, make=new_key, entropy=os.urandom)
    typer.echo(f"{task} is signed as version {version}; devices that trust this key take it:")
    typer.echo(f'trusted_keys = ["{public.hex()}"]')


@app.command()
def purge(
    config: Config = _DEFAULT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete every item and answer on this device; the ledger stays.

    Example: fieldvote edge purge --config device.toml --yes
    """
    from edge.service import purge_pool

    if not yes:
        typer.confirm("Delete every item of this device?", abort=True)
    typer.echo(f"deleted {purge_pool(config)} items; the ledger stays")
