"""The root command: what it joins, what it costs to start, and how it ends."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, packages_distributions, requires, version
from pathlib import Path
from typing import cast

import click
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import fieldvote.cli as cli
from fieldvote.errors import (
    DataError,
    InternalError,
    LedgerSpentError,
    ShapeError,
    StoreError,
    TaskError,
)

HEAVY = ("onnxruntime", "onnx", "numba", "matplotlib", "sklearn", "flwr", "numpy")

VERBS = '''
"""Stand-ins for what rooms offer."""
import fieldvote.errors as errors

def fine() -> None:
    """Do nothing at all.

    More about nothing.
    """
    print("done")

def fails(error: str) -> None:
    """Raise what it is told."""
    raise {
        "task": errors.TaskError("t: two\\nlines"),
        "shape": errors.ShapeError("x", (1,), ("n",)),
        "data": errors.DataError("no"),
        "ledger": errors.LedgerSpentError("spent"),
        "store": errors.StoreError("full"),
        "internal": errors.InternalError("bug"),
        "value": ValueError("secret text of an item"),
        "extra": ModuleNotFoundError("no sklearn", name="sklearn.svm"),
        "other": ModuleNotFoundError("no such", name="elsewhere"),
        "interrupt": KeyboardInterrupt(),
        "nobody": EOFError(),
    }[error]
'''

GROUP = '''
"""A module about groups."""
import typer
app = typer.Typer(help="Do things in a group.")

@app.command()
def one() -> None:
    """Do one thing."""
    print("one")

@app.command()
def two() -> None:
    """Do another."""
'''


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    modules = {
        "stand_in_verbs": VERBS,
        "stand_in_group": GROUP,
        "stand_in_plots": '"""Plots."""\nimport matplotlib_is_not_here\n',
    }
    for name, source in modules.items():
        (tmp_path / f"{name}.py").write_text(source)
    (tmp_path / "stand_in_room").mkdir()
    (tmp_path / "stand_in_room" / "__init__.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "stand_in_room" / "cli.py").write_text('def far() -> None:\n    """Go far."""\n')
    entries = [
        EntryPoint("far", "stand_in_room.cli:far", "fieldvote.verbs"),
        EntryPoint("fine", "stand_in_verbs:fine", "fieldvote.verbs"),
        EntryPoint("fails", "stand_in_verbs:fails", "fieldvote.verbs"),
        EntryPoint("plots", "stand_in_plots:plots", "fieldvote.verbs"),
        EntryPoint("later", "stand_in_later:later", "fieldvote.verbs"),
        EntryPoint("beyond", "stand_in_none.later:later", "fieldvote.verbs"),
        EntryPoint("group", "stand_in_group:app", "fieldvote.commands"),
    ]
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(
        cli, "entry_points", lambda group: [each for each in entries if each.group == group]
    )
    monkeypatch.setitem(cli.EXTRAS, "matplotlib_is_not_here", "simulations")
    yield CliRunner()
    for name in modules:
        sys.modules.pop(name, None)


def test_verbs_and_groups_join_the_root(runner: CliRunner) -> None:
    assert runner.invoke(cli.app, ["fine"]).output == "done\n"
    assert runner.invoke(cli.app, ["group", "one"]).output == "one\n"


def test_the_help_lists_what_is_there_without_importing_it(runner: CliRunner) -> None:
    said = runner.invoke(cli.app, ["--help"])
    assert said.exit_code == 0
    for line in (
        "Go far.",
        "Do nothing at all.",
        "Raise what it is told.",
        "Do things in a group.",
        "plots",
    ):
        assert line in said.output
    assert "later" not in said.output
    assert "beyond" not in said.output
    assert [name for name in sys.modules if name.startswith("stand_in")] == []


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        ("task", TaskError.exit_code, "fieldvote: t: two lines"),
        ("shape", ShapeError.exit_code, "fieldvote: x has shape (1,), expected ('n',)"),
        ("data", DataError.exit_code, "fieldvote: no"),
        ("ledger", LedgerSpentError.exit_code, "fieldvote: spent"),
        ("store", StoreError.exit_code, "fieldvote: full"),
        ("internal", InternalError.exit_code, "fieldvote: bug"),
        (
            "extra",
            4,
            "fieldvote: this command needs an extra: pip install 'fieldvote[simulations]'",
        ),
        ("value", 5, "fieldvote: unexpected ValueError; 'fieldvote --debug ...' shows where it "),
        ("other", 5, "fieldvote: unexpected ModuleNotFoundError; 'fieldvote --debug ...' shows "),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    runner: CliRunner, error: str, code: int, line: str
) -> None:
    ended = runner.invoke(cli.app, ["fails", error])
    assert ended.exit_code == code
    assert ended.stdout == ""
    assert ended.stderr.startswith(line)
    assert ended.stderr.count("\n") == 1


def test_an_unexpected_error_does_not_show_what_it_quotes(runner: CliRunner) -> None:
    assert "secret" not in runner.invoke(cli.app, ["fails", "value"]).stderr


def test_debug_shows_the_traceback_and_keeps_the_code(runner: CliRunner) -> None:
    ended = runner.invoke(cli.app, ["--debug", "fails", "value"])
    assert ended.exit_code == 5
    assert "Traceback" in ended.stderr
    assert "stand_in_verbs.py" in ended.stderr
    assert runner.invoke(cli.app, ["--debug", "fails", "store"]).exit_code == 4


def test_an_interrupt_is_silent_and_130(runner: CliRunner) -> None:
    ended = runner.invoke(cli.app, ["fails", "interrupt"])
    assert (ended.exit_code, ended.output) == (130, "")


def test_a_question_nobody_answers_is_one_line_and_130(runner: CliRunner) -> None:
    ended = runner.invoke(cli.app, ["fails", "nobody"])
    assert (ended.exit_code, ended.stdout) == (130, "")
    assert ended.stderr.strip() == "fieldvote: stopped at a question; nothing was changed"


def test_a_verb_whose_extra_is_missing_says_which_and_breaks_no_other(runner: CliRunner) -> None:
    ended = runner.invoke(cli.app, ["plots"])
    assert ended.exit_code == 4
    assert "pip install 'fieldvote[simulations]'" in ended.stderr
    assert runner.invoke(cli.app, ["fine"]).exit_code == 0


@pytest.mark.parametrize(
    ("part", "room", "extra"),
    [
        ("sqlalchemy", "coordinator", "coordinator"),
        ("flwr", "coordinator", "coordinator"),
        ("flwr", "simulations", "simulations"),
        ("flwr", "edge", "flower"),
        ("matplotlib", "coordinator", "simulations"),
        ("psycopg", "coordinator", "postgres"),
    ],
)
def test_the_extra_named_brings_all_that_the_room_needs(part: str, room: str, extra: str) -> None:
    missing = ModuleNotFoundError(f"no {part}", name=f"{part}.inside")
    assert f"fieldvote[{extra}]" in str(cli.explain(missing, room=room))


def test_every_part_an_extra_brings_is_known_by_its_import() -> None:
    ours = [each for each in requires("fieldvote") or () if re.search(r"extra == .(?!dev)", each)]
    brought = {re.split(r"[^\w-]", each)[0].lower() for each in ours} - {"fieldvote"}
    imported = {
        name
        for name, owners in packages_distributions().items()
        if brought & {owner.lower() for owner in owners}
    }
    assert {"flwr", "sqlalchemy"} <= imported
    assert imported - {"mpl_toolkits", "pylab"} <= set(cli.EXTRAS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fien"], "no command 'fien'; did you mean 'fine'?"),
        (["later"], "no command 'later'"),
        (["fine", "too", "much"], "unexpected extra arguments"),
        (["fails"], "Missing argument"),
        (["--nothing"], "No such option"),
        (["group", "three"], "No such command"),
        ([], "Usage: "),
    ],
)
def test_bad_usage_ends_with_2(runner: CliRunner, arguments: list[str], said: str) -> None:
    ended = runner.invoke(cli.app, arguments)
    assert ended.exit_code == 2
    assert said in ended.output


def test_the_version_is_the_distribution_s() -> None:
    said = CliRunner().invoke(cli.app, ["--version"])
    assert said.output == f"fieldvote {version('fieldvote')}\n"


def test_help_starts_quickly_and_imports_nothing_heavy() -> None:
    program = (
        "import json, sys, time\n"
        "from fieldvote.cli import main\n"
        "sys.argv = ['fieldvote', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n"
        "    print(json.dumps([end.code, time.process_time(), sorted(sys.modules)]))\n"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    ends = [json.loads(run.stdout.splitlines()[-1]) for run in runs]
    assert all(code == 0 for code, _, _ in ends)
    # processor time, not wall time: the machine may have other things to do
    assert min(seconds for _, seconds, _ in ends) < 0.5
    assert [name for name in HEAVY if name in ends[0][2]] == []


def test_every_command_that_is_there_teaches_with_an_example() -> None:
    root = cast(click.Group, get_command(cli.app))
    with click.Context(root) as context:
        for name, entry in cli._entries().items():
            if entry.group == "fieldvote.verbs" and name in root.list_commands(context):
                said = CliRunner().invoke(cli.app, [name, "--help"])
                assert said.exit_code == 0
                assert f"Example: fieldvote {name}" in said.output


class _Silent:
    def main(self, prog_name: str) -> None:
        assert prog_name == "fieldvote"


def test_flower_is_kept_quiet_unless_the_caller_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = {"FLWR_DISABLE_UPDATE_CHECK": "0"}
    monkeypatch.setattr(os, "environ", own)
    monkeypatch.setattr(cli, "get_command", lambda _app: _Silent())
    cli.main()
    assert own["FLWR_TELEMETRY_ENABLED"] == own["FLWR_DISABLE_UPDATE_CHECK"] == "0"
