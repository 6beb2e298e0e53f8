"""`fieldvote coordinator` and `fieldvote labels`: parse, call, print."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="A campaign: its rounds, and where it stands.", no_args_is_help=True)
labels = typer.Typer(help="The labeling desk: its keys, and its queue.", no_args_is_help=True)

Config = Annotated[Path, typer.Option("--config", help="The coordinator's TOML file.")]
Keys = Annotated[Path, typer.Option("--keys", help="The folder of the desk's keys.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_CONFIG, _KEYS = Path("coordinator.toml"), Path("desk")


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

    found = status_of(config)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        typer.echo(f"{name:<22} {value}")


@labels.command()
def keys(folder: Keys = _KEYS, as_json: AsJson = False) -> None:
    """Make the desk's keys, and print what devices need of them.

    Example: fieldvote labels keys --keys desk
    """
    from coordinator.labels.terminal import make_keys

    public = make_keys(folder, os.urandom)
    if as_json:
        typer.echo(json.dumps(public, indent=2))
        return
    for name, value in public.items():
        typer.echo(f'{name} = "{value}"')


@labels.command()
def answer(config: Config = _CONFIG, keys: Keys = _KEYS) -> None:
    """Answer what waits in the queue, one masked item at a time.

    Example: fieldvote labels answer --config coordinator.toml --keys desk
    """
    from coordinator.labels.terminal import answer_queue

    given = answer_queue(
        config,
        keys,
        ask=input,
        say=typer.echo,
        emphasize=lambda text: typer.style(text, reverse=True),
    )
    typer.echo(f"{given} answers given")
