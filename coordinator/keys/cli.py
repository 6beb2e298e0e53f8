"""`fieldvote keys`: parse, call, print."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import AsJson
from coordinator.keys.enrolment_cli import register
from fieldvote.tables import print_table

if TYPE_CHECKING:
    from coordinator.keys.folder import KeyFolder

app = typer.Typer(
    help="The owner's keys: make, show and change them, sign tasks.\n\n"
    "Example: fieldvote keys show --keys owner",
    no_args_is_help=True,
    add_completion=False,
)

Keys = Annotated[Path, typer.Option("--keys", help="The owner's key folder.")]
Lock = Annotated[bool, typer.Option("--lock", help="Ask for a passphrase for the offline keys.")]
_KEYS = Path("owner")

_WHAT_GOES_WHERE = """\
made the keys of fleet '{fleet}' in {folder}
  {folder}/root-1.key, root-2.key, root-3.key: two of them sign a new root; keep them in three
      places, none of which is the coordinator's machine
  {folder}/targets.key, directory.key: sign tasks and the directory; offline, on the owner's machine
  {folder}/online: goes to the coordinator as it is; coordinator.toml: keys.folder = "online"
  {folder}/root.msgpack: goes to every device; device.toml: root = "root.msgpack"
  {folder}/fleet-root.key: vouches for devices, once a year; keep it as the root keys
next: fieldvote keys sign my-task --keys {folder}"""


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where the keys go; made if absent.")],
    fleet: Annotated[str, typer.Option("--fleet", help="What the fleet is called.")] = "fleet",
    lock: Lock = False,
) -> None:
    """Make the keys of every role, and say what goes where.

    Example: fieldvote keys init owner --lock
    """
    from coordinator.keys.authority import make_authority
    from coordinator.keys.folder import KeyFolder
    from coordinator.keys.owner import make_keys

    passphrase = _new_passphrase() if lock else ""
    make_keys(KeyFolder(folder), now_s=time.time(), entropy=os.urandom, passphrase=passphrase)
    make_authority(
        folder, fleet=fleet, now=datetime.now(UTC), entropy=os.urandom, passphrase=passphrase
    )
    typer.echo(_WHAT_GOES_WHERE.format(folder=folder, fleet=fleet))


@app.command()
def show(keys: Keys = _KEYS, as_json: AsJson = False) -> None:
    """List the roles: who holds each, how many must sign, until when.

    Example: fieldvote keys show --keys owner
    """
    from coordinator.keys.owner import show as rows_of

    print_table(rows_of(_folder(keys)), as_json)


@app.command()
def sign(
    task: Annotated[Path, typer.Argument(help="The task folder.")],
    keys: Keys = _KEYS,
) -> None:
    """Sign a task as its next version, so that devices take it over the wire.

    Example: fieldvote keys sign my-task --keys owner
    """
    from coordinator.keys.signing import sign_task

    version = sign_task(_folder(keys), task, now_s=time.time())
    typer.echo(f"{task} is signed as version {version}; any change asks for a new signature")


@app.command()
def rotate(
    role: Annotated[
        str,
        typer.Argument(
            help="root-1, root-2, root-3, targets, directory, snapshot, timestamp or online."
        ),
    ],
    keys: Keys = _KEYS,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="The old key is lost: trust it no more.")
    ] = False,
    lock: Lock = False,
) -> None:
    """Put a new key in the place of an old one; two root keys must be in the folder.

    The old key stays good beside the new one until the role is rotated again, unless --at-once.

    Example: fieldvote keys rotate timestamp --keys owner
    """
    from coordinator.keys.owner import rotate as rotate_key

    passphrase = _new_passphrase() if lock else ""
    version = rotate_key(
        _folder(keys),
        role,
        now_s=time.time(),
        entropy=os.urandom,
        passphrase=passphrase,
        at_once=at_once,
    )
    typer.echo(_after_rotation(keys, role, version, at_once=at_once))


def _after_rotation(keys: Path, role: str, version: int, *, at_once: bool) -> str:
    """Return what a person has to do now."""
    if role in ("directory", "online"):
        done = f"{role} has a new key, which the next task delegates to: sign the task again"
    else:
        done = f"{role} has a new key by root {version}"
    then = [f"copy {keys}/online to the coordinator"]
    if role == "directory":
        then.append("sign the directory again")
    if role == "targets":
        then.append("sign every task again" if at_once else "sign the next task as usual")
    return f"{done}; then {', and '.join(then)}"


def _folder(keys: Path) -> "KeyFolder":
    """Return the owner's folder; a passphrase is asked for when a key needs it."""
    from coordinator.keys.folder import KeyFolder

    return KeyFolder(keys, passphrase=_passphrase)


def _passphrase() -> str:
    said: str = typer.prompt("Passphrase", hide_input=True, err=True)
    return said


def _new_passphrase() -> str:
    said: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    return said


register(app)
