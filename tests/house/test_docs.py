"""Every public claim is executed: documents name every command, and their commands run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fieldvote.cli import app

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# what is multiplied here is small: a second thread only waits, and takes the other tests' time
ENVIRONMENT = {
    "PATH": f"{BIN}:/usr/bin:/bin", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
}  # fmt: skip
# made by `make`, or minutes long; what they do is tested elsewhere
NOT_HERE = ("make ", "git ", "cd ", "fieldvote demo", "python docs/")


def blocks(path: Path) -> list[str]:
    """Return the commands of a document's console blocks: "$ " begins one, "> " continues it."""
    commands: list[str] = []
    for block in re.findall(r"```console\n(.*?)```", path.read_text("utf-8"), flags=re.DOTALL):
        for line in block.splitlines():
            match line[:2]:
                case "$ ":
                    commands.append(line[2:])
                case "> " | ">":
                    commands[-1] = f"{commands[-1]}\n{line[2:]}"
    return commands


def test_every_link_in_a_document_leads_somewhere() -> None:
    links = [
        (path, target)
        for path in [*DOCUMENTS, ROOT / "CONTRIBUTING.md"]
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text("utf-8"))
        if not target.startswith("http")
    ]
    broken = [(path.name, target) for path, target in links if not (path.parent / target).exists()]
    assert broken == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if any(line.startswith("fieldvote") for line in blocks(path))],
    ids=lambda path: path.stem,
)
def test_the_commands_of_a_document_run_from_an_empty_folder(path: Path, tmp_path: Path) -> None:
    here = tmp_path
    for line in blocks(path):
        if line.startswith("cd "):
            here = here / line.removeprefix("cd ").strip()
        if line.startswith(NOT_HERE):
            continue
        done = subprocess.run(
            line,
            shell=True,
            cwd=here,
            env={**ENVIRONMENT, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def helped(*words: str) -> str:
    """Return what a command says of itself."""
    return CliRunner().invoke(app, [*words, "--help"]).stdout


def every_command() -> list[str]:
    """Return the words of each command and of each group."""

    def names(*words: str) -> list[str]:
        return re.findall(r"^[│ ]+([a-z]+)  ", helped(*words), flags=re.MULTILINE)

    commands = names()
    assert "simulate" in commands
    groups = ("edge", "coordinator", "rounds", "labels", "models", "functions", "keys",
              "vocabulary")  # fmt: skip
    return commands + [f"{group} {name}" for group in groups for name in names(group)]


def test_every_command_is_documented() -> None:
    text = "\n".join(path.read_text("utf-8") for path in DOCUMENTS)
    assert [name for name in every_command() if f"fieldvote {name}" not in text] == []


def test_every_help_shows_how_the_command_is_called() -> None:
    silent = [
        name
        for name in every_command()
        if f"Example: fieldvote {name}"
        not in " ".join(re.sub("[│\n]", " ", helped(*name.split())).split())
    ]
    assert silent == []


def test_every_requirement_row_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "requirements.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert named
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text("utf-8"), (path, test)


@pytest.mark.parametrize("name", ["ring", "rounds"])
def test_a_picture_is_what_its_script_draws(tmp_path: Path, name: str) -> None:
    drawn = tmp_path / f"{name}.svg"
    subprocess.run([sys.executable, str(ROOT / "docs" / f"{name}.py"), str(drawn)], check=True)
    assert drawn.read_text("utf-8") == (ROOT / "docs" / f"{name}.svg").read_text("utf-8")
