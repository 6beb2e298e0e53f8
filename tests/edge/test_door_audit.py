"""No module of a device opens a file outside its own folders, or any socket but the door's.

Two proofs of the same sentence: a whole device goes through a round while Python's audit hooks
write down what each module opens; and the source is read for what could open anything at all. Both
lists of exceptions stand here, each with its reason: to add to one is a decision about privacy.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.agents import DESK
from tests.doubles.sockets import short_folder
from tests.doubles.tasks import text_files, write_device

ROOT = Path(__file__).parents[2]
EDGE = ROOT / "edge"

NETWORK = {
    "outbox.py": "the door: listens on the device's own Unix socket",
    "asking.py": "asks at that socket, from the process beside the device; holds no item",
    "flower/wire.py": "the light node's line to the SuperLink: carries what the door released",
    "flower/line.py": "the connection of that line",
    "registrar_line.py": "enrolment and renewal: public keys and their proofs, before any item",
}
PROCESSES = {
    "labeling/python_functions.py": "Python labeling functions this device pins, no environment",
    "model_guard/first_run.py": "the first run of a new model, with limits",
}
# who may touch the disk while a device serves; everything else works on what it is handed
FILES = {
    "arrivals.py": "puts a new task together, in the device's folder",
    "credential.py": "its certificate, in the device's folder",
    "device.py": "its keys, in the device's folder; the fleet's secret",
    "enrolment.py": "writes the device's folder when it is enrolled",
    "flower/journal.py": "messages of the fleet, in the device's folder",
    "flower/keys.py": "the node's key, in the device's folder",
    "install.py": "the task folder and what stands beside it",
    "item_arrays.py": "arrays in the file the pool is filled from",
    "item_file.py": "the file the pool is filled from",
    "outbox.py": "the socket's place",
    "pool.py": "the pool, in the device's folder",
    "settings.py": "the device's own file",
    "status.py": "the device's lock, in its folder; the task, for its operator",
    "stores.py": "makes the device's folder; the pool, in it",
    "trust.py": "the root file, and what is signed beside the task",
    "turns.py": "two empty files that are held, in the device's folder",
}
# what people run beside a device, and what runs in a child: no part of a device that serves
TOOLS = {
    "audit.py": "`fieldvote edge ledger` signs the account with the device's key",
    "check_baseline.py": "`fieldvote check` keeps what a task gave before",
    "check_golden.py": "`fieldvote check` writes what the model gives beside the task",
    "learning/readings.py": "what the machine says of its battery and heat, before it trains",
    "model_guard/child.py": "the child in which a model first runs asks how much memory it has",
    "model_guard/step_child.py": "opens a session on a graph in memory, in a child",
    "model_guard/step_run.py": "starts that child",
    "labeling/python_functions.py": "reads the files of a pinned function to tell their digest",
}

OUTSIDE = "outside.txt"
TEXTS = ["a prize for you", "see you at home", "Zbigniew has a voucher", "mum, see the winner", "x"]

Seen = list[tuple[str, str, str]]


@pytest.fixture
def place() -> Iterator[Path]:
    with short_folder() as folder:
        write_device(
            folder,
            text_files(),
            items="\n".join(TEXTS),
            labeling_key=f'"{DESK.labeling.public.hex()}"',
            desk_key=f'"{DESK.signing.public.hex()}"',
        )
        yield folder


def round_of(place: Path, source: Path = ROOT) -> dict[str, Any]:
    """Take the device through a round, with the `edge` of this source; return what was seen."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", "from tests.edge.door_audit import main; main()", str(place)],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, dict.fromkeys([source, ROOT]))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "HOME": str(place),
        },
        cwd=place,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def broken_rules(seen: Seen, place: Path) -> list[str]:
    """Return who opened what no list allows."""
    own = os.path.realpath(place)
    python = tuple(map(os.path.realpath, {sys.prefix, sys.base_prefix, str(ROOT)}))
    found = []
    for kind, module, what in seen:
        if kind == "network":
            allowed = module in NETWORK
        elif kind == "process" or what == os.devnull:
            allowed = module in PROCESSES
        elif Path(what).is_relative_to(own) and Path(what).name != OUTSIDE:
            allowed = module in FILES
        else:
            # the interpreter and its packages are read, never written
            allowed = kind == "read" and any(Path(what).is_relative_to(each) for each in python)
        if not allowed:
            found.append(f"{module}: {kind} {what}")
    return found


def test_a_device_in_a_round_opens_its_own_folders_and_the_doors_socket_and_nothing_else(
    place: Path,
) -> None:
    result = round_of(place)
    assert result["failed"] == []
    # it was a whole round: four items were shown masked, answered, and nonsense was refused
    assert result["said"][-2:] == ["accepted 4 of 4", "refused"]
    assert not any("Zbigniew" in said for said in result["said"])
    assert broken_rules(result["seen"], place) == []
    # and the watch was awake: the door's socket, the pool, the items and the keys were seen
    met = {(kind, module) for kind, module, _ in result["seen"]}
    assert {
        ("network", "outbox.py"),
        ("write", "pool.py"),
        ("read", "item_file.py"),
        ("write", "device.py"),
    } <= met


OFFENDERS = {
    "a file elsewhere": ("selection.py", "open({outside!r}, 'w').close()"),
    "a file elsewhere, by its descriptor": (
        "items.py",
        "import os; os.close(os.open({outside!r}, os.O_CREAT | os.O_WRONLY))",
    ),
    "a file elsewhere, by a module that may touch its own": ("pool.py", "open({outside!r}, 'w')"),
    "a file of the device, by a module that has no business there": (
        "learning/learner.py",
        "open({place!r} + '/state/signing.key', 'rb').close()",
    ),
    "a secret of the machine": ("delta.py", "open('/etc/passwd').close()"),
    "a socket": ("shipping.py", "import socket; socket.socket().close()"),
    "a look-up of a name": ("sums.py", "import socket; socket.gethostbyname('localhost')"),
    "a program": ("agent.py", "import subprocess; subprocess.run(['true'])"),
    "a database": ("incidents.py", "import sqlite3; sqlite3.connect({outside!r}).close()"),
}


