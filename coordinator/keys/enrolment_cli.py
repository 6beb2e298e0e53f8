"""`fieldvote keys`, the part about devices: invite, enrol, list, revoke, sign their directory."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fieldvote.tables import print_table

Keys = Annotated[Path, typer.Option("--keys", help="The owner's key folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_KEYS = Path("owner")


def invite(
    name: Annotated[str, typer.Option("--name", help="What the device will be called.")] = "",
    keys: Keys = _KEYS,
    as_json: AsJson = False,
) -> None:
    """Print a one-time token for one device; whoever holds it can take that place.

    Example: fieldvote keys invite --name phone1 --keys owner
    """
    from coordinator.keys.tokens import invite as invite_device

    token = invite_device(keys, name, now=datetime.now(UTC))
    until = datetime.fromtimestamp(token.expires_at, UTC)
    if as_json:
        said = {"name": token.name, "token": token.text, "until": until.isoformat()}
        typer.echo(json.dumps(said, indent=2))
        return
    typer.echo(token.text)
    typer.echo(f"for {token.name}, once, until {until:%H:%M} UTC; on the device:", err=True)
    typer.echo("fieldvote edge enroll --token TOKEN --folder FOLDER", err=True)


def registrar(keys: Keys = _KEYS) -> None:
    """Enrol devices and renew their certificates until stopped with Ctrl-C or SIGTERM.

    It belongs where the fleet's keys are, not to the coordinator.

    Example: fieldvote keys registrar --keys owner
    """
    from coordinator.keys.registrar_server import serve_registrar

    serve_registrar(keys, typer.echo)


def enrolled(keys: Keys = _KEYS, as_json: AsJson = False) -> None:
    """List every device that was ever enrolled.

    Example: fieldvote keys enrolled --keys owner
    """
    from coordinator.keys.directory import enrolled_rows

    print_table(enrolled_rows(keys), as_json)


def revoke(
    device: Annotated[str, typer.Argument(help="What the device is called.")],
    keys: Keys = _KEYS,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stays in the book.")] = "",
) -> None:
    """Give a device no further certificate; the next directory tells everybody else.

    Example: fieldvote keys revoke phone1 --keys owner --reason "lost on a train"
    """
    from coordinator.keys.enrolled import opened_book

    with opened_book(keys) as book:
        book.revoke(device, reason, datetime.now(UTC))
    typer.echo(f"{device} is revoked; tell the coordinator: fieldvote keys directory --keys {keys}")


def directory(keys: Keys = _KEYS, as_json: AsJson = False) -> None:
    """Sign who is a device of the fleet, for the coordinator to hand on.

    Example: fieldvote keys directory --keys owner
    """
    from coordinator.keys.directory import publish
    from coordinator.keys.folder import ONLINE_FOLDER, KeyFolder
    from coordinator.keys.signing import sign_directory

    folder = KeyFolder(keys, passphrase=_passphrase)
    now_s = datetime.now(UTC).timestamp()
    made, version = publish(keys, lambda content: sign_directory(folder, content, now_s=now_s))
    devices, revoked = len(made.entries), sum(entry.revoked for entry in made.entries)
    if as_json:
        said = {"version": version, "devices": devices, "revoked": revoked}
        typer.echo(json.dumps(said, indent=2))
        return
    typer.echo(f"{devices} devices, {revoked} of them revoked, signed as version {version}")
    typer.echo(f"copy {keys / ONLINE_FOLDER} to the coordinator, as its [keys] folder")


def intermediate(
    keys: Keys = _KEYS,
    root_key: Annotated[
        Path | None, typer.Option("--root-key", help="Where fleet-root.key is, if not in there.")
    ] = None,
) -> None:
    """Make what the registrar signs with anew, once a year; start it again afterwards.

    Example: fieldvote keys intermediate --keys owner --root-key safe/fleet-root.key
    """
    from coordinator.keys.authority import renew_intermediate

    now = datetime.now(UTC)
    made = renew_intermediate(
        keys, now=now, entropy=os.urandom, root_key=root_key, passphrase=_passphrase
    )
    typer.echo(f"the registrar signs with a new key until {made.not_valid_after_utc:%Y-%m-%d}")


def nodes(
    out: Annotated[Path, typer.Argument(help="The folder to write public keys to.")],
    keys: Keys = _KEYS,
    as_json: AsJson = False,
) -> None:
    """Write the public node key of each device, as `flwr supernode register` takes it.

    Example: fieldvote keys nodes nodes --keys owner
    """
    from coordinator.keys.directory import node_files

    paths = [str(path) for path in node_files(keys, out)]
    typer.echo(json.dumps(paths, indent=2) if as_json else "\n".join(paths))


def _passphrase() -> str:
    """Ask for what opens a locked key."""
    said: str = typer.prompt("Passphrase", hide_input=True, err=True)
    return said


def register(app: typer.Typer) -> None:
    """Add these commands to `fieldvote keys`."""
    for command in (invite, registrar, enrolled, revoke, directory, nodes, intermediate):
        app.command()(command)
