"""The command `fieldvote`: joins what the installed rooms offer, and turns errors into exit codes.

A room joins by entry point: `fieldvote.verbs` names a function that becomes one command,
`fieldvote.commands` a Typer app that becomes a group. A room is imported when one of its commands
runs; the help reads its first line from the source, so that asking for help costs nothing.

=====  =================================================
code   meaning
=====  =================================================
0      done
2      bad usage or input
3      refused by policy
4      not available: install what is missing, or retry
5      an error of ours
130    interrupted
=====  =================================================
"""

import ast
import os
import traceback
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import click
import typer
from typer.core import TyperGroup
from typer.main import get_command

from fieldvote.errors import FieldvoteError, InternalError, MissingExtraError, nearest

_VERBS = "fieldvote.verbs"
_GROUPS = "fieldvote.commands"

# imports that an optional part brings, and the extra it is in
EXTRAS = {
    "flwr": "flower",
    "onnx": "coordinator",
    "numba": "coordinator",
    "sqlalchemy": "coordinator",
    "matplotlib": "simulations",
    "sklearn": "simulations",
    "ray": "ray",
    "pyarrow": "parquet",
    "psycopg": "postgres",
    "keyring": "keyring",
}

# extras that hold the ones before them; two are named after the room that cannot do without
_NESTED = ("flower", "coordinator", "simulations")

# what a command may raise that is not an error: click's own way to end, and a reader that has gone
_PASS = (click.ClickException, click.exceptions.Exit, BrokenPipeError)


class Root(TyperGroup):
    """The commands of every installed room, each loaded when it is called."""

    @cached_property
    def entries(self) -> Mapping[str, EntryPoint]:
        """What is installed, looked for once: every look reads what every distribution brings."""
        return _entries()

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands whose module is there: verbs, then groups."""
        return [entry.name for entry in self.entries.values() if _source(entry) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a stand-in that knows its first line: what the help needs, nothing imported."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return click.Command(cmd_name, help=_summary(self.entries[cmd_name]))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Import the command that was called, or say which one was meant."""
        name, names = args[0], self.list_commands(ctx)
        if name not in names:
            ctx.fail(f"no command '{name}'; {nearest(name, names)}")
        return name, _load(self.entries[name]), args[1:]

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; every error becomes one line and an exit code."""
        try:
            return super().invoke(ctx)
        except _PASS:
            raise
        except (click.Abort, EOFError) as err:  # a question nobody was there to answer, or ctrl-C
            typer.echo("\nfieldvote: stopped at a question; nothing was changed", err=True)
            raise click.exceptions.Exit(130) from err
        except Exception as err:  # the last stop: nobody above us could do better than a line
            if ctx.params.get("debug"):
                traceback.print_exc()
            called = self.entries.get(ctx.invoked_subcommand or "")
            known = explain(err, room=called.module.partition(".")[0] if called else "")
            typer.echo(f"fieldvote: {' '.join(str(known).split())}", err=True)
            raise click.exceptions.Exit(known.exit_code) from err


def explain(err: Exception, *, room: str = "") -> FieldvoteError:
    """Return an error as one of ours, whose message may be shown.

    What an unexpected error says may quote an item, so only its type is shown.

    Args:
        err: What a command raised.
        room: The package the command is from. All that it needs is named at once, so that nobody
            installs one extra to be told of the next.
    """
    if isinstance(err, FieldvoteError):
        return err
    if isinstance(err, ModuleNotFoundError) and err.name is not None:
        part = err.name.partition(".")[0]
        if part in EXTRAS:
            wanted = {EXTRAS[part], room} & set(_NESTED)
            extra = max(wanted, key=_NESTED.index) if EXTRAS[part] in wanted else EXTRAS[part]
            return MissingExtraError("this command", extra)
    name = type(err).__name__
    return InternalError(f"unexpected {name}; 'fieldvote --debug ...' shows where it came from")


def _print_version(wanted: bool) -> None:
    """Print the version and end, where it was asked for."""
    if wanted:
        typer.echo(f"fieldvote {version('fieldvote')}")
        raise typer.Exit


app = typer.Typer(
    cls=Root,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def fieldvote(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Improve the model on your fleet without collecting its data.

    Example: fieldvote demo
    """


# what Flower would send or fetch on its own, unless whoever starts us says otherwise
_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}


def main() -> None:
    """Run the command line; no program of ours or Flower's calls home because of it."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    get_command(app).main(prog_name="fieldvote")


def _entries() -> Mapping[str, EntryPoint]:
    """Return what is installed by name: verbs first, each kind in the order of the alphabet."""
    found = [*entry_points(group=_VERBS), *entry_points(group=_GROUPS)]
    return {entry.name: entry for entry in sorted(found, key=lambda e: (e.group != _VERBS, e.name))}


def _load(entry: EntryPoint) -> click.Command:
    """Import a command."""
    loaded = entry.load()
    if entry.group == _VERBS:
        verb, loaded = loaded, typer.Typer(add_completion=False)
        loaded.command(entry.name)(verb)
    return get_command(loaded)


def _source(entry: EntryPoint) -> Path | None:
    """Return the file a command is written in; None where it is not there.

    Only the first package is asked for, for to ask for what is inside one would import it.
    """
    top, *inside = entry.module.split(".")
    spec = find_spec(top)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    if inside:
        path = path.parent.joinpath(*inside).with_suffix(".py")
    return path if path.is_file() else None


def _summary(entry: EntryPoint) -> str:
    """Return the first line a command says of itself, read and not imported."""
    source = _source(entry)
    if source is None:
        return ""
    tree = ast.parse(source.read_bytes())
    said = ast.get_docstring(tree)
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=entry.attr):
                said = ast.get_docstring(node)
            case ast.Assign(targets=[ast.Name(id=entry.attr)], value=ast.Call(keywords=keywords)):
                for keyword in keywords:
                    if keyword.arg == "help" and isinstance(keyword.value, ast.Constant):
                        said = str(keyword.value.value)
    return (said or "").partition("\n")[0]