EVERY_TIME = ("a file elsewhere", "a socket", "a program", "a secret of the machine")


@pytest.mark.slow
@pytest.mark.parametrize(
    "what",
    [
        pytest.param(what, marks=[] if what in EVERY_TIME else [pytest.mark.nightly])
        for what in OFFENDERS
    ],
)
def test_an_offender_in_any_other_module_is_caught(what: str, place: Path, tmp_path: Path) -> None:
    """The attack: one line more in one module of the device."""
    module, line = OFFENDERS[what]
    source = tmp_path / "source"
    shutil.copytree(EDGE, source / "edge")
    planted = line.format(outside=str(place / OUTSIDE), place=str(place))
    _plant(source / "edge" / module, planted)
    found = broken_rules(round_of(place, source)["seen"], place)
    assert found
    assert all(said.startswith(f"{module}: ") for said in found)
    # the reader of sources sees most of them too, without running anything
    if module not in FILES:
        assert touching(source / "edge") != touching(EDGE) or reaching(source / "edge") != reaching(
            EDGE
        )


def _plant(path: Path, line: str) -> None:
    """Put a line at the head of every function of a module."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            has_doc = ast.get_docstring(node) is not None
            node.body[has_doc:has_doc] = ast.parse(line).body
    path.write_text(ast.unparse(ast.fix_missing_locations(tree)), "utf-8")


# the static twin: what the source could open at all

_REACHING = {
    "socket", "ssl", "http", "urllib", "urllib3", "requests", "httpx", "aiohttp", "asyncio",
    "ftplib", "smtplib", "poplib", "imaplib", "telnetlib", "xmlrpc", "socketserver", "grpc",
    "multiprocessing", "subprocess", "pty", "ctypes", "cffi", "_socket", "_posixsubprocess",
    "syslog", "logging", "webbrowser", "concurrent",
}  # fmt: skip
_RUNNING = {"system", "popen", "fork", "forkpty", "execv", "execve", "posix_spawn", "spawnv"}
_TOUCHING = {
    "open", "read_bytes", "read_text", "write_bytes", "write_text", "touch", "mkdir", "makedirs",
    "unlink", "remove", "rmtree", "rename", "renames", "symlink_to", "hardlink_to", "copyfile",
    "copytree", "move", "tofile", "fromfile", "savez", "savetxt", "memmap", "mkstemp", "mkdtemp",
    "read_whole", "write_once", "write_new", "write_over", "lock_file",
}  # fmt: skip
_SAFE_CALLERS = {"locker", "key", "_locker"}  # x.open(...) decrypts


def modules(package: Path) -> Iterator[tuple[str, ast.Module]]:
    """Yield every module of a package by its path in it."""
    for path in sorted(package.rglob("*.py")):
        yield path.relative_to(package).as_posix(), ast.parse(path.read_text("utf-8"))


def reaching(package: Path) -> dict[str, set[str]]:
    """Return which modules import what could reach another machine or process."""
    found: dict[str, set[str]] = {}
    for name, tree in modules(package):
        for node in ast.walk(tree):
            tops: set[str] = set()
            if isinstance(node, ast.Import):
                tops = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                tops = {node.module.partition(".")[0]}
            elif isinstance(node, ast.Call) and _called(node) in {"__import__", "import_module"}:
                tops = {"a name that is computed"}
            elif isinstance(node, ast.Call) and _called(node) in _RUNNING | {"exec", "eval"}:
                tops = {str(_called(node))}
            bad = tops & (_REACHING | _RUNNING | {"a name that is computed", "exec", "eval"})
            if bad:
                found.setdefault(name, set()).update(bad)
    return found


def touching(package: Path) -> set[str]:
    """Return which modules call something that opens or changes files."""
    found = set()
    for name, tree in modules(package):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _called(node) in _TOUCHING and not _decrypts(node):
                found.add(name)
            if isinstance(node, ast.Call) and _dotted(node) in {
                "np.load",
                "np.save",
                "sqlite3.connect",
            }:
                found.add(name)
    return found


def _called(node: ast.Call) -> str:
    """Return the last name of what is called."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _dotted(node: ast.Call) -> str:
    return ast.unparse(node.func)


def _decrypts(node: ast.Call) -> bool:
    """Whether an open is that of a key or a locker, which opens what is locked and no file."""
    match node.func:
        case ast.Attribute(attr="open", value=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in _SAFE_CALLERS
        case _:
            return False


def test_the_source_names_what_could_reach_another_machine_or_process_in_few_places_only() -> None:
    found = reaching(EDGE)
    allowed: Mapping[str, str] = {
        **NETWORK,
        **PROCESSES,
        "labeling/python_worker.py": "is the process in which a pinned function runs",
    }
    assert set(found) == set(allowed)


def test_the_source_touches_files_in_few_places_only() -> None:
    assert touching(EDGE) == {*FILES, *TOOLS} - {"settings.py"}


def test_a_device_has_no_log_that_an_item_could_be_written_to() -> None:
    """Nothing in `edge` logs, warns or prints but through the function it was given."""
    for name, tree in modules(EDGE):
        called = {_called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        if name == "check_table.py":
            continue  # the owner's `fieldvote check` draws its table
        assert not called & {"print", "warn", "getLogger", "print_exc", "format_exc"}, name
