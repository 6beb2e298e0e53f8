"""The house itself: walls, names, and what may not stand in any file."""

import ast
import importlib
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("fieldvote", "strategies", "privacy", "edge", "coordinator", "simulations")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
ALL_FILES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
]


def test_no_other_distribution_owns_our_top_level_names() -> None:
    owners = packages_distributions()
    foreign = {room: set(owners.get(room, ())) - {"fieldvote"} for room in ROOMS}
    assert not any(foreign.values()), foreign


def test_import_order_is_kept() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_it_is_for_and_is_typed(room: str) -> None:
    assert importlib.import_module(room).__doc__
    assert (ROOT / room / "py.typed").is_file()


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_that_is_promised_exists(room: str) -> None:
    for path in (path for path in SOURCES if path.is_relative_to(ROOT / room)):
        said = path.read_text("utf-8")
        promised = [
            ast.literal_eval(node.value)
            for node in (ast.parse(said).body if "__all__" in said else ())
            if isinstance(node, ast.Assign)
            and any(isinstance(name, ast.Name) and name.id == "__all__" for name in node.targets)
        ]
        if not promised:
            continue
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
        assert promised[0] == sorted(promised[0]), path
        assert [name for name in promised[0] if not hasattr(module, name)] == [], path


def test_no_source_file_is_longer_than_a_person_reads() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    assert {str(path): n for path, n in lengths.items() if n > 350} == {}


def test_every_test_folder_is_a_package_so_that_it_hides_no_room() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("room", ROOMS)
def test_importing_a_room_costs_no_optional_part(room: str) -> None:
    heavy = ["onnx", "onnxruntime", "numba", "matplotlib", "sklearn", "flwr", "ray"]
    code = (
        f"import sys, {room}, fieldvote.cli\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_no_file_names_a_machine_or_a_package_registry() -> None:
    # spelled in pieces, so that this file does not hold what it looks for
    banned = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "py" + "pi.org", "pythonhos" + "ted"]
    found = []
    for path in ALL_FILES:
        if path.suffix in {".gz", ".png", ".npz", ".onnx"} or not path.is_file():
            continue
        text = path.read_text("utf-8")
        found += [(str(path.relative_to(ROOT)), word) for word in banned if word in text]
    assert found == []
